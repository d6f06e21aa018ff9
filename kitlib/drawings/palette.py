"""One palette for every picture: Okabe and Ito's colours, which colour-blind readers can tell apart.

Every picture lies on a light card of its own, so that it looks the same in a light and a dark theme, in a file and on
a projector. A colour never says anything alone: each place also carries its name, each rewrite the word.
"""

from __future__ import annotations

from typing import NamedTuple

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
    """The colours of a kind of place; those of a container for a kind that has none."""
    return PLACES.get(kind, PLACES["container"])
