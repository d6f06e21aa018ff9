"""The page that a ladder is drawn on: where the lanes stand, their heads, and labels that stay on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from kitlib.drawings.ladder_words import Line
from kitlib.drawings.page import MARGIN, Page
from kitlib.drawings.palette import ACCENT, ACCENT_FILL, PAPER, QUIET, Shade, shade
from kitlib.drawings.svg import LINE, SIZE, box, text, width, wrap
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
