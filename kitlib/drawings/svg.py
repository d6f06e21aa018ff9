"""The palette, the marks and the page of every picture, as SVG; lengths in px.

The colours are Okabe and Ito's, which colour-blind readers can tell apart. A colour never says anything alone: each
place also carries its name, each rewrite the word. Every picture lies on a light card of its own, so that it looks the
same in a light and a dark theme, in a file and on a projector. It has no ids, style sheets or markers, so that two
pictures on one page cannot disturb each other.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

from kitlib.escapes import printable

PAPER, PAPER_EDGE = "#FFFFFF", "#C9CED6"
INK, QUIET, FAINT = "#1B1F24", "#4B5563", "#9AA3AF"     # on PAPER: 16:1, 7.5:1, and lines only
BANDS = (PAPER, "#F1F4F8", "#E4EAF1")                   # a leg, the leg that it caused, and the next
FOCUS = "#000000"                                       # the outline of what is lit

ACCENT, ACCENT_FILL = "#D55E00", "#FCE9DC"              # vermillion: only "this was rewritten here"


class Shade(NamedTuple):
    """The colours of a kind of place: its outline and its fill (dark text on it stays readable)."""

    edge: str
    fill: str


PLACES = {
    "pod": Shade("#009E73", "#DDF3EC"),
    "node": Shade("#0072B2", "#E0EEF7"),
    "host": Shade("#5F6B7A", "#ECEEF1"),
    "coredns": Shade("#B5568F", "#F7E6F0"),
    "upstream": Shade("#A89600", "#FBF8D5"),
    "container": Shade("#3A93C8", "#E6F4FC"),
}


def shade(kind: str) -> Shade:
    """Return the colours of a kind of place; those of a container for a kind that has none."""
    return PLACES.get(kind, PLACES["container"])


PAGE, MARGIN, PAD = 760, 14, 10     # PAD: between a box and its words
FONT = "'DejaVu Sans','Helvetica Neue',Arial,sans-serif"    # the widest first: widths are measured on it
SIZE, LINE, TITLE_SIZE = 12, 17, 16
BOLDER = 1.17
SMALLEST = 0.75     # a picture shrinks to this on a narrow page, where it is still readable; then it scrolls
DESCRIPTION = re.compile(r"<title>.*?</title><desc>.*?</desc>", re.DOTALL)     # of a finished page, and its size
SIZES = re.compile(r' width="(\d+)" height="(\d+)"')
_GROUPS = (("'ijl", 0.29), ("IJ ,.·|/\\", 0.34), (":;f-", 0.38), ("()[]t!", 0.41), ("r", 0.43), ("sz", 0.53),
           ("c", 0.55), ("vxyk", 0.6), ("eoa", 0.62), ("µ", 0.65), ("ABCDEGHKNOQRUVXZ&", 0.8), ("wM#+<=>~^→←×◀", 0.86),
           ("mW%@—…●", 1.01))
_EMS = {character: ems for characters, ems in _GROUPS for character in characters}


def width(words: str, size: float = SIZE, bold: bool = False) -> float:
    """Return at least the width of `words`: DejaVu's widths rounded up, so that a narrower font fits too."""
    ems = sum(_EMS.get(character, 0.64 if character < "\x7f" else 1.45) for character in words)
    return ems * size * (BOLDER if bold else 1)


def wrap(words: str, limit: float, size: float = SIZE, bold: bool = False) -> list[str]:
    """Break words into lines of at most `limit` px; a word that is too long by itself is cut, none is left out."""
    lines: list[str] = []
    limit += 0.01     # what was measured to fit exactly must not fail by a rounding error
    for word in words.split():
        if lines and width(f"{lines[-1]} {word}", size, bold) <= limit:
            lines[-1] += f" {word}"
        else:
            lines += _cut(word, limit, size, bold)
    return lines or [""]


def _cut(word: str, limit: float, size: float, bold: bool) -> list[str]:
    """Cut a word into pieces that fit: after a hyphen, dot, colon or slash where there is one."""
    pieces = []
    while width(word, size, bold) > limit and len(word) > 1:
        fits = max((n for n in range(1, len(word)) if width(word[:n], size, bold) <= limit), default=1)
        cut = max(word.rfind(mark, 0, fits) + 1 for mark in "-.:/") or fits
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _escaped(words: str) -> str:
    """Escape words for XML, which allows no control characters at all."""
    return escape(printable(words), quote=False)


