"""Say what a dump of rules does to a packet: every way, its probability, each rule and why."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from follow.page import html_page, paragraphs, path_html
from kitlib.drawings.rule_walk import hook_step_text, outcome
from kitlib.errors import KitError, ParseError, number
from kitlib.escapes import printable
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import conntrack, ip, iptables_save, nft
from kitlib.parsers.conntrack import Connection
from kitlib.parsers.ip import Interface, Route
from kitlib.place import local_table

PACKET = re.compile(r"(udp|tcp) (\S+):(\d+) > (\S+):(\d+)(?: in (\S+))?(?: out (\S+))?")
EXPECTED = "'udp 10.244.2.3:40000 > 10.96.0.10:53 in veth0' (or tcp; [address]:port for IPv6; out INTERFACE)"


def explain_and_print(given: Namespace) -> int:
    """Print every way; return 0 if all are accepted, 1 if one is dropped, rejected or lost, 2 if one is undecided."""
    packet = parse_packet(given.packet)
    rules = read_rules(_read(given.rules))
    routes = ip.routes(_read(given.routes), 6 if ":" in packet.destination else 4) if given.routes else ()
    interfaces = ip.interfaces(_read(given.addresses)) if given.addresses else ()
    paths = simulate(netfilter_of([rules], routes, interfaces, packet), packet, _connection(given, packet))
    if given.json:
        print(json.dumps([_as_json(path) for path in paths], indent=2))
    else:
        print(printable("\n\n".join(map(_text, paths))))
    if given.html:
        page = html_page(given.packet, [("Every way", paragraphs(map(outcome, paths))),
                                        *((f"Way {count}", path_html(path)) for count, path in enumerate(paths, 1))])
        given.html.write_text(page, encoding="utf-8")
    return _status(paths)


def _status(paths: tuple[PacketPath, ...]) -> int:
    """Return the exit status. What rests on assumptions is decided where every way ends alike."""
    arrives = [path.gets_through for path in paths]
    differ = any(arrives) and not all(arrives)
    if any(path.end == "is undecided" or (differ and path.assumptions) for path in paths):
        return 2
    return 0 if all(arrives) else 1


def parse_packet(text: str) -> Packet:
    """Parse a packet as people write it. Raises ParseError, which shows one that is right."""
    found = PACKET.fullmatch(" ".join(text.split()))
    try:
        protocol, source, sport, destination, dport, comes_by, leaves_by = found.groups(default="")
        addresses = [str(ip_address(address.strip("[]"))) for address in (source, destination)]
    except (AttributeError, ValueError):
        raise ParseError("packet", EXPECTED, text) from None
    ports = [number(port, "port") for port in (sport, dport)]
    if max(ports) > 65535:
        raise ParseError("packet", "ports up to 65535", text)
    return Packet(*addresses, protocol, *ports, comes_by, leaves_by)


def read_rules(text: str) -> iptables_save.Ruleset | nft.Ruleset:
    """Read a dump of rules, of iptables or of nftables. Raises ParseError."""
    if text.lstrip().startswith("{"):
        return nft.ruleset(text)
    saved = iptables_save.parse(text)
    if not saved.tables:
        raise ParseError("rules", "iptables-save, ip6tables-save or nft -j list ruleset", text.strip())
    return saved


def netfilter_of(rules: Sequence[iptables_save.Ruleset | nft.Ruleset], routes: tuple[Route, ...],
                 interfaces: tuple[Interface, ...], packet: Packet) -> Netfilter:
    """Put together what decides; `rules` is one dump, or one of each kind and version of IP.

    What is not there is unknown: it makes undecided what depends on it, and no more. A packet that goes out of
    an interface by its own words needs no route, and is for another machine.
    """
    no_routes, no_addresses, version = "", "", 6 if ":" in packet.destination else 4
    routes = tuple(dict.fromkeys(route for route in routes if route.version == version))
    if not routes and packet.out_interface:
        routes = (Route("default", device=packet.out_interface, version=version),)
    elif not routes:
        no_routes = "not known: the routes: give `ip route show table all`, or `out INTERFACE` in the packet"
    if not any(route.table == "local" for route in routes):
        routes = (*local_table(interfaces), *routes)
        no_addresses = "" if interfaces else "not known: which addresses are this machine's: give `ip addr`"
    no_way = "" if packet.out_interface else "; ".join(filter(None, (no_routes, no_addresses)))
    native = next((one for one in rules if isinstance(one, nft.Ruleset)), None)
    dumps = [one for one in rules if one is not native]
    saved = next((one for one in dumps if one.version in (None, version)), None)
    is_of_another = dumps and not saved and not native
    unknown = (f"the rules of IPv{version}: these are of another",) if is_of_another else ()
    return Netfilter(saved or iptables_save.parse(""), routes, interfaces, unknown=unknown, unknown_routes=no_way,
                     unknown_addresses=no_addresses, nft=native, settings={})


def _connection(given: Namespace, packet: Packet) -> Connection | None:
    """Return the connection that conntrack knows this packet by, if it does."""
    ends = ((packet.source, packet.sport), (packet.destination, packet.dport))
    known = conntrack.connections(_read(given.conntrack)) if given.conntrack else ()
    return next((one for one in known if one.protocol == packet.protocol and ends in [
        (tuple(each.source), tuple(each.destination)) for each in (one.original, one.reply)]), None)


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise KitError(f"{name}: expected text, found bytes that are no UTF-8.") from None


def _text(path: PacketPath) -> str:
    share = f"{path.probability_if_so:.1%}{', if so' if path.assumptions else ''}"
    return "\n".join([f"{share}: {outcome(path)}", *map(hook_step_text, path.hook_steps)])


def _as_json(path: PacketPath) -> dict[str, object]:
    rules = [{"table": step.table, "chain": step.chain, "rule": step.rule.text if step.rule else None,
              "outcome": step.outcome.value, "why": step.why, "verdict": step.verdict} for step in path.steps]
    return {"end": path.end, "why": path.why, "probability": path.probability_if_so, "assumptions": path.assumptions,
            "packet": str(path.packet), "after": str(path.after), "rules": rules}
