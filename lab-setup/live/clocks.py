"""What packets tell of the clocks of several machines: a packet leaves one before it comes to the next.

Of each message that two machines saw, the difference of their clocks gets a bound; a query and its response bound it
from both sides, as in NTP (RFC 5905, section 8), and the tightest bounds of all messages hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf, isinf
from typing import NamedTuple

from kitlib.backends import PointCapture
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Frame, Sighting, VantagePoint


class Ahead(NamedTuple):
    """By how many nanoseconds a machine's clock is ahead of another's: between these two."""

    least: float = -inf
    most: float = inf

    @property
    def shift(self) -> int:
        """What to take off its times: nothing if both may agree, else the middle, or the one bound there is."""
        if self.least <= 0 <= self.most or self.least > self.most:
            return 0
        bounds = [bound for bound in self if not isinf(bound)]
        return round(sum(bounds) / len(bounds))

    def words(self, machine: str, reference: str) -> str:
        """Say what is known of the two clocks, and what times across them are worth."""
        if self.least > self.most:
            return f"the clocks of {machine} and {reference} cannot be compared: times between them say nothing"
        if isinf(self.least) or isinf(self.most):
            return (f"{machine}'s clock is not compared with {reference}'s, for no query and its response were seen on "
                    "both: their order holds, times between them say nothing")
        error = _duration((self.most - self.least) / 2)
        if not self.shift:
            return f"the clocks of {machine} and {reference} agree within {_duration(max(-self.least, self.most))}"
        return (f"{machine}'s clock is {_duration(abs(self.shift))} {'ahead of' if self.shift > 0 else 'behind'} "
                f"{reference}'s (± {error}): its times are shown by {reference}'s")


def on_one_clock(caught: Sequence[PointCapture], points: Sequence[VantagePoint], ports: Sequence[int], reference: str
                 ) -> list[PointCapture]:
    """Return the captures with every time by the reference machine's clock, and a note that says how well."""
    by_id = {(point.place, point.interface): point for point in points}
    machines = [by_id[one.place, one.interface].machine for one in caught]
    seen = [sighting for one in caught
            for sighting in sightings(one.frames, by_id[one.place, one.interface], ports)]
    known = {machine: Ahead() for machine in machines if machine != reference} | clocks(seen, reference)
    words = [ahead.words(machine, reference) for machine, ahead in known.items()]
    return [one._replace(note="; ".join(filter(None, [one.note, *words])),
                         frames=_shifted(one.frames, known.get(machine)))
            for machine, one in zip(machines, caught, strict=True)]


def _shifted(frames: tuple[Frame, ...], ahead: Ahead | None) -> tuple[Frame, ...]:
    if not ahead or not ahead.shift:
        return frames
    return tuple(replace(frame, time_ns=frame.time_ns - ahead.shift) for frame in frames)


def clocks(seen: Iterable[Sighting], reference: str) -> dict[str, Ahead]:
    """Return what is known of each machine's clock beside the reference's."""
    found: dict[str, Ahead] = defaultdict(Ahead)
    for passage in _passages(seen):
        here = passage.pop(reference, None)
        for machine, there in passage.items() if here else ():
            ahead = found[machine]
            if _ttls(here) > _ttls(there):
                found[machine] = ahead._replace(most=min(ahead.most, _first(there) - _last(here)))
            elif _ttls(here) < _ttls(there):
                found[machine] = ahead._replace(least=max(ahead.least, _last(there) - _first(here)))
    return dict(found)


def _passages(seen: Iterable[Sighting]) -> Iterator[dict[str, list[Sighting]]]:
    """Yield the sightings of each message by machine; of one that was sent twice it cannot be told which is which."""
    messages = defaultdict(list)
    for one in seen:
        message = one.message
        messages[message.id, message.question, message.is_response, one.protocol, one.client.port].append(one)
    for sightings_of_one in messages.values():
        if len({one.point for one in sightings_of_one}) == len(sightings_of_one):
            by_machine = defaultdict(list)
            for one in sightings_of_one:
                by_machine[one.point.machine].append(one)
            yield by_machine


def _ttls(seen: list[Sighting]) -> tuple[int, int]:
    return max(one.ttl for one in seen), min(one.ttl for one in seen)


def _first(seen: list[Sighting]) -> int:
    return min(one.time_ns for one in seen)


def _last(seen: list[Sighting]) -> int:
    return max(one.time_ns for one in seen)


def _duration(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:,.1f} ms" if nanoseconds >= 1e6 else f"{nanoseconds / 1e3:,.0f} µs"
