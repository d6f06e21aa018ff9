"""The page of the latency budget: a row for each span, each part of the way and the whole, on one scale of µs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, log10
from typing import TYPE_CHECKING, NamedTuple

from kitlib.drawings.latency_spans import Span
from kitlib.drawings.page import MARGIN, PAGE, TITLE_SIZE
from kitlib.drawings.palette import BANDS, FAINT, QUIET, Shade
from kitlib.drawings.svg import LINE, width, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
