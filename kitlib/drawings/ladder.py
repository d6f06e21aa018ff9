"""The page that a ladder is drawn on: where the lanes stand, their heads, and labels that stay on the page.

The ladder: a sequence diagram of one journey. Lanes are vantage points, time runs downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.ladder_words import (
    Line,
    Row,
    heading,
    ladder_alt_text,
    ladder_title,
    lanes,
    mermaid,
    micros,
    notes,
    plain,
    point,
    rows,
    steps,
)
from kitlib.drawings.ladder_words import label as words_of
from kitlib.drawings.svg import (
    ACCENT,
    ACCENT_FILL,
    BANDS,
    FAINT,
    FOCUS,
    INK,
    LINE,
    MARGIN,
    PAGE,
    PAPER,
    QUIET,
    SIZE,
    Page,
    Shade,
    arrow,
    box,
    dot,
    line,
    shade,
    text,
    width,
    wrap,
)
from kitlib.journey.model import Journey
from kitlib.sighting import VantagePoint

MACHINE = Shade(QUIET, PAPER)


@dataclass
class Stage(Page):
    """The page so far, and its lanes: from `top` on, `spacing` apart; the column of times ends at `left`."""

    lanes: Sequence[VantagePoint] = ()
    left: float = 0
    spacing: float = 0
    top: float = 0

    def x(self, point: VantagePoint) -> float:
        """The middle of a vantage point's lane."""
        return self.left + (self.lanes.index(point) + 0.5) * self.spacing


def label(stage: Stage, lines: Sequence[Line], fill: str, middle: float) -> None:
    """Lines around `middle` on a ground that hides the lifelines; the accent under rewritten ones."""
    room = stage.width - stage.left - MARGIN - 16
    fitting = [each._replace(words=part) for each in lines for part in wrap(each.words, room, SIZE, each.bold)]
    for rewritten, group in groupby(fitting, key=lambda each: each.rewritten):
        group = list(group)
        wide = max(width(each.words, SIZE, each.bold) for each in group)
        left = max(stage.left + 8, min(middle - wide / 2, stage.width - MARGIN - 6 - wide))
        stage.marks.append(box(left - 6, stage.y, wide + 12, LINE * len(group) + 4, ACCENT_FILL, ACCENT, thick=1.5)
                           if rewritten else box(left - 3, stage.y, wide + 6, LINE * len(group), fill, radius=2))
        for each in group:
            stage.y += LINE
            stage.marks.append(text(left + wide / 2, stage.y - 4, each.words, SIZE, each.bold, anchor="middle"))
        stage.y += 6 if rewritten else 0


def head(stage: Stage) -> None:
    """A row of boxes for the machines, under it one for the lanes."""
    machines = ((machine, len(list(group))) for machine, group in groupby(stage.lanes, key=lambda lane: lane.machine))
    _boxes(stage, [(wrap(machine, count * stage.spacing - 12, SIZE, True), count, MACHINE)
                   for machine, count in machines], bold=True)
    _boxes(stage, [(_title(lane, stage.spacing - 7), 1, shade(lane.kind)) for lane in stage.lanes])
    stage.top = stage.y


def _boxes(stage: Stage, cells: Sequence[tuple[list[str], int, Shade]], bold: bool = False) -> None:
    """Boxes with these words side by side, each over so many lanes."""
    x, high = stage.left, LINE * max(len(words) for words, _, _ in cells) + 8
    for words, count, (edge, fill) in cells:
        wide = count * stage.spacing
        stage.marks.append(box(x + 2, stage.y, wide - 4, high, fill, edge, thick=1.5))
        stage.marks += [text(x + wide / 2, stage.y + 17 + LINE * i, part, SIZE, bold, anchor="middle")
                        for i, part in enumerate(words)]
        x += wide
    stage.y += high + 4


def _title(lane: VantagePoint, limit: float) -> list[str]:
    """The title in short lines, the interface on a line of its own."""
    place = lane.title.removesuffix(lane.interface).strip()
    return [*(wrap(place, limit) if place else []), *wrap(lane.interface, limit)]


NARROWEST_LANE = 82
BEFORE = 2                # how many hops before the present one a moment shows
LEGEND = ("Solid arrow: query. Dashed arrow: response. On the left: µs since the first sighting. "
          "At an arrow: + µs since the sighting before it.")


