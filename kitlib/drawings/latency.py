"""Pictures with axes: matplotlib draws them, in px, onto the same card as all other pictures.

The page of the latency budget: a row for each span, each part of the way and the whole, on one scale of µs.

The latency budget: how long each hop takes over several takes, with and without the question upstream."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import groupby
from math import floor, log10
from typing import TYPE_CHECKING, NamedTuple

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.latency_spans import PHASES, WHOLE, Span, by_phase, in_order, medians, spans
from kitlib.drawings.svg import (
    BANDS,
    FAINT,
    FONT,
    INK,
    LINE,
    MARGIN,
    PAGE,
    PLACES,
    QUIET,
    SIZE,
    TITLE_SIZE,
    Shade,
    card,
    width,
    wrap,
)
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.journey.model import Journey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


NAMES, COLUMN, ROW, SCALE, TITLE = 344, 84, 22, 44, 21      # px: widths, and heights


class Group(NamedTuple):
    """The takes of one sort, and how they are marked; `found` has median, least and most in ns."""

    name: str
    marker: str
    colours: Shade
    count: int
    found: dict[Span | str, tuple[float, float, float]]


def told(nanoseconds: float) -> str:
    """A time in µs, from a second on in s."""
    return f"{nanoseconds / 1e9:,.1f} s" if nanoseconds >= 1e9 else f"{nanoseconds / 1000:,.0f}"


def layout(groups: Sequence[Group], rows: Sequence[Span | str], title: str,
           caption: str) -> tuple[float, Callable[[Figure], None]]:
    """The height of the page in px, and what draws it."""
    heads, notes = wrap(title, PAGE - 2 * MARGIN, TITLE_SIZE, True), wrap(caption, PAGE - 2 * MARGIN)
    top = MARGIN + TITLE * len(heads) + 34
    bottom = top + ROW * len(rows)
    high = bottom + SCALE + LINE * len(notes) + MARGIN
    left, wide = MARGIN + NAMES, PAGE - 2 * MARGIN - NAMES - COLUMN * len(groups)

    def draw(figure: Figure) -> None:
        for i, words in enumerate(heads, 1):
            figure.text(MARGIN / PAGE, 1 - (MARGIN + TITLE * i - 5) / high, words, size=TITLE_SIZE, weight="bold")
        for i, words in enumerate(notes, 1):
            figure.text(MARGIN / PAGE, 1 - (bottom + SCALE + LINE * i - 4) / high, words, color=QUIET)
        page = figure.add_axes((0, 1 - bottom / high, 1, (bottom - top) / high), xlim=(0, PAGE), ylim=(len(rows), 0))
        page.axis("off")
        plot = figure.add_axes((left / PAGE, 1 - bottom / high, wide / PAGE, (bottom - top) / high),
                               facecolor="none", ylim=page.get_ylim(), yticks=[])
        _names(page, rows)
        _scale(plot, groups)
        for number, group in enumerate(groups, 1):
            _numbers(page, group, rows, left + wide + COLUMN * number - 4)
            _marks(plot, group, rows, number / (len(groups) + 1))

    return high, draw


def _names(page: Axes, rows: Sequence[Span | str]) -> None:
    """The names of the rows; a part of the way is bold and on a ground."""
    for y, row in enumerate(rows):
        if isinstance(row, str):
            page.axhspan(y, y + 1, 0.01, 0.99, color=BANDS[2])
            page.text(MARGIN, y + 0.7, row, weight="bold")
        else:
            first, *rest = wrap(row.name, NAMES - 24)
            page.text(MARGIN + 8, y + 0.7, f"{first} …" if rest else first)


def _scale(plot: Axes, groups: Sequence[Group]) -> None:
    """From the power of ten below the least to the one above the most, in µs."""
    from matplotlib.ticker import LogLocator

    values = [value / 1000 for group in groups for three in group.found.values() for value in three]
    low, most = (floor(log10(max(1, end(values)))) for end in (min, max))
    plot.set(xscale="log", xlim=(10 ** low, 10 ** (most + 1)), xlabel="µs, on a logarithmic scale")
    plot.xaxis.set_major_locator(LogLocator(numticks=5))
    plot.xaxis.set_major_formatter("{x:,g}")
    plot.xaxis.set_minor_formatter("")
    plot.grid(axis="x", color=FAINT, linewidth=0.5)


def _numbers(page: Axes, group: Group, rows: Sequence[Span | str], right: float) -> None:
    """A column of medians under the group's name and marker."""
    page.text(right, -0.4, group.name, ha="right", weight="bold")
    _dots(page, group, [right - width(group.name, bold=True) - 10], [-0.6])
    for y, row in enumerate(rows):
        page.text(right, y + 0.7, told(group.found[row][0]) if row in group.found else "–", ha="right")


