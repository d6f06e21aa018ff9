"""The latency budget: how long each hop takes over several takes, with and without the question upstream."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.figure import figure
from kitlib.drawings.latency_page import PAGE, Group, layout, numbers
from kitlib.drawings.latency_spans import Span, by_phase, in_order, medians, spans
from kitlib.drawings.palette import PLACES
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.journey import Journey

CAPTION = ("Uncached: CoreDNS asked upstream. Cached: no question upstream was seen. Mark: median; line: from least to "
           "most. The medians of the parts do not add up to the median of the whole.")


def latency_budget(journeys: Sequence[Journey]) -> Drawing:
    """Where the time of these journeys goes; KitError if no answer came back in any of them."""
    journeys = list(dict.fromkeys(journeys))      # a recorded take that was played again is not another take
    whole = [spans(one) for one in journeys if one.came_back]
    if not whole:
        raise KitError(f"there is no time to share out: of {len(journeys)} journeys, none came back with an answer")
    uncached = [bool(one.upstream_legs) for one in journeys if one.came_back]
    groups = [Group(name, marker, PLACES[kind], takes) for name, marker, kind, asked in (
        ("uncached", "o", "node", True), ("cached", "D", "pod", False))
        if (takes := [take for take, upstream in zip(whole, uncached, strict=True) if upstream is asked])]
    title = " ".join(map(_sentence, groups))
    left_out = len(journeys) - len(whole)
    caption = CAPTION + (f" Left out, for lack of an answer: {left_out}." if left_out else "")
    table = _table(groups, title)
    alt = f"{title} {caption} " + " ".join(f"{row[0]} {row[1]}: {', '.join(row[2:])}." for row in table.rows)
    return Drawing(title, alt, figure(title, alt, PAGE, *layout(groups, title, caption)), f"{table.text}\n{caption}")


def _sentence(group: Group) -> str:
    total, phases = _total(group.takes)[0], medians(list(map(by_phase, group.takes)))
    most = max(phases, key=lambda phase: phases[phase][0])
    takes = "1 take" if len(group.takes) == 1 else f"{len(group.takes)} takes"
    return (f"{group.name.capitalize()} ({takes}): {total / 1e6:.1f} ms, "
            f"most of it {most}, {phases[most][0] / 1e6:.1f} ms.")


def _total(takes: list[dict[Span, int]]) -> tuple[float, float, float]:
    return medians([{"": sum(take.values())} for take in takes])[""]


def _table(groups: list[Group], title: str) -> Table:
    """Every span, the sum of each part of the way, and the whole."""
    parts = [medians(group.takes) for group in groups]
    sums = [medians(list(map(by_phase, group.takes))) for group in groups]
    rows = []
    for phase, members in groupby(in_order(take for group in groups for take in group.takes), lambda span: span.phase):
        rows += [(phase, "in all", *(numbers(one.get(phase)) for one in sums)),
                 *(("", span.name, *(numbers(one.get(span)) for one in parts)) for span in members)]
    rows.append(("the whole", "", *(numbers(_total(group.takes)) for group in groups)))
    heads = (f"{group.name}, µs: median (least – most)" for group in groups)
    return Table(title, ("part", "between", *heads), tuple(rows))
