"""Where the time of a journey goes: its spans, each named by what lies between two sightings.

Takes differ: the coin may send the query to another CoreDNS pod behind another veth. So a span is named by the part
that its ends play (CoreDNS's node, its veth), not by the names of interfaces, and takes can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from kitlib.drawings.ladder_words import Row, nat, point, rows
from kitlib.journey.model import Journey
from kitlib.sighting import VantagePoint

THERE, UNSEEN, SERVER, UPSTREAM, BACK = PHASES = ("the way there", "out of sight", "inside CoreDNS", "upstream",
                                                   "the way back")
WHOLE = "the whole"


class Span(NamedTuple):
    """What lies between two sightings that follow each other, and in which part of the journey."""

    phase: str
    name: str


class Spread(NamedTuple):
    """The middle, the least and the most of several times, in nanoseconds."""

    median: float
    least: float
    most: float


def spans(journey: Journey) -> dict[Span, int]:
    """Cut up the journey's time from its first sighting to its last at every sighting between; in nanoseconds."""
    found: dict[Span, int] = {}
    for before, now in pairwise(rows(journey)):
        span = _span(before, now, journey)
        found[span] = found.get(span, 0) + now.since_first_ns - before.since_first_ns
    return found


def span_order(found: Iterable[Iterable[Span]]) -> list[Span]:
    """Return all spans of several journeys, each where it comes on the way."""
    order: list[Span] = []
    for one in sorted(map(list, found), key=len, reverse=True):
        at = 0
        for span in one:
            if span not in order:
                order.insert(at, span)
            at = order.index(span) + 1
    return sorted(order, key=lambda span: PHASES.index(span.phase))


def by_phase(found: dict[Span, int]) -> dict[str, int]:
    """Return the time of each part that this journey has, in nanoseconds."""
    return {phase: sum(took for span, took in found.items() if span.phase == phase)
            for phase in PHASES if any(span.phase == phase for span in found)}


def _span(before: Row, now: Row, journey: Journey) -> Span:
    (who, end), (next_who, next_end) = (_part(point(row.hop), journey) for row in (before, now))
    way = f"{who}: {end} → {next_end}" if who == next_who and end else \
        f"{who} {end}".strip() + " → " + f"{next_who} {next_end}".strip()
    if before.leg_index == now.leg_index and before.hop.direction == now.hop.direction:
        phase = UPSTREAM if now.leg_index else THERE if now.hop.direction == "query" else BACK
        return Span(phase, f"{way}{_done(now)}")
    if before.leg_index == now.leg_index:
        if who == "CoreDNS" and not now.leg_index:
            return Span(SERVER, "answers at once")
        return Span(UPSTREAM if now.leg_index else UNSEEN, f"beyond {who} {end}".strip())
    if 0 in (before.leg_index, now.leg_index):
        what = "makes its answer" if now.hop.direction == "response" else "before it asks upstream"
        return Span(SERVER, what if who == next_who == "CoreDNS" else f"{way}: {what}")
    what = "passes the answer back" if now.hop.direction == "response" else "asks the next server"
    return Span(UPSTREAM, f"{who}: a resolver {what}" if who == next_who else way)


def _part(at: VantagePoint, journey: Journey) -> tuple[str, str]:
    """Say which part a vantage point plays in this journey: whose it is, and which end there."""
    near, far = (point(hop).machine for hop in (journey.client_leg.hops[0], journey.client_leg.farthest))
    if at.kind == "host":
        return "the bridge", ""
    if not at.place.startswith("node:"):
        return ("CoreDNS" if at.kind == "coredns" else at.title.removesuffix(at.interface).strip()), ""
    who = "CoreDNS's node" if at.machine == far != near else at.machine
    return who, "veth" if at.interface.startswith("veth") else at.interface


def _done(row: Row) -> str:
    """Say what the kernel did to the packet in between, as far as the packet shows it."""
    work = [nat(rewrite, row) or f"{rewrite.end} rewritten" for rewrite in row.hop.rewrites]
    if row.origin and row.hop.sighting.ttl < row.origin.sighting.ttl:
        work.append("route")
    return f" ({', '.join(work)})" if work else ""


def medians(found: Sequence[dict]) -> dict[Span | str, Spread]:
    """Return median, least and most of the values of each key in these dicts."""
    values: dict[Span | str, list[int]] = {}
    for one in found:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    return {key: Spread(median(those), min(those), max(those)) for key, those in values.items()}
