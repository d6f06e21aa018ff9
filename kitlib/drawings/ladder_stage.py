"""The page that a ladder is drawn on: where the lanes stand, their heads, and labels that stay on the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from kitlib.drawings.ladder_rows import spot
from kitlib.drawings.ladder_words import Line
from kitlib.drawings.palette import ACCENT, ACCENT_FILL, INK, QUIET, shade
from kitlib.drawings.svg import LINE, SIZE, box, line, text, wrap
from kitlib.sighting import VantagePoint

MARGIN = 14


@dataclass
class Stage:
    """The page so far: `y` is where the next thing goes; bands lie behind the lifelines, marks before them."""

    lanes: tuple[VantagePoint, ...]
    left: float           # where the column of times ends
    spacing: float        # from lane to lane
    width: float
    y: float = 18
    bands: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def x(self, point: VantagePoint) -> float:
        """The middle of a vantage point's lane."""
        return self.left + ([spot(lane) for lane in self.lanes].index(spot(point)) + 0.5) * self.spacing

    @property
    def room(self) -> float:
        """The widest that a label may be."""
        return self.width - self.left - MARGIN - 16


def paragraph(stage: Stage, words: str, size: int, bold: bool = False, fill: str = INK) -> None:
    """Text over the whole width."""
    for part in wrap(words, stage.width - 2 * MARGIN, size, bold):
        stage.y += size + 5
        stage.marks.append(text(MARGIN, stage.y - 4, part, size, bold, fill))


def label(stage: Stage, lines: list[Line], fill: str, left: float = 0, middle: float = 0) -> None:
    """Lines on a ground that hides the lifelines, from `left` or around `middle`; the accent under rewritten ones."""
    for rewritten, group in groupby(lines, key=lambda each: each.rewritten):
        group = list(group)
        wide = max(each.width for each in group)
        x = max(stage.left + 8, min(middle - wide / 2, stage.width - MARGIN - 6 - wide)) if middle else left
        stage.marks.append(box(x - 6, stage.y, wide + 12, LINE * len(group) + 4, ACCENT_FILL, ACCENT, thick=1.5)
                           if rewritten else box(x - 3, stage.y, wide + 6, LINE * len(group), fill, radius=2))
        for each in group:
            stage.y += LINE
            at, anchor = (x + wide / 2, "middle") if middle else (x, "start")
            stage.marks.append(text(at, stage.y - 4, each.words, SIZE, each.bold, anchor=anchor))
        stage.y += 6 if rewritten else 0


def head(stage: Stage) -> None:
    """The machines as brackets, under them the lanes' boxes."""
    x, groups = stage.left, []
    for machine, group in groupby(stage.lanes, key=lambda lane: lane.machine):
        wide = stage.spacing * len(list(group))
        groups.append((x, wide, wrap(machine, wide - 12, SIZE, True)))
        x += wide
    stage.y += LINE * max(len(words) for _, _, words in groups)
    for x, wide, words in groups:
        _lines(stage, x + wide / 2, stage.y - 6 - LINE * (len(words) - 1), words, bold=True, fill=QUIET)
        stage.marks += [line(x + 5, stage.y, x + wide - 5, stage.y, QUIET, 1.5),
                        *(line(end, stage.y, end, stage.y + 6, QUIET, 1.5) for end in (x + 5, x + wide - 5))]
    stage.y += 10
    titles = [_title(lane, stage.spacing - 7) for lane in stage.lanes]
    high = LINE * max(len(words) for words in titles) + 8
    for lane, words in zip(stage.lanes, titles, strict=True):
        edge, fill = shade(lane.kind)
        x = stage.x(lane)
        stage.marks.append(box(x - stage.spacing / 2 + 2, stage.y, stage.spacing - 4, high, fill, edge, thick=1.5))
        _lines(stage, x, stage.y + 17, words)
    stage.y += high


def _lines(stage: Stage, x: float, y: float, words: list[str], bold: bool = False, fill: str = INK) -> None:
    stage.marks += [text(x, y + LINE * i, part, SIZE, bold, fill, "middle") for i, part in enumerate(words)]


def _title(lane: VantagePoint, limit: float) -> list[str]:
    """The title in short lines, the interface on a line of its own."""
    place = lane.title.removesuffix(lane.interface).strip()
    return [*(wrap(place, limit) if place else []), *wrap(lane.interface, limit)]
