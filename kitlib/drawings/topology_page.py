"""The page that the map is drawn on: frames, and boxes ("chips") that hold an address, a name and perhaps a marker."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitlib.drawings.page import MARGIN, PAD, PAGE, Page
from kitlib.drawings.palette import FOCUS, PAPER, Shade
from kitlib.drawings.svg import LINE, SIZE, box, text, width, wrap
from kitlib.drawings.topology_text import Lit

RIGHT = PAGE - MARGIN - PAD          # where the boxes in the host's frame end


@dataclass
class Map(Page):
    """The picture so far, what is lit on it, and the x of the pods."""

    lit: Lit = field(default_factory=dict)
    pods: float = 0


def frame(page: Map, y: float, x: float, right: float, colours: Shade, place: str) -> None:
    """The frame from `y` to here, behind all that is there: frames are finished from the inside out."""
    marker = page.lit.get((place, ""))
    page.behind.insert(0, _outline(x, y, right, page.y, colours, marker))
    if marker:
        _badge(page, right - width(marker, SIZE, True) - 20, y + 6, marker)


def inner(x: float, marker: str | None) -> float:
    """Where the words of a chip begin: after its marker, if it has one."""
    return x + PAD + (width(marker, SIZE, True) + 16 if marker else 0)


def chip(page: Map, x: float, lead: str, title: str, colours: Shade, where: tuple[str, str], right: float = 0,
         dashed: bool = False) -> tuple[float, float]:
    """A box with an address and a bold title beside it, under it if they are too long; gives its right and bottom."""
    marker = page.lit.get(where)
    start = inner(x, marker)
    right = right or start + width(lead) + PAD
    beside = start + width(lead) + 16
    column = beside if right - PAD - beside > 110 else start
    leads = wrap(lead, right - PAD - start)
    titles = wrap(title, right - PAD - column, SIZE, True) if title else []
    first = 0 if column == beside else len(leads)
    bottom = page.y + LINE * max(len(leads), first + len(titles)) + 9
    page.marks.append(_outline(x, page.y, right, bottom, colours, marker, dashed))
    if marker:
        _badge(page, x + 6, page.y + 4.5, marker)
    page.marks += [text(start, page.y + 17 + LINE * i, part) for i, part in enumerate(leads)]
    page.marks += [text(column, page.y + 17 + LINE * i, part, bold=True) for i, part in enumerate(titles, first)]
    return right, bottom


def _outline(x: float, y: float, right: float, bottom: float, colours: Shade, marker: str | None,
             dashed: bool = False) -> str:
    return box(x, y, right - x, bottom - y, colours.fill, FOCUS if marker else colours.edge,
               thick=3 if marker else 1.3, dashed=dashed)


def _badge(page: Map, x: float, y: float, marker: str) -> None:
    """The marker of something lit: white words on black, so that it stands out without a colour."""
    page.marks += [box(x, y, width(marker, SIZE, True) + 12, LINE, FOCUS, radius=8),
                   text(x + 6, y + 13, marker, SIZE, True, PAPER)]
