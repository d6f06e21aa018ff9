"""Brings what several machines captured onto one clock, as far as a query and its response seen on both allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from kitlib.backends import PointCapture
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Sighting


class Offset(NamedTuple):
    """How far a clock is ahead of another, and how wrong that may be; nanoseconds."""

    ahead_ns: int
    error_ns: int


def on_one_clock(seen: Sequence[PointCapture], machines: Mapping[str, str], ports: Sequence[int]) -> list[PointCapture]:
    """Return the captures with the times of the first machine's clock, each with a note on how far to trust them.

    `machines` has the machine of each place.
    """
    by_machine: dict[str, list[Sighting]] = {}
    for one in seen:
        by_machine.setdefault(machines[one.place], []).extend(sightings(one.frames, ports=ports))
    if len(by_machine) < 2:
        return list(seen)
    first, *others = by_machine
    offsets = {name: offset(by_machine[first], by_machine[name]) for name in others}
    words = "; ".join(["each machine has its own clock: compare times within one only",
                       *(_words(name, first, found) for name, found in offsets.items())])
    return [_moved(one, offsets.get(machines[one.place]), words) for one in seen]


def offset(here: Iterable[Sighting], there: Iterable[Sighting]) -> Offset | None:
    """Estimate how far the clock there is ahead; None if no query was seen with its response on both machines.

    As NTP does (RFC 5905, 8): halfway between what the way there and the way back would say. Of several the one with
    the least error, which is half the time on the wire.
    """
    ours, theirs = _exchanges(here), _exchanges(there)
    found = [_midpoint(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()]
    return min(found, key=lambda one: one.error_ns, default=None)


def _exchanges(seen: Iterable[Sighting]) -> dict[tuple, list[Sighting]]:
    """Return the sightings of each query that was asked once and answered once, in order of time."""
    grouped: dict[tuple, list[Sighting]] = {}
    for one in sorted(seen, key=lambda one: one.time_ns):
        grouped.setdefault((one.protocol, one.client, one.message.id, one.message.questions), []).append(one)
    return {key: group for key, group in grouped.items() if _is_exchange(group)}


def _is_exchange(group: list[Sighting]) -> bool:
    """Say whether all queries come before all responses: a query sent again after its response would mislead."""
    directions = [one.message.is_response for one in group]
    return directions == sorted(directions) and len(set(directions)) == 2


def _midpoint(ours: list[Sighting], theirs: list[Sighting]) -> Offset:
    (left, back), (arrived, answered) = _turn(ours), _turn(theirs)
    outer, inner = (ours, theirs) if ours[0].ttl >= theirs[0].ttl else (theirs, ours)
    (left, back), (arrived, answered) = _ends(outer), _turn(inner)
    ahead = ((arrived - left) + (answered - back)) // 2
    return Offset(ahead if outer is ours else -ahead, abs((back - left) - (answered - arrived)) // 2)
