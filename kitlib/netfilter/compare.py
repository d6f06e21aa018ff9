"""The walk beside the kernel's own trace of the same packet: do both tell of the same rules, in the same order?"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import zip_longest

from kitlib.netfilter.packet import Packet, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.conntrack import Connection, Tuple
from kitlib.parsers.xtables_monitor import TraceLine
from kitlib.sighting import Socket

NEW_BY_FLAGS = (set(), {"SYN"}, {"ACK"})     # UDP, and what begins a TCP connection: nf_conntrack_proto_tcp.c


@dataclass(frozen=True)
class TracedPath:
    """A packet that the kernel traced: the way of the walk that fits best, and where the two differ, in words."""

    walk: PacketPath
    met: tuple[TraceLine, ...]
    differences: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[RuleStep | None, TraceLine | None], ...]:
        """Line by line: what the walk says and what the kernel says."""
        return tuple(zip_longest(told(self.walk, self.met), self.met))


def traced_paths(kernel: Netfilter, traces: dict[str, tuple[TraceLine, ...]]) -> tuple[TracedPath, ...]:
    """Walk every traced packet, in the order of the trace; connections are remembered from packet to packet.

    Which way a coin sent the packet is taken from the trace, and what an older connection is rewritten to; everything
    else is worked out from rules and routes.
    """
    entries: list[Connection] = []
    untracked: set[tuple] = set()
    followed = []
    for met in traces.values():
        packet = packet_of(met[0])._replace(holds=_found_in(met))
        entry = next((known for known in reversed(entries) if _direction(packet, known)), None)
        if packet.in_interface == "lo" and packet[:5] in untracked:
            packet = packet._replace(states=frozenset({"UNTRACKED"}))
        best = _best(kernel, packet, entry, met)
        if best.differences and not entry:
            older = _older_connection(packet, packet_of(met[-1]))
            other = _best(kernel, packet, older, met)
            if len(other.differences) < len(best.differences):
                best, entry = other, older
        followed.append(best)
        if "UNTRACKED" in best.walk.after.states:
            untracked.add(best.walk.after[:5])
        elif entry and _direction(packet, entry) == "reply":
            entries.append(replace(entry, flags=()))
        elif not entry and best.walk.is_remembered:
            entries.append(replace(best.walk.entry, flags=("UNREPLIED",)))
    return tuple(followed)


def _best(kernel: Netfilter, packet: Packet, entry: Connection | None, met: tuple[TraceLine, ...]) -> TracedPath:
    return min((compared(walk, met) for walk in simulate(kernel, packet, entry)), key=lambda one: len(one.differences))


def _older_connection(first: Packet, last: Packet) -> Connection:
    """The connection of a packet whose first packets were not traced (CoreDNS keeps its sockets for 10 s).

    What it is rewritten to is read from the trace: the packet as it came, and as it was when last told of.
    """
    original, rewritten = (Tuple(Socket(one.source, one.sport), Socket(one.destination, one.dport))
                           for one in (first, last))
    return Connection(first.protocol, original, rewritten.inverse)


def _found_in(met: tuple[TraceLine, ...]) -> frozenset[str]:
    """The strings that rules have found in the packet: a trace tells of every rule that matched."""
    return frozenset(string for line in met for string in re.findall(r'--(?:hex-)?string "([^"]*)"', line.rule))


def packet_of(met: TraceLine) -> Packet:
    """The packet as the trace's first line has it; NEW, until a connection is found that it belongs to."""
    said = met.packet
    came_in, sport, dport = said.get("IN", ""), int(said.get("SPORT", 0)), int(said.get("DPORT", 0))
    flags = {"SYN", "ACK", "RST", "FIN"} & said.keys()                  # xtables-monitor does not name the protocol
    state = "NEW" if flags in NEW_BY_FLAGS else "INVALID"
    return Packet(said["SRC"], said["DST"], "tcp" if flags else "udp", sport, dport, came_in,
                  "" if came_in else said.get("OUT", ""), int(said.get("MARK", "0"), 0), frozenset({state}))


def compared(walk: PacketPath, met: tuple[TraceLine, ...]) -> TracedPath:
    """One way of the walk against the trace: rules, verdicts, and the packet (addresses, ports, mark) at each hook."""
    differences = []
    headers = {(passage.hook, passage.table): _as_told(passage) for passage in walk.hook_steps}
    for step, line in zip_longest(told(walk, met), met):
        ours = (step.table, step.chain, step.verdict, step.rule.text if step.rule else "") if step else None
        kernels = (line.table, line.chain, line.verdict, line.rule) if line else None
        if ours != kernels:
            differences.append(f"the walk says {ours}, the kernel {kernels}")
        elif not line.rule or line.chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"):
            differences += _other_header(headers[line.chain, line.table], line)
    return TracedPath(walk, met, tuple(differences))


def _as_told(passage: HookStep) -> Packet:
    """The packet as a trace has it at a hook: as it came, but with the mark that the first rule has left."""
    return passage.before._replace(mark=passage.matched[0].after.mark) if passage.matched else passage.before


def told(walk: PacketPath, met: tuple[TraceLine, ...]) -> tuple[RuleStep, ...]:
    """The steps that a trace would tell of: rules that matched, and policies of the chains that the kernel has.

    A built-in chain without rules need not exist in the kernel, though iptables-save prints it.
    """
    with_policy = {(line.table, line.chain) for line in met if not line.rule}
    return tuple(step for step in walk.matched if step.rule or (step.table, step.chain) in with_policy)


def _other_header(packet: Packet, line: TraceLine) -> list[str]:
    """Where the header differs; a port that the walk has drawn at random may be any."""
    ours = {"SRC": packet.source, "DST": packet.destination, "SPORT": packet.sport, "DPORT": packet.dport,
            "MARK": packet.mark, "IN": packet.in_interface, "OUT": packet.out_interface}
    kernels = {name: line.packet.get(name, "") for name in ours}
    kernels |= {name: int(kernels[name] or "0", 0) for name in ("SPORT", "DPORT", "MARK")}
    return [f"at {line.table} {line.chain} the walk has {name} {ours[name]}, the kernel {kernels[name]}"
            for name in ours if ours[name] is not None and ours[name] != kernels[name]]


def _direction(packet: Packet, entry: Connection) -> str:
    """Which way a packet of this connection goes, original or reply; "" for any other. A random port (0) fits any."""
    ways = [("original", entry.original), ("reply", entry.reply)]
    if packet.in_interface == "lo":         # rewritten where it was made, it comes in as it went out
        ways += [("original", entry.reply.inverse), ("reply", entry.original.inverse)]
    for name, way in ways if packet.protocol == entry.protocol else ():
        addresses = (packet.source, packet.destination) == (way.source.address, way.destination.address)
        if addresses and way.source.port in (0, packet.sport) and way.destination.port in (0, packet.dport):
            return name
    return ""
