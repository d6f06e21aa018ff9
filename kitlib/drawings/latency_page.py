"""The page of the latency budget: above what each part takes of the whole, below each span on a scale of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from math import floor, log10
from typing import TYPE_CHECKING, NamedTuple

from kitlib.drawings.latency_spans import PHASES, Span, by_phase, in_order, medians
from kitlib.drawings.palette import BANDS, FAINT, PLACES, QUIET, Shade
from kitlib.drawings.svg import LINE, width, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE, MARGIN, TITLE, TITLE_SIZE = 760, 14, 21, 16
NAMES, NUMBERS, BAR, GAP = 250, 140, 30, 6        # px: room for names, at least for numbers; a bar; around a row
SCALE, LEGEND, WIDE = 44, 64, PAGE - 118          # px: under an axis, for its ticks and name; the legend; the bars
LOOKS = {phase: (PLACES[kind], hatch) for phase, kind, hatch in zip(
    PHASES, ("pod", "host", "coredns", "upstream", "node"), ("", "oo", "xx", "..", "//"), strict=True)}


class Group(NamedTuple):
    """The takes of one sort, and how they are marked."""

    name: str
    marker: str
    colours: Shade
    takes: list[dict[Span, int]]


class Row(NamedTuple):
    """A span, or without one the heading of a part; top and bottom on the lower axes in px."""

    words: list[str]
    span: Span | None
    top: float
    bottom: float


def layout(groups: list[Group], title: str, caption: str) -> tuple[float, Callable[[Figure], None]]:
    """The height of the page in px, and what draws it."""
    rows, heads = _rows(groups), wrap(title, PAGE - 2 * MARGIN, TITLE_SIZE, True)
    notes = wrap(caption, PAGE - 2 * MARGIN)
    upper, bars = MARGIN + TITLE * len(heads) + 8, BAR * len(groups)
    lower, column = upper + bars + SCALE + LEGEND, _column(groups)
    foot = lower + rows[-1].bottom + SCALE
    high = foot + LINE * len(notes) + MARGIN

    def axes(page: Figure, x: float, top: float, wide: float, tall: float) -> Axes:
        made = page.add_axes((x / PAGE, 1 - (top + tall) / high, wide / PAGE, tall / high), facecolor="none")
        made.set(ylim=(tall, 0), yticks=[])
        return made

    def draw(page: Figure) -> None:
        for i, words in enumerate(heads, 1):
            page.text(MARGIN / PAGE, 1 - (MARGIN + TITLE * i - 5) / high, words, size=TITLE_SIZE, weight="bold")
        for i, words in enumerate(notes, 1):
            page.text(MARGIN / PAGE, 1 - (foot + LINE * i - 4) / high, words, color=QUIET)
        _bars(axes(page, PAGE - MARGIN - 20 - WIDE, upper, WIDE, bars), groups)
        wide = PAGE - 2 * MARGIN - NAMES - column * len(groups)
        _marks(axes(page, MARGIN + NAMES, lower, wide, rows[-1].bottom), groups, rows, wide, column)

    return high, draw


def _rows(groups: list[Group]) -> list[Row]:
    """The spans of all takes in the order of the way, under the headings of its parts."""
    rows: list[Row] = []
    for phase, members in groupby(in_order(take for group in groups for take in group.takes), lambda span: span.phase):
        for span in (None, *members):
            words, top = wrap(span.name, NAMES - 8) if span else [phase], rows[-1].bottom if rows else 0
            rows.append(Row(words, span, top, top + LINE * len(words) + GAP))
    return rows


def numbers(found: tuple[float, float, float] | None) -> str:
    """Median, least and most, given in ns, told in µs, from a second on in s."""
    told = [f"{value / 1e9:,.1f} s" if value >= 1e9 else f"{value / 1000:,.0f}" for value in found or ()]
    return "{} ({} – {})".format(*told) if found else "–"


def _column(groups: list[Group]) -> float:
    """How wide a column of numbers must be."""
    return max(NUMBERS, *(width(numbers(three)) + 16 for group in groups for three in medians(group.takes).values()))


def _bars(axes: Axes, groups: list[Group]) -> None:
    """One bar a group: its parts' medians end to end, with the number in those that are wide enough."""
    sums = [{phase: three[0] / 1e6 for phase, three in medians(list(map(by_phase, group.takes))).items()}
            for group in groups]
    longest = max(sum(one.values()) for one in sums) or 1
    for row, (group, found) in enumerate(zip(groups, sums, strict=True)):
        left, middle = 0.0, BAR * (row + 0.5)
        axes.text(-8 / WIDE, middle + 4, group.name, ha="right", transform=axes.get_yaxis_transform())
        for phase, took in ((phase, found.get(phase, 0)) for phase in PHASES if any(phase in one for one in sums)):
            (edge, fill), hatch = LOOKS[phase]
            axes.barh(middle, took, BAR - 8, left, color=fill, edgecolor=edge, hatch=hatch,
                      label="" if row else phase)
            if width(words := f"{took:.2f}") + 14 < took / longest * WIDE:
                axes.text(left + took / 2, middle + 4, words, ha="center",
                          bbox={"facecolor": fill, "edgecolor": "none", "pad": 2})
            left += took
    axes.set(xlim=(0, longest), xlabel="ms, each part's median")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -SCALE / BAR / len(groups)), ncols=5, frameon=False, borderpad=0,
                handlelength=2.4, columnspacing=1.6)


