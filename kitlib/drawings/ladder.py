"""The ladder: a sequence diagram of one journey. Lanes are vantage points, time runs downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from kitlib.drawings import svg
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.ladder_words import (
    Gap,
    Line,
    Row,
    heading,
    ladder_alt_text,
    ladder_mermaid,
    ladder_text,
    ladder_title,
    lanes,
    left_out_words,
    losses,
    micros,
    point,
    row_lines,
    rows,
    runs,
    steps,
)
from kitlib.drawings.svg import BANDS, INK, LINE, MARGIN, PAPER, SIZE, Shade
from kitlib.journey.model import Journey
from kitlib.sighting import VantagePoint

MACHINE = Shade(svg.QUIET, PAPER)
NARROWEST_LANE = 96       # holds "veth4b6923b0" in one line
BEFORE = 1                # how many hops before the present one a moment shows
LEGEND = ("Solid arrow: query. Dashed arrow: response. On the left: µs since the first sighting. "
          "At an arrow: + µs since the sighting before it.")
GAP_LEGEND = " Grey arrow, dashed lane: nobody listened there."


@dataclass
class LadderPage(svg.Page):
    """A ladder in the making. Its lanes run from `top` on, `spacing` apart; the column of times ends at `left`."""

    lanes: Sequence[VantagePoint] = ()
    left: float = 0
    spacing: float = 0
    top: float = 0
    gaps: Sequence[Gap] = ()

    def x(self, point: VantagePoint) -> float:
        """Return the middle of a vantage point's lane."""
        return self.left + (self.lanes.index(point) + 0.5) * self.spacing


def ladder(journey: Journey, gaps: Sequence[Gap] = (), verdict: bool = True) -> Drawing:
    """Draw the journey as a sequence diagram, with the gaps that rules and addresses fill (see `gaps`).

    Without the verdict neither title nor cross says where the query or its response was last seen: for exercises.
    KitError if it is empty or a sighting has no vantage point.
    """
    shown = rows(journey)
    title, alt = ladder_title(journey, verdict), ladder_alt_text(journey, gaps, verdict)
    page = _page(journey, shown, title, _with_gaps(lanes(journey), gaps), gaps=gaps)
    for hop, words in losses(journey) if verdict else []:
        _cross(page, page.x(point(hop)), words)
    _lifelines(page)
    page.y += 8
    for ambiguity in journey.ambiguous:
        page.add_paragraph(f"Not decided: {ambiguity}", bold=True)
    for words in left_out_words(journey):
        page.add_paragraph(words)
    legend = f"{LEGEND}{GAP_LEGEND if gaps else ''}{f' ({journey.note})' if journey.note else ''}"
    page.add_paragraph(legend, fill=svg.QUIET)
    return Drawing(title, alt, page.finish(title, alt), ladder_text(journey, gaps, verdict),
                   ladder_mermaid(journey, gaps, verdict))


def _with_gaps(columns: list[VantagePoint], gaps: Sequence[Gap]) -> list[VantagePoint]:
    """Return the lanes with those of the gaps, each after the last lane of its machine."""
    places = dict.fromkeys(gap.place for gap in gaps)
    machines = dict.fromkeys(lane.machine for lane in (*columns, *places))
    return [lane for machine in machines for lane in (*columns, *places) if lane.machine == machine]


def moment(journey: Journey, index: int, wide: float) -> Drawing:
    """Draw where the journey is at hop `index` (from 0), `wide` px: this hop in a frame, and those just before it."""
    shown, words = rows(journey), steps(journey)[index].full
    row, recent = shown[index], shown[max(0, index - BEFORE):index + 1]
    title = f"Step {index + 1} of {len(shown)}: {point(row.hop).title} sees it at {micros(row.since_first_ns)} µs"
    places = {point(hop) for each in recent for hop in (each.hop, each.origin) if hop}
    page = _page(journey, recent, title, [lane for lane in lanes(journey) if lane in places], wide, row)
    _lifelines(page)
    return Drawing(title, words, page.finish(title, words), words)


def _page(journey: Journey, shown: list[Row], title: str, columns: list[VantagePoint], wide: float = svg.PAGE,
          current: Row | None = None, gaps: Sequence[Gap] = ()) -> LadderPage:
    """Begin a page with its title, the lanes' heads and these rows; the current one in a frame."""
    left = MARGIN + max(svg.width(micros(row.since_first_ns)) for row in rows(journey)) + 10
    spacing = max(NARROWEST_LANE, (wide - left - MARGIN) / len(columns))
    page = LadderPage(left + spacing * len(columns) + MARGIN, lanes=columns, left=left, spacing=spacing,
                      gaps=gaps)
    page.add_title(title)
    _lane_heads(page)
    for run in runs(shown):
        _band(page, journey, run, current)
    return page


def _lane_heads(page: LadderPage) -> None:
    """Draw a row of boxes for the machines, under it one for the lanes."""
    machines = ((machine, len(list(group))) for machine, group in groupby(page.lanes, key=lambda lane: lane.machine))
    _boxes(page, [(svg.wrap(machine, count * page.spacing - 12, SIZE, True), count, MACHINE)
                  for machine, count in machines], bold=True)
    _boxes(page, [(_lane_title(lane, page.spacing - 7), 1, svg.shade(lane.kind)) for lane in page.lanes],
           dashed=[lane in {gap.place for gap in page.gaps} for lane in page.lanes])
    page.top = page.y


