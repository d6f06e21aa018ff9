"""The labels, headings and notes of a ladder, its title and its alt text: derived from the journey alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kitlib.drawings.ladder_rows import Row, lanes, micros, point, rewritten, rows, since, sockets, spot, ttl, what
from kitlib.drawings.svg import SIZE, width
from kitlib.journey import Hop, Journey, Leg


@dataclass(frozen=True)
class Line:
    """One line of a label; `rewritten` lines carry the accent."""

    words: str
    bold: bool = False
    rewritten: bool = False

    @property
    def width(self) -> float:
        """In px."""
        return width(self.words, SIZE, self.bold)


def start(row: Row) -> str:
    """What starts here, and if it was sent again."""
    again = "" if row.hop.attempt == 1 else f" (attempt {row.hop.attempt})"
    return f"{what(row.hop.sighting.message)}{again}"


def label(row: Row, journey: Journey) -> list[Line]:
    """The words at a row: what starts, or what was rewritten and the addresses now; time and TTL."""
    facts = " · ".join(filter(None, (since(row), ttl(row))))
    if row.origin is None:
        return [Line(start(row), bold=True), Line(f"{sockets(row.hop)} · {facts}"), *_marked(row, journey)]
    return [*_marked(row, journey), *([Line(sockets(row.hop))] if row.hop.rewrites else []), Line(facts)]


def _marked(row: Row, journey: Journey) -> list[Line]:
    return [line for words, change in rewritten(row, journey)
            for line in (Line(words, bold=True, rewritten=True), Line(change, rewritten=True))]


def heading(journey: Journey, run: list[Row], again: bool) -> str:
    """What a run of rows of one leg is about; `again` if rows of another leg came between."""
    leg, seen = journey.legs[run[0].leg], run[0].hop.sighting
    if again:
        way = "the way back" if seen.message.is_response else "it goes on"
        return f"Leg {run[0].leg + 1}, {way} · DNS id {seen.message.id}"
    cause = "" if leg.parent is None else f", because of leg {leg.parent + 1}"
    return f"Leg {run[0].leg + 1}{cause}: from {point(run[0].hop).title} · {seen.protocol} · DNS id {seen.message.id}"


def last_seen(leg: Leg) -> str:
    """Where the query of a leg was last seen; attempt by attempt, if they did not all come equally far."""
    ends = {hop.attempt: point(hop).title for hop in leg.queries}
    if len(set(ends.values())) == 1:
        return next(iter(ends.values()))
    return ", ".join(f"{title} (attempt {number})" for number, title in ends.items())


def notes(journey: Journey) -> list[tuple[Hop, str]]:
    """Where a leg was last seen, and how to say so, for each leg whose response did not come back to its start."""
    found = []
    for number, leg in enumerate(journey.legs, 1):
        home, last = leg.hops[0], (leg.responses or leg.queries)[-1]
        if not leg.responses:
            found.append((last, f"Leg {number}: no response seen; the query was last seen at {last_seen(leg)}"))
        elif leg.queries and spot(point(home)) != spot(point(last)):
            found.append((last, f"Leg {number}: the response was last seen at {point(last).title}, "
                                f"it did not show at {point(home).title}"))
    return found


def default_title(journey: Journey) -> str:
    """What this journey shows: how far it came if nothing came back, else who rewrote its destination."""
    if not journey.answered:
        return f"No response: the query was last seen at {last_seen(journey.client_leg)}"
    shown = rows(journey)
    for row in shown:
        if row.leg == 0 and row.origin and row.hop.direction == "query" and row.hop.rewrites:
            machines = dict.fromkeys((point(row.origin).machine, point(row.hop).machine))
            return f"{' or '.join(machines)} rewrites the {' and the '.join(map(str, row.hop.rewrites))}"
    asked, took = journey.question or "One query", micros(shown[-1].since_first_ns)
    return f"{asked}: there and back within {took} µs"


def described(journey: Journey) -> str:
    """The alt text: the whole ladder in a few sentences."""
    told = [f"Sequence diagram of {journey.question or 'one query'}; time runs downwards. "
            f"Lanes from left: {', '.join(lane.title for lane in lanes(journey))}."]
    for row in rows(journey):
        told += [f"At {point(row.hop).title}: {words} {change}." for words, change in rewritten(row, journey)]
    told += [f"Leg {number}: {what(leg.hops[0].sighting.message)}"
             f"{f'; {what(leg.response)}' if leg.response and leg.queries else ''}."
             for number, leg in enumerate(journey.legs, 1)]
    return " ".join([*told, *(f"{words}." for _, words in notes(journey)),
                     *(f"Not decided: {note}." for note in journey.ambiguous)])


class Step(NamedTuple):
    """One hop in words: short for a list, and told in full."""

    short: str
    told: str


def steps(journey: Journey) -> list[Step]:
    """Every hop of the journey, numbered in order of time."""
    found = []
    for number, row in enumerate(rows(journey), 1):
        short = f"{number}. {point(row.hop).title}: {what(row.hop.sighting.message)}"
        changes = (f"{words} {change}" for words, change in rewritten(row, journey))
        facts = filter(None, (sockets(row.hop), ttl(row), since(row), *changes))
        found.append(Step(short, f"{short} · {', '.join(facts)}"))
    return found
