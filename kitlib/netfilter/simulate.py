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
from types import ModuleType

from kitlib.errors import KitError
from kitlib.netfilter import table
from kitlib.netfilter.branch import Stop
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.steps import ending, is_reply, remembered_step, route_step
from kitlib.parsers.conntrack import Connection

INCOMING, MADE_HERE = ("prerouting", "routing"), ("routing", "output", "routing again", "postrouting")
MOST_ASSUMED = 150                                  # paths that rest on assumptions; each unknown rule may double them


def simulate(netfilter: Netfilter, packet: Packet, connection: Connection | None = None) -> tuple[PacketPath, ...]:
    """Find every path that a packet may take; their probabilities add up to 1.

    It comes in if it has an in-interface (of a bridge's port it comes in by the bridge), else it was made here.
    `connection` is the one that conntrack knows it by: then it is not the first packet. Where something else decides
    too (`netfilter.unknown`), every end is undecided.
    KitError if the packet's addresses are none.
    """
    try:
        source, destination = (str(ip_address(address)) for address in packet[:2])
    except ValueError:
        raise KitError(f"A packet has addresses such as 10.244.2.3 or fd00::3; found: {packet}") from None
    netfilter = netfilter.of(source)
    packet = packet._replace(source=source, destination=destination, in_interface=netfilter.way_in(packet.in_interface))
    if connection and "UNTRACKED" not in packet.states:
        packet = packet._replace(states=_states(packet, connection))
    if packet.protocol == "tcp" and "NEW" in packet.states and packet.tcp_flags is None:
        packet = packet._replace(tcp_flags=frozenset({"SYN"}))      # of the segment that opens a connection
    paths: list[PacketPath] = []
    assumed, left = 0, 1.0
    for path in _travel(netfilter, PacketPath(packet), INCOMING if packet.in_interface else MADE_HERE, connection):
        assumed += bool(path.forks)
        if assumed > MOST_ASSUMED:
            paths.append(replace(path, end="is undecided", probability=left, why="too much is not known here"))
            break
        left -= path.probability
        paths.append(path)
    unknown = "; ".join((*netfilter.ruleset.unknown, *netfilter.unknown, *_mode(netfilter).unknown(netfilter, packet)))
    return tuple(replace(path, end="is undecided", why=unknown) for path in paths) if unknown else tuple(paths)


def _travel(netfilter: Netfilter, path: PacketPath, hooks: tuple[str, ...], connection: Connection | None
            ) -> Iterator[PacketPath]:
    """Yield every path of a packet through the hooks that are still to come."""
    if path.end or not hooks:
        yield path if path.end else replace(path, end=ending(path.after))
        return
    hook, *rest = hooks
    if hook.startswith("routing"):
        path, more = route_step(netfilter, hook, path)
        yield from _travel(netfilter, path, (*rest, *more), connection)
        return
    for further in _through(netfilter, _mode(netfilter).stops(netfilter, hook, path.packet), path, connection):
        yield from _travel(netfilter, further, tuple(rest), connection)


def _through(netfilter: Netfilter, left: tuple[Stop, ...], path: PacketPath,
             connection: Connection | None) -> Iterator[PacketPath]:
    """Yield the path on the far side of these stops, once for each branch."""
    if path.end or not left:
        yield path
        return
    stop, *rest = left
    if stop.is_nat and (connection or "NEW" not in path.after.states):
        step = remembered_step(stop.hook.upper(), path, None if "UNTRACKED" in path.after.states else connection)
        behind_it = iter([replace(path, hook_steps=(*path.hook_steps, step))])
    else:
        behind_it = _mode(netfilter).past(netfilter, stop, path)
    for further in behind_it:
        yield from _through(netfilter, tuple(rest), further, connection)


def _mode(netfilter: Netfilter) -> ModuleType:
    """Return the module that knows the stops, and what becomes of a packet there: of iptables, or of nftables."""
    if netfilter.nft:
        from kitlib.netfilter import nft_hooks  # late: only a cluster in nftables mode needs it

        return nft_hooks
    return table


def _states(packet: Packet, connection: Connection) -> frozenset[str]:
    """What conntrack thinks of a packet that is not its connection's first: NEW until an answer has been seen."""
    rewritten = {"DNAT": connection.original.destination != connection.reply.source,
                 "SNAT": connection.original.source != connection.reply.destination}
    is_new = "UNREPLIED" in connection.flags and not is_reply(packet, connection)
    return frozenset({"NEW" if is_new else "ESTABLISHED", *(name for name, happened in rewritten.items() if happened)})
