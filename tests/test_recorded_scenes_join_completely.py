"""Every recorded take joins: no sighting is left over, every query of the client is one journey, and it is answered."""

from __future__ import annotations

import pytest

from conftest import every_sighting, recorded_scenes
from kitlib.backends.recording import read_take
from kitlib.journey.join import join
from kitlib.lab import open_lab

TAKES = [(scene, number) for scene, of in recorded_scenes().items() for number in range(1, of + 1)]
AMBIGUOUS = {"pod-parallel"}     # equal questions at the same moment: who caused which upstream query shows nowhere
LAB = open_lab()


@pytest.mark.parametrize(("scene", "number"), TAKES)
def test_it_joins_completely_and_each_query_that_left_the_pod_is_one_journey(scene, number):
    take, seen = every_sighting(LAB, scene, number)
    journeys = join(seen)
    joined = [hop.sighting for journey in journeys for hop in journey.hops]
    assert len(joined) == len(seen) > 0
    assert {id(one) for one in joined} == {id(one) for one in seen}
    unanswered = [journey for journey in journeys if not journey.answered]
    # CoreDNS tries a connection to its upstream that is closed already, and asks again over a new one.
    assert not unanswered or scene == "pod-dig-truncated"
    assert not any(journey.ambiguous for journey in journeys) or scene in AMBIGUOUS
    client = take.commands[0].place
    left = [one for one in seen if one.point.place == client and one.direction == "query"]
    begun = [journey.hops[0].sighting for journey in journeys if journey.hops[0].sighting.point.place == client]
    assert not scene.startswith("pod-") or begun == sorted(left, key=lambda one: one.time_ns)


def test_no_vantage_point_was_listened_at_twice():
    """Else each packet there would look as if it had been sent again."""
    recording = LAB.backend.recording
    for scene in recording.scenes:
        for number in range(1, len(scene.takes) + 1):
            points = [(point.place, point.interface) for point in read_take(recording, scene, number).points]
            assert len(points) == len(set(points)) > 0, (scene.name, number)


def test_an_external_name_from_the_pod_is_rewritten_once_there_and_once_back():
    for number in range(1, recorded_scenes()["pod-dig-external"] + 1):
        _, seen = every_sighting(LAB, "pod-dig-external", number, any_interface=False)
        leg = join(seen)[0].client_leg
        assert [str(rewrite) for hop in leg.hops for rewrite in hop.rewrites] == [
            f"destination {leg.server} → {leg.endpoint}", f"source {leg.endpoint} → {leg.server}"]
        assert leg.endpoint.address in [pod.address for pod in LAB.coredns]
        assert leg.came_back


def test_the_takes_with_an_empty_cache_have_an_upstream_leg_below_the_clients():
    for number in (9, 10, 11, 12):
        _, seen = every_sighting(LAB, "pod-dig-external", number, any_interface=False)
        [journey] = join(seen)
        assert [leg.parent for leg in journey.legs] == [None, 0, 1]
