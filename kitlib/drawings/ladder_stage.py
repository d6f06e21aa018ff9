"""The page that a ladder is drawn on: where the lanes stand, their heads, and labels that stay on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from kitlib.drawings.ladder_words import Line
from kitlib.drawings.page import MARGIN, Page
from kitlib.drawings.palette import ACCENT, ACCENT_FILL, QUIET, shade
from kitlib.drawings.svg import LINE, SIZE, box, line, text, width, wrap
from kitlib.sighting import VantagePoint


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
    """The machines as brackets, under them the lanes' boxes."""
    x, groups = stage.left, []
    for machine, group in groupby(stage.lanes, key=lambda lane: lane.machine):
        wide = stage.spacing * len(list(group))
        groups.append((x, wide, wrap(machine, wide - 12, SIZE, True)))
        x += wide
    stage.y += LINE * max(len(words) for _, _, words in groups)
    for x, wide, words in groups:
        stage.marks += [text(x + wide / 2, stage.y - 6 - LINE * i, part, SIZE, True, QUIET, "middle")
                        for i, part in enumerate(reversed(words))]
        stage.marks += [line(x + 5, stage.y, x + wide - 5, stage.y, QUIET, 1.5),
                        *(line(end, stage.y, end, stage.y + 6, QUIET, 1.5) for end in (x + 5, x + wide - 5))]
    stage.y += 10
    titles = [_title(lane, stage.spacing - 7) for lane in stage.lanes]
    high = LINE * max(len(words) for words in titles) + 8
    for lane, words in zip(stage.lanes, titles, strict=True):
        edge, fill = shade(lane.kind)
        x = stage.x(lane)
        stage.marks.append(box(x - stage.spacing / 2 + 2, stage.y, stage.spacing - 4, high, fill, edge, thick=1.5))
        stage.marks += [text(x, stage.y + 17 + LINE * i, part, anchor="middle") for i, part in enumerate(words)]
    stage.y = stage.top = stage.y + high + 2


def _title(lane: VantagePoint, limit: float) -> list[str]:
    """The title in short lines, the interface on a line of its own."""
    place = lane.title.removesuffix(lane.interface).strip()
    return [*(wrap(place, limit) if place else []), *wrap(lane.interface, limit)]
