"""The latency budget: where the time goes over several takes, with and without a question upstream.

A journey's time is cut up into spans, each named by what lies between two sightings. Takes differ: the coin may send
the query to another CoreDNS pod behind another veth. So a span is named by the part that its ends play (CoreDNS's node,
its veth), not by the names of interfaces, and takes can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from math import ceil, floor, log10
from statistics import median
from typing import NamedTuple

from kitlib.drawings import svg
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.ladder_words import Row, nat, point, rows
from kitlib.drawings.svg import MARGIN, PAD, PAGE, Shade
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.journey.model import Journey
from kitlib.sighting import VantagePoint

THERE, UNSEEN, SERVER, UPSTREAM, BACK = PHASES = ("the way there", "out of sight", "inside CoreDNS", "upstream",
                                                   "the way back")
WHOLE = "the whole"
NAMES, NUMBERS, TICK = 344, 84, 80              # px: the columns of names and numbers, a label of the scale
ROW, BAR, BARS_X = 22, 26, MARGIN + 84          # px: the heights of a row and of a bar, where the bars begin
PHASE_COLOURS = dict(zip(PHASES, map(svg.shade, ("node", "host", "coredns", "upstream", "node")), strict=True))
CAPTION = ("Uncached: CoreDNS asked upstream. Cached: no question upstream was seen. Bars: the medians of the parts, "
           "on a linear scale; they do not add up to the median of the whole.")
STRETCHES = "Every stretch between two sightings, on a logarithmic scale"
KEY = "Mark and number: median, in µs. Line: from least to most."
SORTS = (("uncached", svg.dot, svg.shade("node"), True), ("cached", svg.diamond, svg.shade("pod"), False))


class Span(NamedTuple):
    """What lies between two sightings that follow each other, and in which part of the journey."""

    phase: str
    name: str


class Spread(NamedTuple):
    """The middle, the least and the most of several times, in nanoseconds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Group:
    """The takes of one sort, and the mark that stands for them."""

    name: str
    mark: Callable[[float, float, str, str], str]
    colours: Shade
    count: int
    spreads: dict[Span | str, Spread]

    def draw_mark(self, x: float, y: float) -> str:
        """Draw the mark, its middle at x and y."""
        return self.mark(x, y, self.colours.fill, self.colours.edge)


def latency_budget(journeys: Sequence[Journey]) -> Drawing:
    """Draw where the time of these journeys goes; KitError if no answer came back in any of them."""
    journeys = list(dict.fromkeys(journeys))      # a recorded take that was played again is not another take
    back = [one for one in journeys if one.came_back]
    if not back:
        raise KitError(f"there is no time to share out: of {len(journeys)} journeys, none came back with an answer")
    groups = [Group(name, mark, colours, len(some), medians(list(map(_times, some))))
              for name, mark, colours, upstream in SORTS
              if (some := [one for one in back if bool(one.upstream_legs) is upstream])]
    rows: list[Span | str] = []
    for phase, members in groupby(span_order(map(spans, back)), lambda span: span.phase):
        rows += [phase, *members]
    rows.append(WHOLE)
    title, left_out = " ".join(map(_sentence, groups)), len(journeys) - len(back)
    caption = CAPTION + (f" Left out, for lack of an answer: {left_out}." if left_out else "")
    table = _table(groups, rows, title)
    alt = " ".join(f"{row[0]} {row[1]}: {', '.join(row[2:])}." for row in table.rows)
    chart = Drawing(STRETCHES, f"{KEY} {alt}", _picture(partial(_chart, groups=groups, rows=rows), STRETCHES, KEY, alt),
                    table.text)
    bars = _picture(partial(_bars, groups=groups), title, caption, caption)
    return Drawing(title, caption, bars, f"{table.text}\n{caption}", folded=chart)


def _times(journey: Journey) -> dict[Span | str, int]:
    """Return the time of each span, of each part of the way, and of the whole."""
    found = spans(journey)
    return {**found, **by_phase(found), WHOLE: sum(found.values())}


def _sentence(group: Group) -> str:
    most = max((phase for phase in PHASES if phase in group.spreads), key=lambda phase: group.spreads[phase].median)
    takes = "1 take" if group.count == 1 else f"{group.count} takes"
    return (f"{group.name.capitalize()} ({takes}): {group.spreads[WHOLE].median / 1e6:.1f} ms, "
            f"most of it {most}, {group.spreads[most].median / 1e6:.1f} ms.")