def ladder(journey: Journey) -> Drawing:
    """The journey as a sequence diagram; KitError if it is empty or a sighting has no vantage point."""
    shown = rows(journey)
    title, alt = ladder_title(journey), ladder_alt_text(journey)
    stage = _stage(journey, shown, title)
    for hop, words in notes(journey):
        _cross(stage, stage.x(point(hop)), words)
    _lifelines(stage)
    stage.y += 8
    for note in journey.ambiguous:
        stage.paragraph(f"Not decided: {note}", bold=True)
    stage.paragraph(LEGEND + (f" ({journey.note})" if journey.note else ""), fill=QUIET)
    return Drawing(title, alt, stage.svg(title, alt), plain(journey, title), mermaid(journey))


def moment(journey: Journey, index: int) -> Drawing:
    """Where the journey is at hop `index` (from 0): this hop in a frame, and the hops just before it."""
    shown, told = rows(journey), steps(journey)[index].told
    row = shown[index]
    title = f"Step {index + 1} of {len(shown)}: {point(row.hop).title} sees it at {micros(row.since_first_ns)} µs"
    stage = _stage(journey, shown[max(0, index - BEFORE):index + 1], title, row)
    _lifelines(stage)
    return Drawing(title, told, stage.svg(title, told), told)


def _stage(journey: Journey, shown: list[Row], title: str, framed: Row | None = None) -> Stage:
    """The page with its title, the lanes' heads and these rows."""
    columns = lanes(journey)
    left = MARGIN + max(width(micros(row.since_first_ns)) for row in rows(journey)) + 10
    spacing = max(NARROWEST_LANE, (PAGE - left - MARGIN) / len(columns))
    stage = Stage(left + spacing * len(columns) + MARGIN, lanes=columns, left=left, spacing=spacing)
    stage.title(title)
    head(stage)
    for _, run in groupby(shown, key=lambda row: row.leg):
        _band(stage, journey, list(run), framed)
    return stage


def _lifelines(stage: Stage) -> None:
    """A line from each lane's head to here."""
    stage.behind += [line(stage.x(lane), stage.top, stage.x(lane), stage.y, FAINT) for lane in stage.lanes]


def _depth(journey: Journey, leg: int) -> int:
    """0 for the client's leg, 1 for a leg that it caused, and so on."""
    parent = journey.legs[leg].parent
    return 0 if parent is None else 1 + _depth(journey, parent)


def _band(stage: Stage, journey: Journey, run: list[Row], framed: Row | None) -> None:
    """A run of rows of one leg under its heading; the deeper the leg, the darker its band."""
    top, first, fill = stage.y, len(stage.marks), BANDS[min(_depth(journey, run[0].leg), len(BANDS) - 1)]
    stage.y += 10
    stage.paragraph(heading(journey, run), bold=True)
    stage.marks.insert(first, box(1, top, stage.width - 2, stage.y - top, fill, radius=0))
    stage.y += 8
    for row in run:
        start, at = stage.y, len(stage.marks)
        _row(stage, journey, row, fill)
        if row is framed:
            stage.marks.insert(at, box(5, start - 4, stage.width - 10, stage.y - start + 2, "none", FOCUS, thick=3))
    stage.y += 2
    stage.behind.append(box(1, top, stage.width - 2, stage.y - top, fill, radius=0))


def _row(stage: Stage, journey: Journey, row: Row, fill: str) -> None:
    """One hop: its words, and under them a dot where it starts, else the arrow."""
    end = stage.x(point(row.hop))
    start = stage.x(point(row.origin)) if row.origin else end
    label(stage, words_of(row, journey), fill, (start + end) / 2)
    y = stage.y + 6
    stage.marks.append(dot(end, y) if start == end else
                       arrow(start, end, y, INK, dashed=row.hop.direction == "response"))
    stage.marks.append(text(stage.left - 8, y + 4, micros(row.since_first_ns), fill=QUIET, anchor="end"))
    stage.y += 20


def _cross(stage: Stage, x: float, words: str) -> None:
    """Where a leg was last seen, if its response did not come back."""
    stage.y += 14
    stage.marks += [line(x - 6, stage.y - 6 * slope, x + 6, stage.y + 6 * slope, INK, 2.5) for slope in (1, -1)]
    stage.y += 10
    label(stage, [Line(words, bold=True)], PAPER, x)
    stage.y += 6
