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

NAMES, NUMBERS, GAP, SCALE, TITLE = 250, 140, 6, 44, 21      # px; NUMBERS: at least so wide


class Group(NamedTuple):
    """The takes of one sort, and how they are marked; `found` has median, least and most in ns."""

    name: str
    marker: str
    colours: Shade
    count: int
    found: dict[Span | str, tuple[float, float, float]]


class Row(NamedTuple):
    """A span, or by name a part of the way or the whole; its words in lines, and where it stands."""

    key: Span | str
    words: list[str]
    top: float
    bottom: float


def numbers(found: tuple[float, float, float] | None) -> str:
    """Median, least and most, given in ns, told in µs, from a second on in s."""
    told = [f"{value / 1e9:,.1f} s" if value >= 1e9 else f"{value / 1000:,.0f}" for value in found or ()]
    return "{} ({} – {})".format(*told) if found else "–"


def layout(groups: Sequence[Group], keys: Sequence[Span | str], title: str,
           caption: str) -> tuple[float, Callable[[Figure], None]]:
    """The height of the page in px, and what draws it."""
    heads, notes = wrap(title, PAGE - 2 * MARGIN, TITLE_SIZE, True), wrap(caption, PAGE - 2 * MARGIN)
    rows = _rows(keys, MARGIN + TITLE * len(heads) + 34)
    start, bottom = rows[0].top, rows[-1].bottom
    high = bottom + SCALE + LINE * len(notes) + MARGIN
    column = max([NUMBERS, *(width(numbers(three)) + 16 for group in groups for three in group.found.values())])
    left, right = MARGIN + NAMES, PAGE - MARGIN - column * len(groups)

    def draw(figure: Figure) -> None:
        page = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE), ylim=(high, 0))
        page.axis("off")
        for i, words in enumerate(heads, 1):
            page.text(MARGIN, MARGIN + TITLE * i - 5, words, size=TITLE_SIZE, weight="bold")
        for i, words in enumerate(notes, 1):
            page.text(MARGIN, bottom + SCALE + LINE * i - 4, words, color=QUIET)
        plot = figure.add_axes((left / PAGE, 1 - bottom / high, (right - left) / PAGE, (bottom - start) / high),
                               facecolor="none", ylim=(bottom, start), yticks=[])
        _scale(plot, groups)
        for row in rows:
            _name(page, row)
        for number, group in enumerate(groups, 1):
            _numbers(page, group, rows, right + column * number - 4)
            _marks(plot, group, rows, number / (len(groups) + 1))

    return high, draw


def _rows(keys: Sequence[Span | str], top: float) -> list[Row]:
    rows = []
    for key in keys:
        words = wrap(key.name if isinstance(key, Span) else key, NAMES - 8)
        rows.append(Row(key, words, top, top + LINE * len(words) + GAP))
        top = rows[-1].bottom
    return rows


def _name(page: Axes, row: Row) -> None:
    """The name of a row; a part of the way is bold and on a ground."""
    part = isinstance(row.key, str)
    if part:
        page.axhspan(row.top, row.bottom, 0.01, 0.99, color=BANDS[2])
    for i, words in enumerate(row.words, 1):
        page.text(MARGIN if part else MARGIN + 8, row.top + LINE * i - 1, words, weight="bold" if part else "normal")


def _scale(plot: Axes, groups: Sequence[Group]) -> None:
    """From the power of ten below the least to the one above the most, in µs."""
    values = [value / 1000 for group in groups for three in group.found.values() for value in three]
    low, most = (floor(log10(max(1, end(values)))) for end in (min, max))
    plot.set(xscale="log", xlim=(10 ** low, 10 ** (most + 1)), xlabel="µs, on a logarithmic scale")
    plot.xaxis.set_major_formatter("{x:,.0f}")
    plot.xaxis.set_minor_formatter("")
    plot.grid(axis="x", color=FAINT, linewidth=0.5)


def _numbers(page: Axes, group: Group, rows: Sequence[Row], right: float) -> None:
    """A column of numbers under the group's name and marker."""
    head, y = f"{group.name}, µs", rows[0].top - 8
    page.text(right, y, head, ha="right", weight="bold")
    _dots(page, group, [right - width(head, bold=True) - 10], [y - 4])
    for row in rows:
        page.text(right, row.top + LINE - 1, numbers(group.found.get(row.key)), ha="right")


def _marks(plot: Axes, group: Group, rows: Sequence[Row], depth: float) -> None:
    """In each row, at this part of its height, a line from least to most and the group's marker at the median."""
    edge, shown = plot.get_xlim()[0], [row for row in rows if row.key in group.found]
    ys = [row.top + (row.bottom - row.top) * depth for row in shown]
    median, least, most = ([max(group.found[row.key][i] / 1000, edge) for row in shown] for i in range(3))
    plot.hlines(ys, least, most, group.colours.edge, linewidth=2)
    _dots(plot, group, median, ys)


def _dots(axes: Axes, group: Group, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.plot(xs, ys, group.marker, color=group.colours.fill, markeredgecolor=group.colours.edge, markersize=6,
              markeredgewidth=1.5, clip_on=False)
