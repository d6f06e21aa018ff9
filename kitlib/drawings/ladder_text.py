"""The ladder in words: aligned lines for a terminal, and Mermaid's sequenceDiagram to copy."""

from __future__ import annotations

from itertools import groupby

from kitlib.drawings.ladder_rows import Row, lanes, micros, point, rewritten, rows, sockets
from kitlib.drawings.ladder_words import closing, heading, label, start
from kitlib.drawings.table import aligned
from kitlib.journey import Journey
from kitlib.sighting import VantagePoint

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
