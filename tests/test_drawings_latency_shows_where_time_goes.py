"""The latency budget shares out all the time of each journey, takes laid side by side by place, and fits its page."""

from __future__ import annotations

import re
from statistics import median
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_drawings_ladder_tells_the_journey import TAKE, assert_fits, journey, journeys, words_in

from conftest import captured_dig
from kitlib.drawings.drawing import png
from kitlib.drawings.latency import (
    BACK,
    BAR,
    PHASES,
    SERVER,
    SORTS,
    THERE,
    UNSEEN,
    UPSTREAM,
    Span,
    by_phase,
    latency_budget,
    medians,
    span_order,
    spans,
)
from kitlib.errors import KitError
from kitlib.journey.model import Journey
from kitlib.lab import open_lab

TAKES = 12
THE_WAY = [THERE] * 6 + [SERVER, *[UPSTREAM] * 7, SERVER, *[BACK] * 6]


@pytest.fixture(scope="module")
def recorded() -> list[Journey]:
    lab = open_lab("recorded")
    return [captured_dig(lab).journey() for _ in range(TAKES)]


@given(journeys())
def test_no_time_is_lost_and_none_is_counted_twice(generated: Journey) -> None:
    times = [hop.sighting.time_ns for hop in generated.hops]
    found = spans(generated)
    assert sum(found.values()) == max(times) - min(times) and min(found.values(), default=0) >= 0


def test_each_span_says_what_lies_between() -> None:
    found = spans(journey())
    assert [span.phase for span in found] == THE_WAY
    for span, micros in ((Span(THERE, "worker3: veth → eth0 (DNAT, route)"), 50),
                         (Span(SERVER, "makes its answer"), 316),
                         (Span(SERVER, "before it asks upstream"), 536),
                         (Span(UPSTREAM, "beyond the bridge"), 761),
                         (Span(UPSTREAM, "CoreDNS's node: a resolver asks the next server"), 442),
                         (Span(BACK, "worker3: eth0 → veth (DNAT undone, route)"), 21)):
        assert found[span] == micros * 1000


def test_where_coredns_was_not_watched_nothing_is_said_of_it() -> None:
    rows = (row for row in TAKE.strip().splitlines() if row[0] == "0" and row.split()[2] in ("pod", "veth", "eth0"))
    found = spans(journey("\n".join(rows)))
    assert found[Span(UNSEEN, "beyond worker3 eth0")] == 4277_000
    assert {span.phase for span in found} == {THERE, UNSEEN, BACK}


def test_takes_that_went_to_other_pods_are_laid_side_by_side(recorded: list[Journey]) -> None:
    assert len({one.client_leg.endpoint for one in recorded}) == 2, "the coin fell on both sides"
    for upstream in (True, False):
        found = [spans(one) for one in recorded if bool(one.upstream_legs) is upstream]
        assert found and all(list(one) == list(found[0]) for one in found), "the same spans in every take"
        assert not re.search(r"veth\w|10\.244", str(found[0]))
    order = span_order([*found, spans(journey())])
    assert order.index(Span(SERVER, "answers at once")) < order.index(Span(UPSTREAM, "beyond the bridge"))


def test_the_numbers_are_those_of_the_captures(recorded: list[Journey]) -> None:
    cached = [one for one in recorded if not one.upstream_legs]
    gaps = sorted((one.hops[2].sighting.time_ns - one.hops[1].sighting.time_ns) // 1000 for one in cached)
    drawn = latency_budget(recorded)
    line = next(line for line in drawn.text.splitlines() if "worker3: veth → eth0" in line)
    expected = f"{median(gaps):,.0f} ({gaps[0]:,} – {gaps[-1]:,})"
    assert line.endswith(expected) and expected in drawn.folded.alt
    assert f"Uncached ({TAKES - len(cached)} takes)" in drawn.title and f"Cached ({len(cached)} takes)" in drawn.title
    alone = latency_budget(cached)
    assert "ncached" not in alone.title and expected in alone.text


def test_a_journey_without_an_answer_is_left_out_and_said(recorded: list[Journey]) -> None:
    lost = journey("\n".join(TAKE.strip().splitlines()[:4]))
    assert "Left out, for lack of an answer: 1" in latency_budget([*recorded, lost]).text
    with pytest.raises(KitError, match="of 1 journeys, none came back"):
        latency_budget([lost])


def test_a_take_that_was_played_again_is_not_another_take(recorded: list[Journey]) -> None:
    assert latency_budget([*recorded, *recorded[:3]]) == latency_budget(recorded)


def test_nothing_is_clipped_and_no_words_lie_on_words(recorded: list[Journey]) -> None:
    for some in (recorded, [one for one in recorded if not one.upstream_legs], recorded[:1]):
        assert_fits((drawn := latency_budget(some)).svg)
        assert_fits(drawn.folded.svg)


@settings(max_examples=15)
@given(st.lists(journeys(), min_size=1, max_size=3))
def test_any_budget_fits_its_page(generated: list[Journey]) -> None:
    if any(one.came_back for one in generated):
        assert_fits((drawn := latency_budget(generated)).svg)
        assert_fits(drawn.folded.svg)


def test_the_figure_is_the_same_each_time_and_disturbs_nothing_around_it(recorded: list[Journey]) -> None:
    one, two = latency_budget(recorded), latency_budget(recorded)
    assert one == two and png(one.svg) == png(two.svg)
    root = ElementTree.fromstring(one.svg)
    assert root.get("role") == "img" and root.get("width") == "760"
    assert not [element for element in root.iter() if element.get("id") or element.tag.endswith("style")]
    assert len({mark for _, mark, *_ in SORTS}) == len(SORTS), "sorts differ by mark, not by colour alone"


def test_the_bars_share_one_linear_scale(recorded: list[Journey]) -> None:
    """As long as the medians of their parts, in the order of the way; where a name does not fit, a legend has it."""
    drawn = latency_budget(recorded).svg
    widths = [float(wide) for wide in re.findall(rf'<rect [^>]*width="([\d.]+)" height="{BAR}"', drawn)]
    takes = [[one for one in recorded if bool(one.upstream_legs) is upstream] for upstream in (True, False)]
    parts = [medians([by_phase(spans(one)) for one in some]) for some in takes]
    expected = [part[phase].median for part in parts for phase in PHASES if phase in part]
    assert len(widths) == len(expected) == 4 + 3
    scale = sum(widths) / sum(expected)
    assert widths == pytest.approx([took * scale for took in expected], abs=0.1)
    words = [entry[0] for entry in words_in(drawn)]
    assert all(words.count(phase) >= 1 for phase in parts[0]), "in the legend"