def _tag(name: str, **values: object) -> str:
    """Begin a tag; numbers have one decimal, and what is empty or 0, as SVG assumes, is left out."""
    shown = ((key.replace("_", "-"), f"{round(value, 1):g}" if isinstance(value, float) else str(value))
             for key, value in values.items() if value)
    return f"<{name} " + " ".join(f'{key}="{escape(value)}"' for key, value in shown)


def text(x: float, y: float, words: str, size: int = SIZE, bold: bool = False, fill: str = INK,
         anchor: str = "start") -> str:
    """Draw one line of text with its baseline at `y`; `anchor` is start, middle or end."""
    return _tag("text", x=x, y=y, font_size=size, font_weight="bold" if bold else "", fill=fill,
                text_anchor=anchor) + f">{_escaped(words)}</text>"


def box(x: float, y: float, w: float, h: float, fill: str = PAPER, edge: str = "", radius: float = 5,
        thick: float = 1.3, dashed: bool = False) -> str:
    """Draw a rounded rectangle."""
    return _tag("rect", x=x, y=y, width=w, height=h, rx=radius, fill=fill, stroke=edge,
                stroke_width=thick if edge else "", stroke_dasharray="5 4" if dashed else "") + "/>"


def line(x1: float, y1: float, x2: float, y2: float, ink: str = INK, thick: float = 1, dashed: bool = False) -> str:
    """Draw a straight line."""
    return _tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=ink, stroke_width=thick,
                stroke_dasharray="5 4" if dashed else "") + "/>"


def dot(x: float, y: float, fill: str = INK, edge: str = "", radius: float = 4.5) -> str:
    """Draw a circle."""
    return _tag("circle", cx=x, cy=y, r=radius, fill=fill, stroke=edge, stroke_width=1.5 if edge else "") + "/>"


def diamond(x: float, y: float, fill: str, edge: str, radius: float = 5) -> str:
    """Draw a square that stands on its corner."""
    corners = f"{x - radius:.1f},{y:.1f} {x:.1f},{y - radius:.1f} {x + radius:.1f},{y:.1f} {x:.1f},{y + radius:.1f}"
    return _tag("polygon", points=corners, fill=fill, stroke=edge, stroke_width=1.5) + "/>"


def arrow(x1: float, y1: float, x2: float, y2: float, dashed: bool = False, ink: str = INK) -> str:
    """Draw an arrow, along the page or down or up it."""
    long = math.dist((x1, y1), (x2, y2))
    dx, dy = (x2 - x1) / long, (y2 - y1) / long
    x, y, wide, high = x2 - 8 * dx, y2 - 8 * dy, abs(4.5 * dy), abs(4.5 * dx)
    tip = f"{x2:.1f},{y2:.1f} {x - wide:.1f},{y - high:.1f} {x + wide:.1f},{y + high:.1f}"
    return line(x1, y1, x, y, ink, 1.6, dashed) + _tag("polygon", points=tip, fill=ink) + "/>"


@dataclass
class Page:
    """A picture in the making, from top to bottom: `y` is where the next thing goes; `behind` lies under the marks."""

    width: float = PAGE
    y: float = 18
    behind: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def add_paragraph(self, words: str, x: float = MARGIN, size: int = SIZE, bold: bool = False,
                      fill: str = INK) -> None:
        """Add text from `x` to the right edge."""
        for part in wrap(words, self.width - MARGIN - PAD - x, size, bold):
            self.y += size + 5
            self.marks.append(text(x, self.y - 4, part, size, bold, fill))

    def add_title(self, words: str) -> None:
        """Add the picture's title, with some air below it."""
        self.add_paragraph(words, size=TITLE_SIZE, bold=True)
        self.y += 10

    def finish(self, title: str, alt: str) -> str:
        """Return the SVG of the page on its card, named and described for a screen reader."""
        w, h = round(self.width), round(self.y + PAD)
        head = _tag("svg", xmlns="http://www.w3.org/2000/svg", role="img", viewBox=f"0 0 {w} {h}", width=w, height=h,
                    font_family=FONT)
        card = box(0.5, 0.5, w - 1, h - 1, PAPER, PAPER_EDGE, 8, 1)
        return (f"{head}><title>{_escaped(title)}</title><desc>{_escaped(alt)}</desc>{card}"
                f"{''.join(self.behind)}{''.join(self.marks)}</svg>")
