"""The latency budget: how long each hop takes over several takes, with and without the question upstream."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.figure import figure
from kitlib.drawings.latency_page import Group, layout, told
from kitlib.drawings.latency_spans import PHASES, WHOLE, Span, by_phase, in_order, medians, spans
from kitlib.drawings.page import PAGE
from kitlib.drawings.palette import PLACES
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.journey import Journey

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
