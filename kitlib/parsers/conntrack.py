"""The connections that a kernel remembers, as `conntrack -L` lists them: conntrack(8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kitlib.errors import ParseError, number
from kitlib.sighting import Socket

TUPLE = re.compile(r"src=(\S+) dst=(\S+)(?: sport=(\d+) dport=(\d+))?")
HEAD = re.compile(r"(?:ipv[46]\s+\d+\s+)?([a-z]\S*)\s+\d+ (?:(\d+) )?(?:timeout=\d+, stream_timeout=\d+ )?"
                  r"(?:([A-Z_]+) )?src=")
SUMMARY = re.compile(r"conntrack v\S+ \(conntrack-tools\)")


class Tuple(NamedTuple):
    """One direction of a connection: its source and its destination. Without ports (ICMP, GRE) they are 0."""

    source: Socket
    destination: Socket

    @property
    def inverse(self) -> Tuple:
        """Return the same as the other end sees it."""
        return Tuple(self.destination, self.source)


@dataclass(frozen=True)
class Connection:
    """A connection: how its first packet came in, and how its reply will look when it comes in."""

    protocol: str
    original: Tuple
    reply: Tuple
    seconds_left: int | None = None
    state: str = ""                # TCP's; UDP has none
    flags: tuple[str, ...] = ()    # ASSURED, UNREPLIED, OFFLOAD
    mark: int = 0
    zone: int = 0                  # connections of different zones may look alike


def connections(text: str) -> tuple[Connection, ...]:
    """Return the connections in the output of `conntrack -L` (with or without `-o extended`). Raises ParseError."""
    lines = (line for line in text.splitlines() if line.strip() and not SUMMARY.match(line))
    return tuple(_connection(line) for line in lines)


def _connection(line: str) -> Connection:
    head, tuples = HEAD.match(line), TUPLE.findall(line)
    if not head or len(tuples) != 2:
        raise ParseError("conntrack -L", "PROTOCOL … and two tuples src=… dst=… sport=… dport=…", line)
    original, reply = (Tuple(Socket(source, number(sport or "0", "conntrack -L")),
                             Socket(destination, number(dport or "0", "conntrack -L")))
                       for source, destination, sport, dport in tuples)
    mark, zone = (found and number(found[1], "conntrack -L") for found in (
        re.search(r"\bmark=(\d+)", line), re.search(r"\bzone(?:-orig|-reply)?=(\d+)", line)))
    return Connection(head[1], original, reply, number(head[2], "conntrack -L") if head[2] else None, head[3] or "",
                      tuple(re.findall(r"\[([A-Z_]+)\]", line)), mark or 0, zone or 0)
