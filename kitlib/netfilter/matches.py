"""Does a rule match a packet, and why (not): every condition in words.

Sources: iptables-extensions(8), net/netfilter/xt_*.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address
from math import prod
from operator import itemgetter
from typing import NamedTuple

from kitlib.netfilter.packet import Alternative, Packet, RuleOutcome
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.iptables_save import Match, Option, Rule
from kitlib.parsers.packets import PROTOCOLS

KNOWN_TYPES = {"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST"}
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT")


class Property(NamedTuple):
    """A simple condition: what it is about, the packet's value, and whether that fits the rule's (None: unknown)."""

    name: str
    value: Callable[[Packet, Netfilter], object]
    fits: Callable[[object, str], bool | None]
    shown: Callable[[object], str] = str


@cache
def _address(words: str) -> tuple[int, int]:
    """An address as its IP version and a number."""
    address = ip_address(words)
    return address.version, int(address)


@cache
def _network(words: str) -> tuple[int, int, int]:
    """A network as its IP version, its address and its mask; a mask may have holes: 255.0.0.255."""
    address, _, length = words.partition("/")
    version, number = _address(address)
    bits = 128 if version == 6 else 32
    mask = (1 << bits) - (1 << bits - int(length or bits)) if (length or "0").isdecimal() else _address(length)[1]
    return version, number & mask, mask


def _in_network(address: object, wanted: str) -> bool:
    version, number = _address(address)
    networks = map(_network, wanted.split(","))
    return any(of == version and number & mask == network for of, network, mask in networks)


def _in_range(address: object, wanted: str) -> bool:
    low, _, high = wanted.partition("-")
    return _address(low) <= _address(address) <= _address(high or low)


def _is_interface(name: object, wanted: str) -> bool:
    return str(name).startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted


def _in_ports(port: object, wanted: str) -> bool | None:
    if port is None:
        return None
    ranges = (part.partition(":") for part in wanted.split(","))
    return any(int(low or 0) <= port <= int((high or 65535) if dots else low) for low, dots, high in ranges)


def _any_port(ports: object, wanted: str) -> bool | None:
    found = [_in_ports(port, wanted) for port in ports]
    return True if True in found else None if None in found else False


def _has_mark(mark: object, wanted: str) -> bool:
    value, _, mask = wanted.partition("/")
    return mark & int(mask or "0xffffffff", 0) == int(value, 0)


def _has_type(address: object, wanted: str) -> bool | None:
    """One of the types for IPv4; every one for IPv6, where what is LOCAL is UNICAST too (xt_addrtype.c)."""
    (written, kind), types = address, set(wanted.split(","))
    if types - KNOWN_TYPES or not kind:
        return None
    return types <= {kind, "UNICAST" if kind == "LOCAL" else kind} if ":" in written else kind in types


def _has_tcp_flags(flags: object, wanted: str) -> bool | None:
    """Compare those of the flags that a mask names: "FIN,SYN,RST,ACK SYN"."""
    mask, _, comparison = wanted.partition(" ")
    names = ("FIN,SYN,RST,PSH,ACK,URG" if mask == "ALL" else mask).split(",")
    return None if flags is None else {*names} & flags == {*comparison.split(",")} - {"NONE"}


def _yes_or_no(value: object) -> str:
    return "yes" if value else "no"


def _or_none(name: object) -> str:
    return str(name) or "none"


SOURCE = Property("source", lambda packet, _: packet.source, _in_network)
DESTINATION = Property("destination", lambda packet, _: packet.destination, _in_network)
SPORT = Property("source port", lambda packet, _: packet.sport, _in_ports)
DPORT = Property("destination port", lambda packet, _: packet.dport, _in_ports)
PROTOCOL = Property("protocol", lambda packet, _: packet.protocol,
                    lambda protocol, wanted: wanted in (protocol, str(PROTOCOLS.get(protocol)), "all"))
STATE = Property("conntrack state", lambda packet, _: packet.states,
                 lambda states, wanted: not states.isdisjoint(wanted.split(",")),
                 lambda states: " and ".join(sorted(states, key=STATES.index)))
STRING = Property("what is found in it", lambda packet, _: packet.holds,
                  lambda found, wanted: None if found is None else wanted in found,
                  lambda found: "(unknown)" if found is None else ", ".join(sorted(found)) or "nothing")
TCP_FLAGS = Property("TCP's flags", lambda packet, _: packet.tcp_flags, _has_tcp_flags,
                     lambda flags: "(unknown)" if flags is None else ", ".join(sorted(flags)))
ALWAYS = Property("", lambda packet, _: "", lambda *_: True)
PROPERTIES: dict[tuple[str, str], Property] = {
    ("", "-s"): SOURCE,
    ("", "-d"): DESTINATION,
    ("", "-i"): Property("in-interface", lambda packet, _: packet.in_interface, _is_interface, _or_none),
    ("", "-o"): Property("out-interface", lambda packet, _: packet.out_interface, _is_interface, _or_none),
    ("", "-p"): PROTOCOL,
    ("", "-f"): Property("fragment", lambda *_: "no", lambda *_: False),
    **{(module, option): port for module in ("udp", "tcp", "sctp")
       for option, port in (("--sport", SPORT), ("--dport", DPORT))},
    ("tcp", "--tcp-flags"): TCP_FLAGS,
    ("tcp", "--syn"): TCP_FLAGS._replace(fits=lambda flags, _: _has_tcp_flags(flags, "FIN,SYN,RST,ACK SYN")),
    ("multiport", "--sports"): SPORT,
    ("multiport", "--dports"): DPORT,
    ("multiport", "--ports"): Property("one of the ports", lambda packet, _: (packet.sport, packet.dport), _any_port),
    ("mark", "--mark"): Property("mark", lambda packet, _: packet.mark, _has_mark, hex),
    ("conntrack", "--ctstate"): STATE,
    ("conntrack", "--ctproto"): PROTOCOL,
    ("state", "--state"): STATE,
    ("iprange", "--src-range"): SOURCE._replace(fits=_in_range),
    ("iprange", "--dst-range"): DESTINATION._replace(fits=_in_range),
    ("nfacct", "--nfacct-name"): ALWAYS,        # only a counter with a quota, which kube-proxy's have not, may refuse
    ("addrtype", "--src-type"): Property(
        "the source's type", lambda packet, at: (packet.source, at.type_of(packet.source)), _has_type, itemgetter(1)),
    ("addrtype", "--dst-type"): Property(
        "the destination's type", lambda packet, at: (packet.destination, at.type_of(packet.destination)), _has_type,
        itemgetter(1)),
    ("comment", "--comment"): ALWAYS,
    **{("string", option): STRING for option in ("--string", "--hex-string")},
    **{("string", option): ALWAYS for option in ("--algo", "--from", "--to")},      # how and where it is searched
    ("physdev", "--physdev-in"): Property("bridge port in", lambda packet, _: packet.physdev_in, _is_interface),
    ("physdev", "--physdev-out"): Property("bridge port out", lambda packet, _: packet.physdev_out, _is_interface),
    **{("physdev", f"--physdev-is-{what}"): Property(f"physdev-is-{what}", port, lambda port, _: bool(port), _yes_or_no)
       for what, port in (("in", lambda packet, _: packet.physdev_in), ("out", lambda packet, _: packet.physdev_out),
                           ("bridged", lambda packet, _: packet.physdev_in and packet.physdev_out))},
}
WITHOUT_CONNECTION = {"INVALID", "UNTRACKED"}
STATEFUL = ("limit", "hashlimit", "connlimit", "connbytes", "quota", "rateest")
DEPENDS = "{} depends on the packets before this one"


class Condition(NamedTuple):
    """One condition: does it hold (None: is not known), with what probability, and the words for it."""

    holds: bool | None
    words: str
    probability: float = 1.0


def judge(rule: Rule, packet: Packet, netfilter: Netfilter) -> Alternative:
    """Look at one rule as the kernel would: one condition that fails is enough to skip it. Its target is not looked at.

    The probability is below 1 where a coin decides (`statistic`).
    """
    conditions = []
    try:
        for condition in (each for match in rule.parts.matches for each in _conditions(match, packet, netfilter)):
            if condition.holds is False:
                return Alternative(RuleOutcome.SKIPPED, condition.words, "", packet)
            conditions.append(condition)
    except (ValueError, IndexError, ZeroDivisionError):
        return Alternative(RuleOutcome.UNDECIDED, f"a value that is not understood here: {rule.text}", "", packet)
    unknown = [condition.words for condition in conditions if condition.holds is None]
    if unknown:
        return Alternative(RuleOutcome.UNDECIDED, "; ".join(unknown), "", packet)
    probability = prod(condition.probability for condition in conditions)
    words = ", ".join(condition.words for condition in conditions if condition.words)
    return Alternative(RuleOutcome.MATCHED, words or "it has no condition", "", packet, probability)


def _conditions(match: Match, packet: Packet, netfilter: Netfilter) -> Iterator[Condition]:
    if match.module in WHOLE:
        yield WHOLE[match.module]({option.name: option for option in match.options}, packet)
    elif match.module == "rpfilter":
        yield _reverse_path({option.name for option in match.options}, packet, netfilter)
    elif match.module == "conntrack" and packet.states <= WITHOUT_CONNECTION:
        yield _of_no_connection(match, packet, netfilter)
    elif match.module == "physdev" and not packet.physdev_in and netfilter.may_be_bridge(packet.in_interface):
        yield Condition(None, f"-m physdev: by which port of {packet.in_interface} it came is not known")
    elif match.module in STATEFUL:
        yield Condition(None, DEPENDS.format(f"-m {match.module}"))
    elif not match.options and match.module not in ("udp", "tcp", "sctp", "comment"):
        yield Condition(None, f"unknown here: -m {match.module}")
    else:
        for option in match.options:
            name = (match.module, option.name)
            yield _condition(PROPERTIES[name], option, packet, netfilter) if name in PROPERTIES else Condition(
                None, f"unknown here: {f'-m {match.module} ' if match.module else ''}{option.name}")


def _condition(about: Property, option: Option, packet: Packet, netfilter: Netfilter) -> Condition:
    value = about.value(packet, netfilter)
    wanted = " ".join(option.values) or "yes"
    fits = about.fits(value, wanted)
    if fits is None:
        return Condition(None, f"{about.name} {about.shown(value)} against {wanted} is not known")
    holds = fits != option.negated
    return Condition(holds, reason(about.name, about.shown(value), wanted, holds, option.negated) if about.name else "")


def reason(name: str, value: str, wanted: str, holds: bool, is_negated: bool) -> str:
    """Say what a packet has, and what a rule wants instead; or that it is not what the rule excludes."""
    if holds:
        return f"{name} is {value}, not {wanted}" if is_negated else f"{name} is {value}"
    return f"{name} is {value}, the rule wants {'anything but ' if is_negated else ''}{wanted}"


def _of_no_connection(match: Match, packet: Packet, netfilter: Netfilter) -> Condition:
    """Judge a packet that belongs to no connection: by --ctstate alone, and without that it never matches.

    Source: net/netfilter/xt_conntrack.c, conntrack_mt.
    """
    state = next((option for option in match.options if option.name == "--ctstate"), None)
    if state is None:
        return Condition(False, "the packet belongs to no connection")
    return _condition(STATE, state, packet, netfilter)


def _coin(options: dict[str, Option], _: Packet) -> Condition:
    option = options.get("--probability") or options.get("--every")
    if option is None:
        return Condition(None, "unknown here: -m statistic without --probability or --every")
    is_random = option.name == "--probability"
    chance = float(option.values[0]) if is_random else 1 / int(option.values[0])
    chance = 1 - chance if option.negated else chance
    if not 0 <= chance <= 1:
        raise ValueError(chance)        # as for any other value that is not understood
    how = "a coin decides" if is_random else "packets are counted"
    return Condition(True, f"{how}: {chance:.3g} of the packets match", chance)


def _recent(options: dict[str, Option], packet: Packet) -> Condition:
    """Judge a list of addresses: --set always matches; the others ask who came before (net/netfilter/xt_recent.c)."""
    if "--set" in options:
        is_negated = options["--set"].negated
        return Condition(not is_negated, "-m recent --set always matches" if is_negated else "")
    name = options["--name"].values[0] if "--name" in options else "DEFAULT"
    address = packet.destination if "--rdest" in options else packet.source
    where = "to this endpoint" if name.startswith("KUBE-SEP-") else f"on the list {name}"
    within = f" in the last {options['--seconds'].values[0]} s" if "--seconds" in options else " before"
    is_negated = any(options[name].negated for name in ("--rcheck", "--update", "--remove") if name in options)
    return Condition(None, f"only if {address} came {where}{within}{', or rather did not' if is_negated else ''}")


def _owner(options: dict[str, Option], packet: Packet) -> Condition:
    """Judge who made a packet: nobody here, if it came in; else it is not known (net/netfilter/xt_owner.c)."""
    if packet.in_interface:
        return Condition(all(option.negated for option in options.values()), "it was not made on this machine")
    return Condition(None, f"-m owner {' '.join(options)}: which program made it is not known")


def _reverse_path(options: set[str], packet: Packet, netfilter: Netfilter) -> Condition:
    """Judge whether the answer would leave by the interface that this came in by (net/ipv4/netfilter/ipt_rpfilter.c).

    With --loose any interface will do; a route of this machine itself does with --accept-local only.
    """
    back = netfilter.route(packet.source)
    if back.unknown or not packet.in_interface:
        return Condition(None, f"-m rpfilter: {back.unknown or 'by which interface it came in is not known'}")
    fits = "--loose" in options or back.device == packet.in_interface
    passes = packet.in_interface == "lo" or (
        fits and (back.is_unicast or (back.is_local and "--accept-local" in options)))
    words = f"an answer to {packet.source} would leave by {back.device or 'no interface'}, it came in by " \
            f"{packet.in_interface}"
    return Condition(passes != ("--invert" in options), words)


WHOLE = {"statistic": _coin, "recent": _recent, "owner": _owner}       # options that mean something only together
