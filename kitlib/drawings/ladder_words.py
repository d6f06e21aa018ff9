"""The labels, headings and notes of a ladder, its title and its alt text: derived from the journey alone."""

from __future__ import annotations

from typing import NamedTuple

from kitlib.drawings.ladder_rows import Row, facts, lanes, micros, point, rewritten, rows, sockets, what
from kitlib.journey import Hop, Journey, Leg


class Line(NamedTuple):
    """One line of a label; `rewritten` lines carry the accent."""

    words: str
    bold: bool = False
    rewritten: bool = False


def start(row: Row) -> str:
    """What starts here, and if it was sent again."""
    again = "" if row.hop.attempt == 1 else f" (attempt {row.hop.attempt})"
    return f"{what(row.hop.sighting.message)}{again}"


def label(row: Row, journey: Journey) -> list[Line]:
    """The words at a row: what starts, or what was rewritten and the addresses now; time and TTL."""
    marked = [line for words, change in rewritten(row, journey)
              for line in (Line(words, bold=True, rewritten=True), Line(change, rewritten=True))]
    told = " · ".join(facts(row))
    if row.origin is None:
        return [Line(start(row), bold=True), Line(f"{sockets(row.hop)} · {told}"), *marked]
    return [*marked, *([Line(sockets(row.hop))] if row.hop.rewrites else []), Line(told)]


def heading(journey: Journey, run: list[Row]) -> str:
    """What a run of rows of one leg is about, and whether this leg begins here."""
    number, seen = run[0].leg, run[0].hop.sighting
    leg = journey.legs[number]
    if run[0].hop is not leg.hops[0]:
        way = "the way back" if seen.message.is_response else "it goes on"
        return f"Leg {number + 1}, {way} · DNS id {seen.message.id}"
    cause = "" if leg.parent is None else f", because of leg {leg.parent + 1}"
    return f"Leg {number + 1}{cause}: from {point(run[0].hop).title} · {seen.protocol} · DNS id {seen.message.id}"


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
        elif leg.queries and point(home) != point(last):
            found.append((last, f"Leg {number}: the response was last seen at {point(last).title}, "
                                f"it did not show at {point(home).title}"))
    return found


def closing(journey: Journey) -> list[str]:
    """What is to be said below the ladder: answers that got lost, what is ambiguous, which take it is."""
    return [*(words for _, words in notes(journey)), *(f"Not decided: {note}" for note in journey.ambiguous),
            *([f"({journey.note})"] if journey.note else [])]


def title_of(journey: Journey) -> str:
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
    told += [f"{step.told}." for step, row in zip(steps(journey), rows(journey), strict=True)
             if row.origin is None or row.hop.rewrites]
    return " ".join([*told, *(f"{words}." for words in closing(journey))])


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
        found.append(Step(short, f"{short} · {', '.join([sockets(row.hop), *facts(row), *changes])}"))
    return found
