"""A packet taken through a machine: the hooks in order, the routing decision between them, and conntrack.

    comes in  PREROUTING ─ routing ─┬─ for this machine ─ INPUT
                                    └─ for another ────── FORWARD ─ POSTROUTING  goes out
    made here (routing) ─ OUTPUT ─ (routing again, if it was rewritten) ─ POSTROUTING  goes out

raw comes before conntrack. nat is consulted for the first packet of a connection only; for all others conntrack repeats
what was decided then, and undoes it for replies. Not followed: ICMP errors about a connection (RELATED).
Sources: iptables(8), net/netfilter/nf_nat_core.c, include/uapi/linux/netfilter_ipv4.h (hook priorities).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from kitlib.errors import KitError
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.table import branches
from kitlib.parsers.conntrack import Connection, Tuple

PREROUTING = (("PREROUTING", "raw"), ("PREROUTING", "mangle"), ("PREROUTING", "nat"), ("routing", ""))
INPUT = (("INPUT", "mangle"), ("INPUT", "filter"), ("INPUT", "nat"))
FORWARD = (("FORWARD", "mangle"), ("FORWARD", "filter"), ("POSTROUTING", "mangle"), ("POSTROUTING", "nat"))
OUTPUT = (("routing", ""), ("OUTPUT", "raw"), ("OUTPUT", "mangle"), ("OUTPUT", "nat"), ("OUTPUT", "filter"),
          ("routing again", ""), ("POSTROUTING", "mangle"), ("POSTROUTING", "nat"))
BEFORE_CONNTRACK = frozenset({"INVALID"})           # what xt_conntrack.c says of a packet that has no connection yet
CHANGES_DESTINATION = ("PREROUTING", "OUTPUT")      # nat at the other two hooks changes the source
MOST_ASSUMED = 150                                  # paths that rest on assumptions; each unknown rule may double them


def simulate(netfilter: Netfilter, packet: Packet, connection: Connection | None = None) -> tuple[PacketPath, ...]:
    """Find every path that a packet may take; their probabilities add up to 1.

    It comes in if it has an in-interface, else it was made here. `connection` is the one that conntrack knows it by:
    then it is not the first packet. Where something else decides too (`netfilter.unknown`), every end is undecided.
    KitError if the packet's addresses are none.
    """
    try:
        source, destination = (str(ip_address(address)) for address in packet[:2])
    except ValueError:
        raise KitError(f"A packet has addresses such as 10.244.2.3 or fd00::3; found: {packet}") from None
    packet = packet._replace(source=source, destination=destination)
    if connection and "UNTRACKED" not in packet.states:
        packet = packet._replace(states=_states(packet, connection))
    paths: list[PacketPath] = []
    assumed, left = 0, 1.0
    for path in _ways(netfilter, PacketPath(packet), connection):
        assumed += bool(path.assumptions)
        if assumed > MOST_ASSUMED:
            paths.append(replace(path, end="is undecided", probability=left, why="too much is not known here"))
            break
        left -= path.probability
        paths.append(path)
    native = netfilter.nft.unknown if netfilter.nft else ()
    unknown = "; ".join((*netfilter.ruleset.unknown, *netfilter.unknown, *native))
    return tuple(replace(path, end="is undecided", why=unknown) for path in paths) if unknown else tuple(paths)


def _ways(netfilter: Netfilter, path: PacketPath, connection: Connection | None) -> Iterator[PacketPath]:
    """Yield the paths through the tables of iptables, or through those of nftables where these decide."""
    if netfilter.nft:
        from kitlib.netfilter.nft_hooks import travel  # late: only a cluster in nftables mode needs it

        return travel(netfilter, path, connection)
    return _travel(netfilter, path, PREROUTING if path.packet.in_interface else OUTPUT, connection)


def _travel(netfilter: Netfilter, path: PacketPath, stops: tuple[tuple[str, str], ...],
            connection: Connection | None) -> Iterator[PacketPath]:
    if path.end or not stops:
        yield path if path.end else replace(path, end=ending(path.after))
        return
    (hook, table), *rest = stops
    if not table:
        path, more = route_step(netfilter, hook, path)
        yield from _travel(netfilter, path, (*rest, *more), connection)
    elif table == "nat" and (connection or "NEW" not in path.after.states):
        step = remembered_step(hook, path, None if "UNTRACKED" in path.after.states else connection)
        yield from _travel(netfilter, replace(path, hook_steps=(*path.hook_steps, step)), tuple(rest), connection)
    else:
        for further in _through(netfilter, hook, table, path):
            yield from _travel(netfilter, further, tuple(rest), connection)


def _through(netfilter: Netfilter, hook: str, table: str, path: PacketPath) -> Iterator[PacketPath]:
    """Yield the path on the far side of a table, once for each branch; as it is if the table has no such hook."""
    if netfilter.ruleset.chain(table, hook) is None:
        yield path
        return
    states = path.after.states
    is_unknown = table == "raw" and path.after.in_interface != "lo"       # what comes by lo was known when it was made
    here = path.after._replace(states=BEFORE_CONNTRACK) if is_unknown else path.after
    for branch in branches(netfilter, hook, table, here):
        after = branch.packet
        after = after._replace(states=states) if after.states == BEFORE_CONNTRACK else after
        step = HookStep(hook, table, here, after, "", branch.trail, netfilter)
        yield PacketPath(path.packet, (*path.hook_steps, step), branch.end, path.probability * branch.probability,
                         (*path.assumptions, *branch.assumptions), branch.why)


def route_step(netfilter: Netfilter, hook: str, path: PacketPath) -> tuple[PacketPath, tuple[tuple[str, str], ...]]:
    """Add the routing decision to a path; return also the stops that come next if the packet came in."""
    here, decision = path.after, netfilter.route(path.after.destination)
    step, end, why = HookStep(hook, "", here, here, decision.why), "", ""
    more = () if not here.in_interface else INPUT if decision.is_local else FORWARD
    if decision.unknown:
        end, why = "is undecided", decision.unknown
    elif here.in_interface and ip_address(here.destination).is_multicast:
        end, why = "is undecided", "which multicast groups this machine has joined, or forwards, is not known here"
    elif not (decision.is_local or decision.is_unicast):
        end = f"is lost: {decision.why}"
    elif here.in_interface and not decision.is_local and not netfilter.forwards:
        setting = "net.ipv6.conf.all.forwarding" if ":" in here.destination else "net.ipv4.ip_forward"
        step = replace(step, why=f"{decision.why}, but {setting} is 0: this machine forwards nothing")
        end = f"is lost: {setting} is 0"
    elif not (here.in_interface and decision.is_local):
        step = replace(step, after=here._replace(out_interface=decision.device))
    return replace(path, hook_steps=(*path.hook_steps, step), end=end, why=why), more


def remembered_step(hook: str, path: PacketPath, connection: Connection | None) -> HookStep:
    """Pass nat with a packet of a known connection: conntrack repeats or undoes what was decided, no rule is read."""
    here = path.after
    if connection is None:
        why = "not the first packet of its connection" if here.states & {"ESTABLISHED", "RELATED"} else \
            "conntrack does not follow this packet"
        return HookStep(hook, "nat", here, here, f"{why}: nat's rules are not read")
    is_reply = _is_reply(path.packet, connection)
    towards = connection.original.inverse if is_reply else connection.reply.inverse
    if hook in CHANGES_DESTINATION:
        after = here._replace(destination=towards.destination.address, dport=towards.destination.port or None)
    else:
        after = here._replace(source=towards.source.address, sport=towards.source.port or None)
    how = "undoes" if is_reply else "repeats"
    rewrite = f"conntrack {how} the rewrite: {here} becomes {after}" if after != here else "nothing was rewritten"
    return HookStep(hook, "nat", here, after, f"not the first packet of its connection: {rewrite}")


def _states(packet: Packet, connection: Connection) -> frozenset[str]:
    """What conntrack thinks of a packet that is not its connection's first: NEW until an answer has been seen."""
    rewritten = {"DNAT": connection.original.destination != connection.reply.source,
                 "SNAT": connection.original.source != connection.reply.destination}
    is_new = "UNREPLIED" in connection.flags and not _is_reply(packet, connection)
    return frozenset({"NEW" if is_new else "ESTABLISHED", *(name for name, happened in rewritten.items() if happened)})


def _is_reply(packet: Packet, connection: Connection) -> bool:
    """Tell whether it answers. What comes by lo has had its rewrite undone already, where it was made."""
    return any(_fits(packet, direction) for direction in (connection.reply, connection.original.inverse))


def _fits(packet: Packet, direction: Tuple) -> bool:
    """Tell whether this packet, as it came in, belongs to that direction of a connection."""
    return ((packet.source, packet.sport) == tuple(direction.source)
            and direction.destination.port in (0, packet.dport))


def ending(after: Packet) -> str:
    """Say how a packet that nothing stopped leaves the machine."""
    out = after.out_interface
    return "comes in again by lo" if out == "lo" else f"goes out of {out}" if out else "is delivered here"
