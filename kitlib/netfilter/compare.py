"""The rule walk beside the kernel's own trace of the same packet: do both name the same rules, in the same order?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from kitlib.netfilter.packet import Packet, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath, connection_between
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.conntrack import Connection
from kitlib.parsers.xtables_monitor import TraceLine

NEW_BY_FLAGS = (set(), {"SYN"}, {"ACK"})     # UDP, and what begins a TCP connection: nf_conntrack_proto_tcp.c


@dataclass(frozen=True)
class TracedPath:
    """A packet that the kernel traced: the simulated path that fits best, and where the two differ, in words."""

    path: PacketPath
    trace_lines: tuple[TraceLine, ...]
    differences: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[RuleStep | None, TraceLine | None], ...]:
        """Line by line: what the walk says and what the kernel says."""
        return tuple(zip_longest(_reported(self.path, self.trace_lines), self.trace_lines))


Comparison = Callable[[PacketPath, tuple[TraceLine, ...]], TracedPath]


def traced_paths(netfilter: Netfilter, traces: dict[str, tuple[TraceLine, ...]],
                 comparison: Comparison | None = None) -> tuple[TracedPath, ...]:
    """Simulate every traced packet, in the order of the trace; connections are remembered from packet to packet.

    Which endpoint a coin chose is taken from the trace, and so is what an older connection is rewritten to; everything
    else is worked out from rules and routes.
    """
    connections: list[Connection] = []
    made_here: list[Packet] = []            # those that come in again by lo, as they left
    found = []
    for lines in traces.values():
        packet = _by_lo(packet_of(lines[0])._replace(holds=_strings(lines)), made_here)
        known = next((each for each in reversed(connections) if _direction(packet, each)), None)
        best, connection = _best(netfilter, packet, _guesses(packet, known, lines), lines, comparison or compare)
        found.append(best)
        if best.path.end == "comes in again by lo":
            made_here.append(best.path.after)
        is_tracked = "UNTRACKED" not in best.path.after.states
        if connection and is_tracked and _direction(packet, connection) == "reply":
            connections.append(replace(connection, flags=()))
        elif not connection and best.path.is_remembered:
            connections.append(replace(best.path.connection, flags=("UNREPLIED",)))
    return tuple(found)


def _by_lo(packet: Packet, made_here: list[Packet]) -> Packet:
    """Give a packet that was made here and comes in by lo what the trace does not tell of it: its mark, no tracking."""
    for made in reversed(made_here) if packet.in_interface == "lo" else ():
        if made[:3] == packet[:3] and made.sport in (None, packet.sport) and made.dport == packet.dport:
            return packet._replace(mark=made.mark, states=made.states if "UNTRACKED" in made.states else packet.states)
    return packet


def _guesses(packet: Packet, known: Connection | None, lines: tuple[TraceLine, ...]) -> Iterator[Connection | None]:
    """Yield what the kernel may remember of a packet, the likeliest first; a trace need not have every packet."""
    yield known
    if known is None:
        # One whose first packets were not traced: CoreDNS keeps its sockets for 10 s. The last line has it rewritten.
        yield connection_between(packet, packet_of(lines[-1]))
    elif known.flags:
        yield replace(known, flags=())          # its answer came, but was not traced


def _best(netfilter: Netfilter, packet: Packet, guesses: Iterable[Connection | None],
          lines: tuple[TraceLine, ...], comparison: Comparison) -> tuple[TracedPath, Connection | None]:
    """Find the path that differs least from the trace, and the connection that it belongs to."""
    found = []
    for connection in guesses:
        paths = (comparison(path, lines) for path in simulate(netfilter, packet, connection))
        found.append((min(paths, key=lambda one: len(one.differences)), connection))
        if not found[-1][0].differences:
            return found[-1]
    return min(found, key=lambda one: len(one[0].differences))


def _strings(lines: tuple[TraceLine, ...]) -> frozenset[str]:
    """The strings that rules have found in the packet: a trace names every rule that matched."""
    return frozenset(string for line in lines for string in re.findall(r'--(?:hex-)?string "([^"]*)"', line.rule))


def packet_of(line: TraceLine) -> Packet:
    """Return the packet as a line of its trace has it; NEW, until a connection is found that it belongs to."""
    header = line.packet
    in_interface, sport, dport = header.get("IN", ""), int(header.get("SPORT", 0)), int(header.get("DPORT", 0))
    every = frozenset({"SYN", "ACK", "RST", "FIN", "PSH", "URG"} & header.keys())
    flags = every - {"PSH", "URG"}                                      # xtables-monitor does not name the protocol
    state = "NEW" if flags in NEW_BY_FLAGS else "INVALID"
    return Packet(header["SRC"], header["DST"], "tcp" if flags else "udp", sport, dport, in_interface,
                  "" if in_interface else header.get("OUT", ""), int(header.get("MARK", "0"), 0), frozenset({state}),
                  tcp_flags=every if flags else None)


def compare(path: PacketPath, lines: tuple[TraceLine, ...]) -> TracedPath:
    """Compare a path with a trace: rules, verdicts, and the packet (addresses, ports, mark) at each hook."""
    headers = {(step.hook, step.table): _reported_packet(step) for step in path.hook_steps}
    return compared(path, lines, _reported(path, lines), lambda line: headers.get((line.chain, line.table)))


def compared(path: PacketPath, lines: tuple[TraceLine, ...], steps: Sequence[RuleStep],
             header: Callable[[TraceLine], Packet | None]) -> TracedPath:
    """Lay the steps beside the lines; `header` returns the packet as the walk has it at a line, if that is known."""
    differences = []
    for step, line in zip_longest(steps, lines):
        if difference := _line_difference(step, line):
            differences.append(difference)
        elif packet := header(line):
            differences += _header_differences(packet, line)
    return TracedPath(path, lines, tuple(differences))


def _line_difference(step: RuleStep | None, line: TraceLine | None) -> str:
    """Say where a step of the walk and a line of the trace tell of another rule or verdict; "" if they agree."""
    ours = (step.table, step.chain, step.verdict, step.rule.text if step.rule else "") if step else None
    kernels = (line.table, line.chain, line.verdict, line.rule) if line else None
    return f"the walk says {ours}, the kernel {kernels}" if ours != kernels else ""


def _reported_packet(step: HookStep) -> Packet:
    """The packet as a trace has it at a hook: as it came, but with the mark that the first rule has left."""
    return step.before._replace(mark=step.matched[0].after.mark) if step.matched else step.before


def _reported(path: PacketPath, lines: tuple[TraceLine, ...]) -> tuple[RuleStep, ...]:
    """The steps that a trace would report: rules that matched, and policies of the chains that the kernel has.

    A built-in chain without rules need not exist in the kernel, though iptables-save prints it.
    """
    with_policy = {(line.table, line.chain) for line in lines if not line.rule}
    return tuple(step for step in path.matched if step.rule or (step.table, step.chain) in with_policy)


def _header_differences(packet: Packet, line: TraceLine) -> list[str]:
    """Say where the header differs; a port that the walk has drawn at random may be any."""
    ours = {"SRC": packet.source, "DST": packet.destination, "SPORT": packet.sport, "DPORT": packet.dport,
            "MARK": packet.mark, "IN": packet.in_interface, "OUT": packet.out_interface}
    kernels = {name: line.packet.get(name, "") for name in ours}
    kernels |= {name: int(kernels[name] or "0", 0) for name in ("SPORT", "DPORT", "MARK")}
    return [f"at {line.table} {line.chain} the walk has {name} {ours[name]}, the kernel {kernels[name]}"
            for name in ours if ours[name] is not None and ours[name] != kernels[name]]


def _direction(packet: Packet, connection: Connection) -> str:
    """Tell which way a packet of this connection goes, original or reply; "" for any other. A port 0 fits any."""
    directions = [("original", connection.original), ("reply", connection.reply)]
    if packet.in_interface == "lo":         # rewritten where it was made, it comes in as it went out
        directions += [("original", connection.reply.inverse), ("reply", connection.original.inverse)]
    for name, (source, destination) in directions if packet.protocol == connection.protocol else ():
        addresses = (packet.source, packet.destination) == (source.address, destination.address)
        if addresses and source.port in (0, packet.sport) and destination.port in (0, packet.dport):
            return name
    return ""