def _table(groups: Sequence[Group], rows: Sequence[Span | str], title: str) -> Table:
    heads = (f"{group.name}, µs: median (least – most)" for group in groups)
    cells = ((*(("", row.name) if isinstance(row, Span) else (row, "in all")),
              *(_spread_words(group.spreads.get(row)) for group in groups)) for row in rows)
    return Table(title, ("part", "between", *heads), tuple(cells))


def _spread_words(spread: Spread | None) -> str:
    return "{} ({} – {})".format(*map(_amount, spread)) if spread else "–"


def _amount(nanoseconds: float) -> str:
    """Return a time in µs, from a second on in s."""
    return f"{nanoseconds / 1e9:,.1f} s" if nanoseconds >= 1e9 else f"{nanoseconds / 1000:,.0f}"


def _picture(draw: Callable[[svg.Page], None], title: str, caption: str, alt: str) -> str:
    page = svg.Page()
    page.add_title(title)
    draw(page)
    page.add_paragraph(caption, fill=svg.QUIET)
    return page.finish(title, alt)


def _bars(page: svg.Page, groups: Sequence[Group]) -> None:
    """Draw one bar a group, its parts side by side, all on one linear scale; under them what the colours mean."""
    phases = [phase for phase in PHASES if any(phase in group.spreads for group in groups)]
    bars = [[(phase, group.spreads[phase].median) for phase in phases if phase in group.spreads] for group in groups]
    longest = max(sum(took for _, took in bar) for bar in bars) or 1
    scale = (PAGE - MARGIN - NUMBERS - BARS_X) / longest
    for group, bar in zip(groups, bars, strict=True):
        page.marks.append(svg.text(MARGIN, page.y + 18, group.name, bold=True))
        x: float = BARS_X
        for phase, took in bar:
            _bar_part(page, phase, x, took * scale)
            x += took * scale
        whole = _amount(group.spreads[WHOLE].median)
        page.marks.append(svg.text(x + 8, page.y + 18, whole if whole.endswith("s") else f"{whole} µs"))
        page.y += BAR + 8
    x = BARS_X
    for phase in phases:
        page.marks += [svg.box(x, page.y, 12, 12, *PHASE_COLOURS[phase][::-1], radius=2),
                       svg.text(x + 18, page.y + 11, phase)]
        x += 18 + svg.width(phase) + 18
    page.y += 34


def _bar_part(page: svg.Page, phase: str, x: float, wide: float) -> None:
    """Draw one part of a bar, with its name where there is room for it."""
    edge, fill = PHASE_COLOURS[phase]
    page.marks.append(svg.box(x, page.y, wide, BAR, fill, edge, radius=0))
    if svg.width(phase) + PAD < wide:
        page.marks.append(svg.text(x + wide / 2, page.y + 18, phase, anchor="middle"))


def _chart(page: svg.Page, groups: Sequence[Group], rows: Sequence[Span | str]) -> None:
    """Draw a row for each span, each part and the whole: name, spread on a logarithmic scale, medians."""
    page.y += 18
    left, right = MARGIN + NAMES, PAGE - MARGIN - NUMBERS * len(groups)
    low, high = _decades(groups)

    def x(nanoseconds: float) -> float:
        decades = max(log10(max(nanoseconds, 1) / 1000), low) - low
        return left + decades * (right - left) / (high - low)

    columns = [(right + NUMBERS * number - 4, group) for number, group in enumerate(groups, 1)]
    for column, group in columns:
        page.marks += [svg.text(column, page.y - 8, group.name, bold=True, anchor="end"),
                       group.draw_mark(column - svg.width(group.name, bold=True) - 10, page.y - 12)]
    top = page.y
    for row in rows:
        _row_name(page, row)
        for number, (column, group) in enumerate(columns, 1):
            _spread_marks(page, group, group.spreads.get(row), x, page.y + ROW * number / (len(groups) + 1), column)
        page.y += ROW
    for power in range(low, high + 1, ceil((high - low) * TICK / (right - left))):
        tick = x(10 ** power * 1000)
        page.behind.append(svg.line(tick, top, tick, page.y, svg.FAINT, 0.5))
        page.marks.append(svg.text(tick, page.y + 16, f"{10 ** power:,}", anchor="middle"))
    page.marks += [svg.line(left, page.y, right, page.y, svg.FAINT),
                   svg.text((left + right) / 2, page.y + 34, "µs, on a logarithmic scale", anchor="middle")]
    page.y += 44


def _decades(groups: Sequence[Group]) -> tuple[int, int]:
    """Return the powers of ten, in µs, between which all times lie; less than 1 µs counts as 1."""
    times = [time / 1000 for group in groups for spread in group.spreads.values() for time in spread]
    return floor(log10(max(1, min(times)))), floor(log10(max(1, max(times)))) + 1


