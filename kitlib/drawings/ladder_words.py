"""The rows and lanes of a ladder and what each row says, before anybody draws them.

The labels, headings and notes of a ladder, its title and its alt text: derived from the journey alone.

The ladder in words: aligned lines for a terminal, and Mermaid's sequenceDiagram to copy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from kitlib.drawings.table import aligned
from kitlib.errors import KitError
from kitlib.journey.model import Hop, Journey, Leg, Rewrite
from kitlib.sighting import Message, VantagePoint

SHOWN_ANSWERS = 3
NAT, OTHER_END = {"destination": "DNAT", "source": "SNAT"}, {"destination": "source", "source": "destination"}


@dataclass(frozen=True)
class Row:
    """One hop, and the hop of the same leg, direction and attempt that it came from (None: it starts here)."""

    leg: int
    hop: Hop
    origin: Hop | None
    since_first_ns: int


def rows(journey: Journey) -> list[Row]:
    """The hops of all legs in order of time; KitError if there is none."""
    if not journey.legs or not all(leg.hops for leg in journey.legs):
        raise KitError("there is nothing to draw: the journey has a leg without sightings")
    hops = sorted(((hop.sighting.time_ns, i, hop) for i, leg in enumerate(journey.legs) for hop in leg.hops),
                  key=lambda entry: entry[:2])
    latest: dict[tuple[int, str, int], Hop] = {}
    made = []
    for time_ns, leg, hop in hops:
        way = (leg, hop.direction, hop.attempt)
        made.append(Row(leg, hop, latest.get(way), time_ns - hops[0][0]))
        latest[way] = hop
    return made


def point(hop: Hop) -> VantagePoint:
    """The vantage point of a hop; KitError if the sighting has none."""
    if hop.sighting.point is None:
        raise KitError("a ladder needs to know where each packet was seen: this sighting has no vantage point")
    return hop.sighting.point


def lanes(journey: Journey) -> list[VantagePoint]:
    """The vantage points in the order in which the query came by them, then those that only other packets passed."""
    return list(dict.fromkeys(map(point, (*journey.client_leg.queries, *journey.hops))))


def nat(rewrite: Rewrite, hop: Hop, leg: Leg) -> str:
    """Which NAT this is: DNAT or SNAT on the way there, its undoing on the way back, "" if neither fits."""
    if hop.direction == "query":
        return NAT[rewrite.end]
    undone = {Rewrite(OTHER_END[done.end], done.new, done.old): f"{NAT[done.end]} undone"
              for query in leg.queries for done in query.rewrites}
    return undone.get(rewrite, "")


def micros(nanoseconds: int) -> str:
    """Microseconds, with one decimal if the clock was finer than that."""
    return f"{nanoseconds / 1000:,.1f}".removesuffix(".0")


def what(message: Message) -> str:
    """"query A www.example.com." or "response NOERROR 93.184.216.34"."""
    if not message.is_response:
        return f"query {message.question.type} {message.question.name}" if message.question else "query, no question"
    data = [record.data for record in message.answers]
    more = f" and {len(data) - SHOWN_ANSWERS} more" if len(data) > SHOWN_ANSWERS else ""
    truncated = " (truncated)" if "tc" in message.flags else ""
    return f"response {message.rcode}{truncated} {', '.join(data[:SHOWN_ANSWERS]) or '(no answer record)'}{more}"


def sockets(hop: Hop) -> str:
    """Source → destination, as the header has it here."""
    return f"{hop.sighting.source} → {hop.sighting.destination}"


def rewritten(row: Row, journey: Journey) -> list[tuple[str, str]]:
    """For each rewrite at this row: ("destination rewritten (DNAT)", "10.96.0.10:53 → 10.244.0.3:53")."""
    kinds = [nat(rewrite, row.hop, journey.legs[row.leg]) for rewrite in row.hop.rewrites]
    return [(f"{rewrite.end} rewritten{f' ({kind})' if kind else ''}", f"{rewrite.old} → {rewrite.new}")
            for rewrite, kind in zip(row.hop.rewrites, kinds, strict=True)]


def facts(row: Row) -> list[str]:
    """The time since the previous hop of the journey, if any, and the TTL, with the one before if it changed."""
    gap, now = row.hop.since_previous_ns, row.hop.sighting.ttl
    before = row.origin.sighting.ttl if row.origin else now
    return [*([] if gap is None else [f"+{micros(gap)} µs"]),
            f"TTL {now}" if before == now else f"TTL {before} → {now}"]


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


def ladder_title(journey: Journey) -> str:
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


def ladder_alt_text(journey: Journey) -> str:
    """The alt text: the whole ladder in a few sentences."""
    told = [f"Sequence diagram of {journey.question or 'one query'}; time runs downwards. "
            f"Lanes from left: {', '.join(lane.title for lane in lanes(journey))}."]
    told += [f"{step.told}." for step, row in zip(steps(journey), rows(journey), strict=True)
             if row.origin is None or row.hop.rewrites]
    return " ".join([*told, *(f"{words}." for words in closing(journey))])


class HopWords(NamedTuple):
    """One hop in words: short for a list, and told in full."""

    short: str
    told: str


def steps(journey: Journey) -> list[HopWords]:
    """Every hop of the journey, numbered in order of time."""
    found = []
    for number, row in enumerate(rows(journey), 1):
        short = f"{number}. {point(row.hop).title}: {what(row.hop.sighting.message)}"
        changes = (f"{words} {change}" for words, change in rewritten(row, journey))
        found.append(HopWords(short, f"{short} · {', '.join([sockets(row.hop), *facts(row), *changes])}"))
    return found


ARROWS = {"query": "──▶", "response": "◀┄┄"}


def plain(journey: Journey, title: str) -> str:
    """One line a hop: µs since the first sighting, place, direction, source → destination, TTL, what happened."""
    shown = rows(journey)
    cells = [("µs", "seen at", "", "source → destination", "TTL", ""), *(_cells(row, journey) for row in shown)]
    head, *lines = aligned(cells, right=(0, 4))
    told = [title, "", head]
    for _, run in groupby(zip(shown, lines, strict=True), key=lambda pair: pair[0].leg):
        run_rows, run_lines = zip(*run, strict=True)
        told += [heading(journey, run_rows), *run_lines]
    return "\n".join([*told, *closing(journey)])


def _cells(row: Row, journey: Journey) -> tuple[str, ...]:
    said = [start(row)] if row.origin is None else []
    said += [f"{words}: {change}" for words, change in rewritten(row, journey)]
    return (micros(row.since_first_ns), point(row.hop).title, ARROWS[row.hop.direction], sockets(row.hop),
            str(row.hop.sighting.ttl), "; ".join(said))


def mermaid(journey: Journey) -> str:
    """The ladder as a Mermaid sequenceDiagram."""
    names = {lane: f"p{number}" for number, lane in enumerate(lanes(journey), 1)}
    told = ["sequenceDiagram"]
    for machine, group in groupby(names, key=lambda lane: lane.machine):
        told += [f"  box transparent {_safe(machine)}",
                 *(f"    participant {names[lane]} as {_safe(lane.title)}" for lane in group), "  end"]
    over = "p1" if len(names) == 1 else f"p1,p{len(names)}"
    for _, run in groupby(rows(journey), key=lambda row: row.leg):
        run = list(run)
        told.append(f"  Note over {over}: {_safe(heading(journey, run))}")
        told += [_message(row, journey, names) for row in run]
    return "\n".join([*told, *(f"  Note over {over}: {_safe(words)}" for words in closing(journey))])


def _message(row: Row, journey: Journey, names: dict[VantagePoint, str]) -> str:
    here, words = names[point(row.hop)], "<br/>".join(_safe(line.words) for line in label(row, journey))
    if row.origin is None:
        return f"  Note over {here}: {words}"
    return f"  {names[point(row.origin)]}{'->>' if row.hop.direction == 'query' else '-->>'}{here}: {words}"


def _safe(words: str) -> str:
    """Mermaid ends a statement at ; and begins an entity at #: both as entities."""
    return "".join({"#": "#35;", ";": "#59;"}.get(character, character) for character in words)
