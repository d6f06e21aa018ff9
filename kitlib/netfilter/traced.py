"""The walk beside the kernel's own trace of the same packet: do both tell of the same rules, in the same order?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.packet import Packet, Step
from kitlib.netfilter.path import Passage, Walk
from kitlib.netfilter.walk import walks
from kitlib.parsers.conntrack import Entry
from kitlib.parsers.rule_trace import Met


@dataclass(frozen=True)
class Followed:
    """A packet that the kernel traced: the way of the walk that fits best, and where the two differ, in words."""

    walk: Walk
    met: tuple[Met, ...]
    differences: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[Step | None, Met | None], ...]:
        """Line by line: what the walk says and what the kernel says."""
        return tuple(zip_longest(told(self.walk, self.met), self.met))


def follow(kernel: Kernel, traces: dict[str, tuple[Met, ...]]) -> tuple[Followed, ...]:
    """Walk every traced packet, in the order of the trace; connections are remembered from packet to packet.

    Which way a coin sent the packet is taken from the trace; everything else is worked out from rules and routes.
    """
    entries: list[Entry] = []
    followed = []
    for met in traces.values():
        packet = packet_of(met[0])
        entry = next((known for known in reversed(entries) if _belongs(packet, known)), None)
        best = min((compared(walk, met) for walk in walks(kernel, packet, entry)),
                   key=lambda one: len(one.differences))
        followed.append(best)
        if best.walk.begins_connection:
            entries.append(best.walk.entry)
    return tuple(followed)


def packet_of(met: Met) -> Packet:
    """The packet as the trace's first line has it; NEW, until a connection is found that it belongs to."""
    said = met.packet
    came_in, sport, dport = said.get("IN", ""), int(said.get("SPORT", 0)), int(said.get("DPORT", 0))
    protocol = "tcp" if {"SYN", "ACK", "SEQ"} & said.keys() else "udp"      # xtables-monitor does not name it
    return Packet(said["SRC"], said["DST"], protocol, sport, dport, came_in, "" if came_in else said.get("OUT", ""),
                  int(said.get("MARK", "0"), 0))


def compared(walk: Walk, met: tuple[Met, ...]) -> Followed:
    """One way of the walk against the trace: rules, verdicts, and the packet (addresses, ports, mark) at each hook."""
    differences = []
    headers = {(passage.hook, passage.table): _first_told(passage) for passage in walk.passages}
    for step, line in zip_longest(told(walk, met), met):
        ours = (step.table, step.chain, step.verdict, step.rule.text if step.rule else "") if step else None
        kernels = (line.table, line.chain, line.verdict, line.rule) if line else None
        if ours != kernels:
            differences.append(f"the walk says {ours}, the kernel {kernels}")
        elif not line.rule or line.chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"):
            differences += _other_header(headers[line.chain, line.table], line)
    return Followed(walk, met, tuple(differences))


def told(walk: Walk, met: tuple[Met, ...]) -> tuple[Step, ...]:
    """The steps that a trace would tell of: rules that matched, and policies of the chains that the kernel has.

    A built-in chain without rules need not exist in the kernel, though iptables-save prints it.
    """
    with_policy = {(line.table, line.chain) for line in met if not line.rule}
    return tuple(step for step in walk.matched if step.rule or (step.table, step.chain) in with_policy)


def _first_told(passage: Passage) -> Packet:
    """The packet in the trace's header of a stop: nft_trace.c writes it after the first rule, which may have marked."""
    return passage.before._replace(mark=next((step.after.mark for step in passage.matched), passage.before.mark))


def _other_header(packet: Packet, line: Met) -> list[str]:
    """Where the header differs; a port that the walk has drawn at random may be any."""
    ours = {"SRC": packet.source, "DST": packet.destination, "SPORT": packet.sport, "DPORT": packet.dport,
            "MARK": packet.mark, "IN": packet.in_interface, "OUT": packet.out_interface}
    kernels = {name: line.packet.get(name, "") for name in ours}
    kernels |= {name: int(kernels[name] or "0", 0) for name in ("SPORT", "DPORT", "MARK")}
    return [f"at {line.table} {line.chain} the walk has {name} {ours[name]}, the kernel {kernels[name]}"
            for name in ours if ours[name] is not None and ours[name] != kernels[name]]


def _belongs(packet: Packet, entry: Entry) -> bool:
    """Is this the packet of a known connection, in either direction? A port drawn at random (0) fits any."""
    if packet.protocol != entry.protocol:
        return False
    for way in (entry.original, entry.reply):
        addresses = (packet.source, packet.destination) == (way.source.address, way.destination.address)
        if addresses and packet.sport == way.source.port and way.destination.port in (0, packet.dport):
            return True
    return False
