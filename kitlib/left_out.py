"""The frames of a capture in which no DNS message could be read: which they are, and why. None goes without a word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from kitlib.sighting import VantagePoint

SHOWN_DETAILS = 3
OTHER_PORT = "not to or from a port of DNS"
NO_PORTS = "neither UDP nor TCP"
ENCAPSULATED = "encapsulated, with a packet inside that is not looked at"
LINK_TYPE = "of a link type that is not read"
CUT = "cut short by the snapshot length of the capture"
DAMAGED = "with a damaged header"
FRAGMENT = "fragments that could not be joined, for others were not captured"
SEGMENT = "TCP segments of messages or connections that were not captured whole"
NO_MESSAGE = "to or from a port of DNS, but no whole DNS message"
EXTRANEOUS = "with more bytes than the DNS message has, extraneous behind its last record"
CERTAINLY_NONE = (OTHER_PORT, NO_PORTS, EXTRANEOUS)       # for all other reasons, a DNS message may be in the frame


class LeftOut(NamedTuple):
    """A frame of which something was left out; `detail` says more than the reason: ports, addresses, what is wrong."""

    point: VantagePoint | None
    frame: int
    reason: str
    detail: str

    @property
    def may_be_dns(self) -> bool:
        """Say whether this may have been a message that is missed elsewhere."""
        return self.reason not in CERTAINLY_NONE


def left_out_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """Count what was left out by vantage point and reason, one line each, with the most frequent details."""
    groups: dict[tuple[VantagePoint | None, str], list[LeftOut]] = defaultdict(list)
    for one in left_out:
        groups[one.point, one.reason].append(one)
    return [f"{len(group)} {'frame' if len(group) == 1 else 'frames'}{f' at {point.title}' if point else ''}: {reason} "
            f"({_details(group)})" for (point, reason), group in groups.items()]


def _details(group: list[LeftOut]) -> str:
    counts = Counter(one.detail for one in group)
    first = {one.detail: one.frame for one in reversed(group)}
    shown = [f"{detail}, {f'frame {first[detail]}' if count == 1 else f'{count} times from frame {first[detail]} on'}"
             for detail, count in counts.most_common(SHOWN_DETAILS)]
    more = len(counts) - len(shown)
    return "; ".join([*shown, *([f"and {more} others"] if more else [])])
