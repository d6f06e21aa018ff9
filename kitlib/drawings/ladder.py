"""The ladder: a sequence diagram of one journey. Lanes are vantage points, time runs downwards."""

from __future__ import annotations

from itertools import groupby

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.ladder_rows import Row, depth, lanes, micros, point, rows
from kitlib.drawings.ladder_stage import MARGIN, Stage, head, label, paragraph
from kitlib.drawings.ladder_text import mermaid, plain
from kitlib.drawings.ladder_words import Line, default_title, described, heading, notes, steps
from kitlib.drawings.ladder_words import label as words_of
from kitlib.drawings.palette import BANDS, FAINT, FOCUS, INK, PAPER, QUIET
from kitlib.drawings.svg import LINE, SIZE, arrow, box, card, dot, line, text, width, wrap
from kitlib.journey import Journey

PAGE, NARROWEST_LANE, TITLE_SIZE = 760, 82, 16
BEFORE = 2                # how many hops before the present one a moment shows
LEGEND = ("Solid arrow: query. Dashed arrow: response. On the left: µs since the first sighting. "
          "At an arrow: + µs since the sighting before it.")


def ladder(journey: Journey, title: str | None = None) -> Drawing:
    """The journey as a sequence diagram; KitError if it is empty or a sighting has no vantage point."""
    shown = rows(journey)
    title = title or default_title(journey)
    stage = _stage(journey, shown)
    paragraph(stage, title, TITLE_SIZE, bold=True)
    stage.y += 12
    head(stage)
    top, seen = stage.y, set()
    for leg, run in groupby(shown, key=lambda row: row.leg):
        _band(stage, journey, list(run), leg in seen)
        seen.add(leg)
    for hop, words in notes(journey):
        _cross(stage, stage.x(point(hop)), words)
    lifelines = [line(stage.x(lane), top, stage.x(lane), stage.y, FAINT) for lane in stage.lanes]
    stage.y += 8
    for note in journey.ambiguous:
        paragraph(stage, f"Not decided: {note}", SIZE, bold=True)
    paragraph(stage, LEGEND + (f" ({journey.note})" if journey.note else ""), SIZE, fill=QUIET)
    alt = described(journey)
    svg = card(title, alt, stage.width, stage.y + 10, [*stage.bands, *lifelines, *stage.marks])
    return Drawing(title, alt, svg, plain(journey, title), mermaid(journey))


def moment(journey: Journey, index: int) -> Drawing:
    """Where the journey is at hop `index` (from 0): this hop in a frame, the hops just before it, and the real time."""
    shown = rows(journey)
    row, stage = shown[index], _stage(journey, shown)
    title = f"Step {index + 1} of {len(shown)}: {point(row.hop).title} sees it at {micros(row.since_first_ns)} µs"
    paragraph(stage, title, TITLE_SIZE, bold=True)
    stage.y += 12
    head(stage)
    top = stage.y
    for leg, run in groupby(shown[max(0, index - BEFORE):index + 1], key=lambda row: row.leg):
        run = list(run)
        _band(stage, journey, run, run[0].hop is not journey.legs[leg].hops[0], row)
    lifelines = [line(stage.x(lane), top, stage.x(lane), stage.y, FAINT) for lane in stage.lanes]
    _clock(stage, shown, row)
    told = steps(journey)[index].told
    return Drawing(title, told, card(title, told, stage.width, stage.y, [*stage.bands, *lifelines, *stage.marks]), told)


def _clock(stage: Stage, shown: list[Row], now: Row) -> None:
    """The journey's real time from left to right: a tick for each hop, a dot at this one."""
    words = "time: 0", f"{micros(shown[-1].since_first_ns)} µs"
    left, right = MARGIN + width(words[0]) + 8, stage.width - MARGIN - width(words[1]) - 8
    scale = (right - left) / max(1, shown[-1].since_first_ns)
    stage.y += 24
    for x in (left + row.since_first_ns * scale for row in shown):
        stage.marks.append(line(x, stage.y - 6, x, stage.y + 6, QUIET))
    stage.marks += [line(left, stage.y, right, stage.y, QUIET, 1.5),
                    dot(left + now.since_first_ns * scale, stage.y, FOCUS, 6),
                    text(MARGIN, stage.y + 4, words[0], fill=QUIET), text(right + 8, stage.y + 4, words[1], fill=QUIET)]
    stage.y += 20


def _stage(journey: Journey, shown: list[Row]) -> Stage:
    columns = tuple(lanes(journey))
    left = MARGIN + max(width(micros(row.since_first_ns)) for row in shown) + 10
    spacing = max(NARROWEST_LANE, (PAGE - left - MARGIN) / len(columns))
    return Stage(columns, left, spacing, left + spacing * len(columns) + MARGIN)


def _band(stage: Stage, journey: Journey, run: list[Row], again: bool, framed: Row | None = None) -> None:
    """A run of rows of one leg; the deeper the leg, the darker its band."""
    top, fill = stage.y, BANDS[min(depth(journey, run[0].leg), len(BANDS) - 1)]
    stage.y += 12
    words = wrap(heading(journey, run, again), stage.width - 2 * MARGIN, SIZE, True)
    label(stage, [Line(part, bold=True) for part in words], fill, left=MARGIN)
    stage.y += 8
    for row in run:
        start, at = stage.y, len(stage.marks)
        _row(stage, journey, row, fill)
        if row is framed:
            stage.marks.insert(at, box(5, start - 4, stage.width - 10, stage.y - start + 2, "none", FOCUS, thick=3))
    stage.y += 2
    if fill != PAPER:
        stage.bands.append(box(1, top, stage.width - 2, stage.y - top, fill, radius=0))


def _row(stage: Stage, journey: Journey, row: Row, fill: str) -> None:
    """One hop: where it starts a dot and its words beside it, else the arrow with its words above."""
    lines = [Line(part, each.bold, each.rewritten) for each in words_of(row, journey)
             for part in wrap(each.words, stage.room, SIZE, each.bold)]
    x = stage.x(point(row.hop))
    start = stage.x(point(row.origin)) if row.origin else x
    if start == x:
        y = stage.y + LINE / 2
        stage.marks.append(dot(x, y))
        _beside(stage, x, lines, fill)
        stage.y += 10
    else:
        label(stage, lines, fill, middle=(start + x) / 2)
        y = stage.y + 6
        stage.marks.append(arrow(start, x, y, INK, dashed=row.hop.direction == "response"))
        stage.y += 20
    stage.marks.append(text(stage.left - 8, y + 4, micros(row.since_first_ns), fill=QUIET, anchor="end"))


def _beside(stage: Stage, x: float, lines: list[Line], fill: str) -> None:
    """Words to the right of a dot, to its left, or under it: where there is room."""
    wide = max(each.width for each in lines)
    if x + 12 + wide <= stage.width - MARGIN:
        label(stage, lines, fill, left=x + 12)
    elif x - 12 - wide > stage.left:
        label(stage, lines, fill, left=x - 12 - wide)
    else:
        stage.y += LINE
        label(stage, lines, fill, middle=x)


def _cross(stage: Stage, x: float, words: str) -> None:
    """Where a leg was last seen, if its response did not come back."""
    stage.y += 14
    stage.marks += [line(x - 6, stage.y - 6 * slope, x + 6, stage.y + 6 * slope, INK, 2.5) for slope in (1, -1)]
    stage.y += 10
    label(stage, [Line(part, bold=True) for part in wrap(words, stage.room, SIZE, True)], PAPER, middle=x)
    stage.y += 6