def _marks(axes: Axes, groups: list[Group], rows: list[Row], wide: float, column: float) -> None:
    """One row a span: for each group a mark at the median, a line over the spread, and both in numbers."""
    found = [medians(group.takes) for group in groups]
    values = [value / 1000 for one in found for three in one.values() for value in three]
    low, most = (floor(log10(max(1, end(values)))) for end in (min, max))
    axes.set(xscale="log", xlim=(10 ** low, 10 ** (most + 1)), xlabel="µs; a tenfold from number to number")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    beside = axes.get_yaxis_transform()
    ends = [1 + (column * (number + 1) - 4) / wide for number in range(len(groups))]
    for group, x in zip(groups, ends, strict=True):
        words = f"{group.name}, µs"
        axes.text(x, -8, words, transform=beside, ha="right", weight="bold")
        _dot(axes, group, x - (width(words, bold=True) + 10) / wide, -12, transform=beside)
    for row in rows:
        for i, words in enumerate(row.words, 1):
            axes.text((8 if row.span else 0) / wide - NAMES / wide, row.top + LINE * i - 1, words, transform=beside,
                      weight="normal" if row.span else "bold")
        if row.span is None:
            axes.axhspan(row.top, row.bottom, -(NAMES + 6) / wide, ends[-1] + 8 / wide, color=BANDS[2], clip_on=False)
            continue
        for number, (group, one) in enumerate(zip(groups, found, strict=True), 1):
            _mark(axes, group, one.get(row.span), row.top + (row.bottom - row.top) * number / (len(groups) + 1))
            axes.text(ends[number - 1], row.top + LINE - 1, numbers(one.get(row.span)), transform=beside, ha="right")


def _mark(axes: Axes, group: Group, found: tuple[float, float, float] | None, y: float) -> None:
    if found:
        median, least, most = (max(value / 1000, axes.get_xlim()[0]) for value in found)
        axes.plot([least, most], [y, y], color=group.colours.edge, linewidth=2)
        _dot(axes, group, median, y)


def _dot(axes: Axes, group: Group, x: float, y: float, **where: object) -> None:
    axes.plot([x], [y], group.marker, color=group.colours.fill, markeredgecolor=group.colours.edge, markersize=6,
              markeredgewidth=1.5, clip_on=False, **where)