def _row_name(page: svg.Page, row: Span | str) -> None:
    """Write the name of a row; a part of the way is bold and on a ground."""
    if isinstance(row, str):
        page.behind.append(svg.box(8, page.y, PAGE - 16, ROW, svg.BANDS[2], radius=0))
        page.marks.append(svg.text(MARGIN, page.y + 15, row, bold=True))
    else:
        first, *rest = svg.wrap(row.name, NAMES - 24)
        page.marks.append(svg.text(MARGIN + 8, page.y + 15, f"{first} …" if rest else first))


def _spread_marks(page: svg.Page, group: Group, spread: Spread | None, x: Callable[[float], float], y: float,
                  column: float) -> None:
    """Draw a line from least to most with the group's mark at the median, and the median as a number."""
    if spread:
        page.marks += [svg.line(x(spread.least), y, x(spread.most), y, group.colours.edge, 2),
                       group.draw_mark(x(spread.median), y)]
    page.marks.append(svg.text(column, page.y + 15, _amount(spread.median) if spread else "–", anchor="end"))


def spans(journey: Journey) -> dict[Span, int]:
    """Cut up the journey's time from its first sighting to its last at every sighting between; in nanoseconds."""
    found: dict[Span, int] = {}
    for before, now in pairwise(rows(journey)):
        span = _span(before, now, journey)
        found[span] = found.get(span, 0) + now.since_first_ns - before.since_first_ns
    return found


def span_order(found: Iterable[Iterable[Span]]) -> list[Span]:
    """Return all spans of several journeys, each where it comes on the way."""
    order: list[Span] = []
    for one in sorted(map(list, found), key=len, reverse=True):
        at = 0
        for span in one:
            if span not in order:
                order.insert(at, span)
            at = order.index(span) + 1
    return sorted(order, key=lambda span: PHASES.index(span.phase))


def by_phase(found: dict[Span, int]) -> dict[str, int]:
    """Return the time of each part that this journey has, in nanoseconds."""
    return {phase: sum(took for span, took in found.items() if span.phase == phase)
            for phase in PHASES if any(span.phase == phase for span in found)}


def _span(before: Row, now: Row, journey: Journey) -> Span:
    (who, end), (next_who, next_end) = (_part(point(row.hop), journey) for row in (before, now))
    way = f"{who}: {end} → {next_end}" if who == next_who and end else \
        f"{who} {end}".strip() + " → " + f"{next_who} {next_end}".strip()
    if before.leg_index == now.leg_index and before.hop.direction == now.hop.direction:
        phase = UPSTREAM if now.leg_index else THERE if now.hop.direction == "query" else BACK
        return Span(phase, f"{way}{_done(now)}")
    if before.leg_index == now.leg_index:
        if who == "CoreDNS" and not now.leg_index:
            return Span(SERVER, "answers at once")
        return Span(UPSTREAM if now.leg_index else UNSEEN, f"beyond {who} {end}".strip())
    if 0 in (before.leg_index, now.leg_index):
        what = "makes its answer" if now.hop.direction == "response" else "before it asks upstream"
        return Span(SERVER, what if who == next_who == "CoreDNS" else f"{way}: {what}")
    what = "passes the answer back" if now.hop.direction == "response" else "asks the next server"
    return Span(UPSTREAM, f"{who}: a resolver {what}" if who == next_who else way)


def _part(at: VantagePoint, journey: Journey) -> tuple[str, str]:
    """Say which part a vantage point plays in this journey: whose it is, and which end there."""
    near, far = (point(hop).machine for hop in (journey.client_leg.hops[0], journey.client_leg.farthest))
    if at.kind == "host":
        return "the bridge", ""
    if not at.place.startswith("node:"):
        return ("CoreDNS" if at.kind == "coredns" else at.title.removesuffix(at.interface).strip()), ""
    who = "CoreDNS's node" if at.machine == far != near else at.machine
    return who, "veth" if at.interface.startswith("veth") else at.interface


def _done(row: Row) -> str:
    """Say what the kernel did to the packet in between, as far as the packet shows it."""
    work = [nat(rewrite, row) or f"{rewrite.end} rewritten" for rewrite in row.hop.rewrites]
    if row.origin and row.hop.sighting.ttl < row.origin.sighting.ttl:
        work.append("route")
    return f" ({', '.join(work)})" if work else ""


def medians(found: Sequence[dict]) -> dict[Span | str, Spread]:
    """Return median, least and most of the values of each key in these dicts."""
    values: dict[Span | str, list[int]] = {}
    for one in found:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    return {key: Spread(median(those), min(those), max(those)) for key, those in values.items()}
