"""Ten times the packets cost about ten times the work, and the sweeps over time find what comparing all pairs finds."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from generated_captures import repeated_lookups
from hypothesis import given, settings
from hypothesis import strategies as st
from test_journeys_join_without_a_wrong_join import Truth, asks, habits, points, simulated

from conftest import captured_dig, every_sighting, recorded_scenes
from kitlib.bulk import MANY, progress_bar
from kitlib.errors import NotFound
from kitlib.journey import join as joining
from kitlib.journey import legs as leg_finding
from kitlib.journey import packets as packet_finding
from kitlib.journey import parents as leg_parents
from kitlib.journey.join import join
from kitlib.journey.packets import folded, in_order, interface, sockets
from kitlib.journey.parents import may_cause, sign_of
from kitlib.lab import open_lab


def packets_by_pairs(sightings) -> list:
    found = []
    for seen in sightings:
        fits = [packet for packet in found if seen.ttl <= packet[-1].ttl
                and (seen.protocol == "TCP" or seen.ip_id == packet[0].ip_id)
                and all(seen.ttl < one.ttl for one in packet if interface(one) == interface(seen))]
        if fits:
            fits[-1].append(seen)
        else:
            found.append([seen])
    return found


class OriginsByPairs:
    def __init__(self, answers) -> None:
        self.answers, self.entries = answers, []

    def add(self, number, packet, sending) -> None:
        self.entries.append((number, packet, sending))

    def find(self, packet) -> list:
        found = [(number, sending, before[0].client == packet[0].client) for number, before, sending in self.entries
                 if packet_finding._is_rewritten(before[-1], packet[0])
                 and not any(before[0].time_ns <= time < packet[0].time_ns
                             for time in self.answers.get(sockets(before[0]), ()))]
        own = [entry for entry in found if entry[2]] or found
        latest = {sockets(sending.first): sending for _, sending, _ in sorted(own, key=lambda entry: entry[0])}
        return sorted(latest.values(), key=lambda sending: in_order(sending.first))


def hand_out_by_pairs(ordered, drafts) -> list:
    queries = sorted(((query, draft) for draft in drafts for sending in draft.sendings for query in sending.sightings),
                     key=lambda entry: in_order(entry[0]))
    left_over = []
    for response in (seen for seen in ordered if seen.message.is_response):
        begun = [(query, draft) for query, draft in queries if query.time_ns <= response.time_ns
                 and (query.protocol, query.message.id, query.client)
                 == (response.protocol, response.message.id, response.client)
                 and folded(response.message.questions) in ((), folded(query.message.questions))]
        there = [draft for query, draft in begun if query.server == response.server]
        anywhere = {draft for _, draft in begun}
        if there or len(anywhere) == 1:
            (there or list(anywhere))[-1].responses.append(response)
        else:
            left_over.append(response)
    return left_over


def parents_by_pairs(legs) -> dict:
    leg_parents._bound(legs)
    return {leg: {parent: sign_of(parent, leg) for parent in legs if may_cause(parent, leg)} for leg in legs}


def join_by_pairs(sightings) -> tuple:
    with pytest.MonkeyPatch.context() as patch:
        for module in (packet_finding, leg_finding):
            patch.setattr(module, "find_packets", packets_by_pairs)
        patch.setattr(packet_finding, "_Origins", OriginsByPairs)
        patch.setattr(leg_finding, "_hand_out", hand_out_by_pairs)
        patch.setattr(joining, "possible_parents", parents_by_pairs)
        return join(sightings)


@settings(max_examples=100)
@given(habits, st.lists(asks, min_size=1, max_size=7), points)
def test_the_sweeps_find_what_all_pairs_give(habits, clients, points):
    sightings = Truth(simulated(habits, clients), points).sightings
    assert join(sightings) == join_by_pairs(sightings)


def test_the_sweeps_find_what_all_pairs_give_on_every_recorded_scene():
    lab = open_lab()
    for scene in recorded_scenes():
        _, seen = every_sighting(lab, scene, 1)
        assert join(seen) == join_by_pairs(seen)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called; seconds would depend on the machine."""
    count = 0

    def note(_frame, event: str, _argument) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("kind", [
    "distinct names", "one name", "one socket", "one socket without IP ids", "distinct names, unanswered",
    "one name, unanswered", "one socket, unanswered", "one socket without IP ids, unanswered"])
def test_four_times_the_lookups_cost_four_times_the_work(kind):
    few, many = list(repeated_lookups(200, kind)), list(repeated_lookups(800, kind))
    assert calls(lambda: join(many)) < 4 ** 1.2 * calls(lambda: join(few))


def test_a_capture_is_read_and_joined_once():
    lab = open_lab()
    pod = lab.pod("my-nginx")
    seen = captured_dig(lab, pod)
    assert seen.at(pod) is seen.at(pod) and seen.sightings is seen.sightings and seen.journeys() is seen.journeys()


def test_a_capture_whose_block_failed_says_so():
    lab = open_lab()
    with pytest.raises(RuntimeError), lab.capture() as seen:
        raise RuntimeError
    for ask in (seen.journey, lambda: seen.at(lab.pod("my-nginx"))):
        with pytest.raises(NotFound, match="ended with an error"):
            ask()


def test_of_very_many_candidates_a_doubt_names_a_few():
    doubts = {doubt for journey in join(repeated_lookups(60, "one name, unanswered")) for doubt in journey.ambiguous}
    assert any(doubt.endswith(" more") for doubt in doubts) and max(map(len, doubts)) < 1000


def test_little_work_shows_no_progress_and_much_is_quiet_without_a_terminal(capfd):
    few, many = [1, 2], range(MANY)
    assert progress_bar(few, "Reading") is few
    assert sum(1 for _ in progress_bar(many, "Reading")) == MANY
    assert capfd.readouterr() == ("", "")
