"""What `ethtool -S INTERFACE` prints: a driver's own counters; a veth's tell the ifindex of its other end."""

from __future__ import annotations

import re

from kitlib.errors import ParseError


def statistics(text: str) -> dict[str, int]:
    """The statistics by name. Raises ParseError."""
    heading, *rows = text.splitlines() or [""]
    if heading != "NIC statistics:" or not rows:
        raise ParseError("ethtool -S", "NIC statistics: and a line for each", text.strip(), "line 1")
    return dict(_statistic(row, number) for number, row in enumerate(rows, start=2) if row.strip())


def peer_ifindex(text: str) -> int:
    """The ifindex of a veth's other end, in that end's namespace (drivers/net/veth.c in Linux). Raises ParseError."""
    found = statistics(text)
    if "peer_ifindex" not in found:
        raise ParseError("ethtool -S", "peer_ifindex, as a veth has it", ", ".join(found))
    return found["peer_ifindex"]


def _statistic(row: str, number: int) -> tuple[str, int]:
    match = re.fullmatch(r"\s+(\S.*?): (-?\d+)", row)
    if not match:
        raise ParseError("ethtool -S", "NAME: NUMBER", row, f"line {number}")
    return match[1], int(match[2])