def _marks(plot: Axes, group: Group, rows: Sequence[Span | str], depth: float) -> None:
    """In each row, at this part of its height, a line from least to most and the group's marker at the median."""
    found = {y + depth: group.found[row] for y, row in enumerate(rows) if row in group.found}
    median, least, most = ([max(three[i] / 1000, plot.get_xlim()[0]) for three in found.values()] for i in range(3))
    plot.hlines(list(found), least, most, group.colours.edge, linewidth=2)
    _dots(plot, group, median, list(found))


def _dots(axes: Axes, group: Group, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.plot(xs, ys, group.marker, color=group.colours.fill, markeredgecolor=group.colours.edge, markersize=6,
              markeredgewidth=1.5, clip_on=False)


CAPTION = ("Uncached: CoreDNS asked upstream. Cached: no question upstream was seen. Mark and number: median, in µs. "
           "Line: from least to most. The medians of the parts do not add up to the median of the whole.")
SORTS = (("uncached", "o", PLACES["node"], True), ("cached", "D", PLACES["pod"], False))


def latency_budget(journeys: Sequence[Journey]) -> Drawing:
    """Where the time of these journeys goes; KitError if no answer came back in any of them."""
    journeys = list(dict.fromkeys(journeys))      # a recorded take that was played again is not another take
    back = [one for one in journeys if one.came_back]
    if not back:
        raise KitError(f"there is no time to share out: of {len(journeys)} journeys, none came back with an answer")
    groups = [Group(name, marker, colours, len(some), medians(list(map(_times, some))))
              for name, marker, colours, asked in SORTS
              if (some := [one for one in back if bool(one.upstream_legs) is asked])]
    rows: list[Span | str] = []
    for phase, members in groupby(in_order(map(spans, back)), lambda span: span.phase):
        rows += [phase, *members]
    rows.append(WHOLE)
    title, left_out = " ".join(map(_sentence, groups)), len(journeys) - len(back)
    caption = CAPTION + (f" Left out, for lack of an answer: {left_out}." if left_out else "")
    table = _table(groups, rows, title)
    alt = f"{title} {caption} " + " ".join(f"{row[0]} {row[1]}: {', '.join(row[2:])}." for row in table.rows)
    drawn = figure(title, alt, PAGE, *layout(groups, rows, title, caption))
    return Drawing(title, alt, drawn, f"{table.text}\n{caption}")


def _times(journey: Journey) -> dict[Span | str, int]:
    """The time of each span, of each part of the way, and of the whole."""
    found = spans(journey)
    return {**found, **by_phase(found), WHOLE: sum(found.values())}


def _sentence(group: Group) -> str:
    most = max((phase for phase in PHASES if phase in group.found), key=lambda phase: group.found[phase][0])
    takes = "1 take" if group.count == 1 else f"{group.count} takes"
    return (f"{group.name.capitalize()} ({takes}): {group.found[WHOLE][0] / 1e6:.1f} ms, "
            f"most of it {most}, {group.found[most][0] / 1e6:.1f} ms.")


def _spread(found: tuple[float, float, float] | None) -> str:
    return "{} ({} – {})".format(*map(told, found)) if found else "–"


def _table(groups: list[Group], rows: list[Span | str], title: str) -> Table:
    heads = (f"{group.name}, µs: median (least – most)" for group in groups)
    cells = ((*(("", row.name) if isinstance(row, Span) else (row, "in all")),
              *(_spread(group.found.get(row)) for group in groups)) for row in rows)
    return Table(title, ("part", "between", *heads), tuple(cells))
