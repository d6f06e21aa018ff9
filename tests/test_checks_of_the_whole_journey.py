"""Every question of notebooks 08 and 09, asked of the recorded lab: untouched, right, mistakes, and an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conftest import EachQuestionOfMany, captured_dig
from kitlib import asked_upstream, check, open_lab, packet_from, simulate
from kitlib.errors import NotFound
from kitlib.place import Node, Place, Pod
from kitlib.quiz import Outcome, Quiz
from lessons import elsewhere, journey
from lessons.answer import where_dig_asks
from lessons.elsewhere import eth0s_passed, source_at_coredns, who_is_masqueraded
from lessons.journey import takes_from_the_cache, what_both_carry, where_it_ends, where_time_goes, whom_coredns_asks


@pytest.fixture(scope="module")
def stage() -> SimpleNamespace:
    """The recorded lab, all takes of the pod's query, one with an upstream leg, and one query of each other place."""
    lab = open_lab("recorded")
    pod, control, server = lab.pod("my-nginx"), lab.coredns[0].node, f"@{lab.topology.dns_service}"
    traced = {place.title: captured_dig(lab, trace=True, by=place, options=options) for place, options in (
        (pod, ()), (pod.node, (server,)), (control, (server,)), (lab.container("outside"), (server,)))}
    takes = [captured_dig(lab) for _ in range(12)]
    upstream = asked_upstream(takes)
    question = upstream.journey().upstream_legs[0].queries[-1].sighting      # CoreDNS's, on its node
    return SimpleNamespace(lab=lab, node=pod.node, control=control, takes=takes, traced=traced, asked=upstream,
                           journeys=[seen.journey() for seen in takes],
                           beside=captured_dig(lab, by=lab.pod("neighbour")),
                           walk=simulate(control.netfilter(), packet_from(question))[0])


def source(stage: SimpleNamespace, place: Place, first: Node) -> Quiz:
    return source_at_coredns(stage.lab, place, first, stage.traced[place.title])


def masqueraded(stage: SimpleNamespace) -> Quiz:
    return who_is_masqueraded({name: seen.traced_query(stage.control if name == "control-plane" else stage.node)
                               for name, seen in stage.traced.items()})


def confused(stage: SimpleNamespace) -> Pod:
    return stage.lab.pod("host-client-clusterfirst")


CASES = {
    "whom CoreDNS asks": (lambda s: whom_coredns_asks(s.lab, s.asked), "172.20.0.1", {
        "172.20.0.53": "where the question ends", "10.96.0.10": "in a circle", "172.20.0.2": "control-plane itself"},
        "1.1.1.1"),
    "where it ends": (lambda s: where_it_ends(s.walk), "it is delivered to a program on the node itself", {
        "it leaves the node by eth0": "never shows leg 2", "it is sent back into the pod's cable": "10.244.0.3 is"},
        "d"),
    "in common": (lambda s: what_both_carry(s.asked), "the DNS id", {
        "the source address": "10.244.0.3 in leg 2, 172.20.0.2 in leg 3",
        "the source port": "60837 in leg 2, 57656 in leg 3", "the destination": "172.20.0.53:53 in leg 3"}, "the TTL"),
    "time": (lambda s: where_time_goes(s.journeys), "upstream", {
        "inside CoreDNS": "the median is 948 µs", "the way there": "129 µs", "the way back": "64 µs"}, "the bridge"),
    "cache": (lambda s: takes_from_the_cache(s.journeys), 5, {7: "in those it had to ask", 12: "more than one leg"},
              "five"),
    "source, from the node": (lambda s: source(s, s.node, s.node), "172.20.0.4", {
        "10.244.0.1": "end of CoreDNS's cable", "10.96.0.10": "destination", "10.244.2.3": "is my-nginx"}, "127.0.0.1"),
    "source, from CoreDNS's node": (lambda s: source(s, s.control, s.control), "10.244.0.1", {
        "172.20.0.2": "Does the packet leave by eth0?", "10.96.0.10": "destination", "10.244.0.4": "is neighbour"},
        "f"),
    "source, from outside": (lambda s: source(s, s.lab.container("outside"), s.node), "172.20.0.4", {
        "172.20.0.100": "it is not the address of a pod", "10.244.0.1": "end of CoreDNS's cable"}, "outside"),
    "eth0": (lambda s: eth0s_passed(s.lab.pod("neighbour"), (s.node, s.control), s.beside), "none of them", {
        "worker3": "eth0 of worker3", "control-plane": "eth0 of control-plane",
        "worker3 and control-plane": "eth0 of worker3 and"}, "worker2"),
    "masqueraded": (masqueraded, "worker3, outside and control-plane", {
        "my-nginx": "my-nginx keeps its source 10.244.2.3", "worker3, outside": "there are 3"}, "neighbour"),
    "dnsPolicy": (lambda s: where_dig_asks(s.lab, confused(s)), "172.20.0.1, the nameserver of worker3", {
        "10.96.0.10, the ClusterIP of the DNS Service": "dnsPolicy ClusterFirst does not give",
        "127.0.0.1, the pod itself": "No nameserver runs"}, "kube-dns"),
}


class TestQuestions(EachQuestionOfMany):
    cases, modules, uses = CASES, (journey, elsewhere), (source, masqueraded)


def test_a_take_from_the_cache_is_an_error(stage: SimpleNamespace) -> None:
    cached = [seen for seen in stage.takes if not seen.journey().upstream_legs]
    for ask in (lambda: asked_upstream(cached), lambda: whom_coredns_asks(stage.lab, cached[0]),
                lambda: what_both_carry(cached[0]), lambda: where_time_goes([seen.journey() for seen in cached])):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(NotFound, match="In none of 5 takes"):
        asked_upstream(cached)


def test_a_capture_that_is_still_empty_is_an_error(stage: SimpleNamespace) -> None:
    empty = stage.lab.capture()
    assert check(source_at_coredns(stage.lab, stage.node, stage.node, empty), "172.20.0.4").outcome is Outcome.ERROR
    assert check(eth0s_passed(stage.lab.pod("neighbour"), (stage.node,), empty), "worker3").outcome is Outcome.ERROR
