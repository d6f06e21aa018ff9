"""Pictures with axes: matplotlib draws them, in px, onto the same card as all other pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

from kitlib.drawings.palette import FAINT, INK
from kitlib.drawings.svg import FONT, SIZE, card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text stays text, words are never read as formulas, and the same picture is the same bytes.
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "kitlib", "text.parse_math": False, "font.family": "DejaVu Sans",
            "font.size": SIZE, "axes.edgecolor": FAINT, "text.color": INK, "xtick.color": INK,
            "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False}
PX = 72       # matplotlib writes 72 units an inch: so one unit is one px here


def figure(title: str, alt: str, wide: float, high: float, draw: Callable[[Figure], None]) -> str:
    """The SVG of what `draw` puts on a matplotlib figure of this size in px."""
    import matplotlib
    from matplotlib.figure import Figure

    page, file = Figure(figsize=(wide / PX, high / PX), facecolor="none"), BytesIO()
    with matplotlib.rc_context(SETTINGS):
        draw(page)
        page.savefig(file, format="svg", metadata={"Date": None})
    return card(title, alt, wide, high, [_inside(file.getvalue().decode())])


def _inside(svg: str) -> str:
    """What the SVG draws, without what could disturb the page around it: styles, and ids that nothing refers to."""
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "",
                  re.search(r"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)[1], flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", body))
    kept = {name for pair in used for name in pair if name}
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in kept else "", body)
    return re.sub(r">\s+<", "><", body.replace("'DejaVu Sans'", FONT).replace("xlink:href", "href")).strip()