def _lane_title(lane: VantagePoint, limit: float) -> list[str]:
    """Return the title in short lines, the interface on a line of its own."""
    place = lane.title.removesuffix(lane.interface).strip()
    return [*(svg.wrap(place, limit) if place else []), *svg.wrap(lane.interface, limit)]


def _boxes(page: LadderPage, cells: Sequence[tuple[list[str], int, Shade]], bold: bool = False,
           dashed: Sequence[bool] = ()) -> None:
    """Draw boxes with these words side by side, each over so many lanes."""
    x, high = page.left, LINE * max(len(words) for words, _, _ in cells) + 8
    for (words, count, (edge, fill)), is_dashed in zip_longest(cells, dashed, fillvalue=False):
        wide = count * page.spacing
        page.marks.append(svg.box(x + 2, page.y, wide - 4, high, fill, edge, thick=1.5, dashed=is_dashed))
        page.marks += [svg.text(x + wide / 2, page.y + 17 + LINE * i, part, SIZE, bold, anchor="middle")
                       for i, part in enumerate(words)]
        x += wide
    page.y += high + 4


def _lifelines(page: LadderPage) -> None:
    """Draw a line from each lane's head to here."""
    page.behind += [svg.line(page.x(lane), page.top, page.x(lane), page.y, svg.FAINT) for lane in page.lanes]


def _depth(journey: Journey, leg_index: int) -> int:
    """Return 0 for the client's leg, 1 for a leg that it caused, and so on."""
    parent = journey.legs[leg_index].parent
    return 0 if parent is None else 1 + _depth(journey, parent)


def _band(page: LadderPage, journey: Journey, run: list[Row], current: Row | None) -> None:
    """Draw a run of rows of one leg under its heading; the deeper the leg, the darker its band."""
    top, first, fill = page.y, len(page.marks), BANDS[min(_depth(journey, run[0].leg_index), len(BANDS) - 1)]
    page.y += 10
    page.add_paragraph(heading(run), bold=True)
    page.marks.insert(first, svg.box(1, top, page.width - 2, page.y - top, fill, radius=0))
    page.y += 8
    for row in run:
        _gaps(page, row, fill, True)
        start, at = page.y, len(page.marks)
        _row(page, row, fill)
        if row is current:
            page.marks.insert(at, svg.box(5, start - 4, page.width - 10, page.y - start + 2, "none", svg.FOCUS,
                                          thick=3))
        _gaps(page, row, fill, False)
    page.y += 2
    page.behind.append(svg.box(1, top, page.width - 2, page.y - top, fill, radius=0))


def _row(page: LadderPage, row: Row, fill: str) -> None:
    """Draw one hop: its words, and under them a dot where it starts, else the arrow."""
    end = page.x(point(row.hop))
    start = page.x(point(row.origin)) if row.origin else end
    _label(page, row_lines(row), fill, (start + end) / 2)
    y = page.y + 6
    page.marks.append(svg.dot(end, y) if start == end else
                      svg.arrow(start, y, end, y, dashed=row.hop.direction == "response"))
    page.marks.append(svg.text(page.left - 8, y + 4, micros(row.since_first_ns), fill=svg.QUIET, anchor="end"))
    page.y += 20


def _gaps(page: LadderPage, row: Row, fill: str, is_before: bool) -> None:
    """Draw what is known of the way to, or from, a place where nobody listened, in grey."""
    for gap in page.gaps:
        if gap.hop is row.hop and gap.is_before == is_before:
            ends = page.x(point(gap.hop)), page.x(gap.place)
            start, end = reversed(ends) if is_before else ends
            rewritten = [Line(gap.rewrite, True, True), Line(gap.change, False, True)] if gap.rewrite else []
            _label(page, [*rewritten, Line(gap.source)], fill, (start + end) / 2)
            y = page.y + 6
            page.marks.append(svg.arrow(start, y, end, y, gap.hop.direction == "response", svg.FAINT))
            page.y += 20


def _label(page: LadderPage, lines: Sequence[Line], fill: str, middle: float) -> None:
    """Draw lines around `middle` on a ground that hides the lifelines; the accent under rewritten ones."""
    room = page.width - page.left - MARGIN - 16
    fitting = [line._replace(words=part) for line in lines for part in svg.wrap(line.words, room, SIZE, line.bold)]
    for rewritten, group in groupby(fitting, key=lambda line: line.rewritten):
        group = list(group)
        wide = max(svg.width(line.words, SIZE, line.bold) for line in group)
        left = max(page.left + 8, min(middle - wide / 2, page.width - MARGIN - 6 - wide))
        page.marks.append(svg.box(left - 6, page.y, wide + 12, LINE * len(group) + 4, svg.ACCENT_FILL, svg.ACCENT,
                                  thick=1.5)
                          if rewritten else svg.box(left - 3, page.y, wide + 6, LINE * len(group), fill, radius=2))
        for line in group:
            page.y += LINE
            page.marks.append(svg.text(left + wide / 2, page.y - 4, line.words, SIZE, line.bold, anchor="middle"))
        page.y += 6 if rewritten else 0


def _cross(page: LadderPage, x: float, words: str) -> None:
    """Draw a cross where a leg was last seen, if its response did not come back."""
    page.y += 14
    page.marks += [svg.line(x - 6, page.y - 6 * slope, x + 6, page.y + 6 * slope, INK, 2.5) for slope in (1, -1)]
    page.y += 10
    _label(page, [Line(words, bold=True)], PAPER, x)
    page.y += 6
