"""The kubernetes lab puts times of several clocks on one scale as far as packets prove it, and says how far that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitlib import open_lab
from kitlib.journey.join import join
from kitlib.parsers.sightings import sightings
from live_labs.clocks import on_one_clock

SECOND = 10**9
ON_NODES = ("pod", "node", "coredns")


@pytest.fixture(scope="module", params=["www.example.com", "my-nginx.default.svc.cluster.local"])
def caught(request):
    """What was recorded of a query on the nodes, and where; the host is no part of the kubernetes lab."""
    lab = open_lab()
    with lab.capture() as seen:
        lab.client.dig(request.param)
    points = [point for point in seen.points if point.kind in ON_NODES]
    backend = lab.backend
    with backend.capture() as data:
        backend.run(lab.client.id, ("dig", request.param))
    named = {(point.place, point.interface): point for point in points}
    return [one for one in data.seen if (one.place, one.interface) in named], points


def shifted(caught, points, machine: str, by: int, keep=lambda _: True):
    machines = {(point.place, point.interface): point.machine for point in points}
    return [one._replace(frames=tuple(
        replace(frame, time_ns=frame.time_ns + (by if machines[one.place, one.interface] == machine else 0))
        for frame in one.frames if keep(frame))) for one in caught]


def story(caught, points):
    """The hops of every leg, in the order of their times."""
    named = {(point.place, point.interface): point for point in points}
    seen = [each for one in caught for each in sightings(one.frames, named[one.place, one.interface])]
    found = join(tuple(sorted(seen, key=lambda each: each.time_ns)))
    return [[(hop.sighting.point.title, str(hop.sighting.source), hop.direction) for hop in leg.hops]
            for journey in found for leg in journey.legs]


@pytest.mark.parametrize("skew", [3600 * SECOND, SECOND, -SECOND, 20_000_000, -20_000_000])
def test_a_skewed_clock_is_put_right_and_the_skew_is_said_with_its_error(caught, skew):
    seen, points = caught
    put_right = on_one_clock(shifted(seen, points, "control-plane", skew), points, (53,), "worker3")
    assert story(put_right, points) == story(seen, points)
    assert f"{abs(skew) / 1e6:,.0f}"[:4] in put_right[0].note and " (± " in put_right[0].note
    assert ("ahead of" if skew > 0 else "behind") in put_right[0].note


def test_clocks_that_agree_are_left_alone_and_how_well_they_agree_is_said(caught):
    seen, points = caught
    same = on_one_clock(seen, points, (53,), "worker3")
    assert [one.frames for one in same] == [one.frames for one in seen]
    assert "the clocks of control-plane and worker3 agree within" in same[0].note


def test_without_a_response_nothing_is_claimed(caught):
    seen, points = caught
    frames = {frame for one in seen for frame in one.frames}
    queries = {frame for frame in frames for one in sightings((frame,)) if not one.message.is_response}
    lost = shifted(seen, points, "control-plane", -SECOND, queries.__contains__)
    note = on_one_clock(lost, points, (53,), "worker3")[0].note
    assert "is not compared with worker3's" in note and "times between them say nothing" in note


def test_what_contradicts_itself_is_not_compared(caught):
    seen, points = caught
    queries = {frame for one in seen for frame in one.frames for each in sightings((frame,))
               if not each.message.is_response}
    torn = [one._replace(frames=tuple(replace(frame, time_ns=frame.time_ns - SECOND * (frame in queries))
                                      for frame in one.frames)) for one in seen if "control-plane" in one.place]
    note = on_one_clock([*torn, *(one for one in seen if "worker3" in one.place)], points, (53,), "worker3")[0].note
    assert "cannot be compared" in note
