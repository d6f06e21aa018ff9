"""Every question of notebooks 01 to 05, asked of the recorded lab: untouched, right, two mistakes, and an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conftest import EachQuestionOfMany, captured_dig
from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.lab import Lab, open_lab
from kitlib.quiz import Outcome, check
from lessons import addresses, answer, cable, resolver_settings, rewrite
from lessons.addresses import address_of_no_interface, nodes_of_coredns, range_of_the_dns_service
from lessons.answer import flag_of_recursion, rcode_of_the_answer, ttl_of_the_answer, where_dig_asks
from lessons.cable import ifindex_of_the_other_end, what_changes
from lessons.resolver_settings import first_name_asked, queries_of_getent, queries_with_trailing_dot, smallest_ndots
from lessons.rewrite import destination_at_the_node, ttl_at, where_it_was_rewritten

NAME = "www.example.com"


def on_the_way(lab: Lab) -> Capture:
    """A query of the pod, at both ends of its cable, its node and CoreDNS."""
    pod = lab.pod("my-nginx")
    return captured_dig(lab, pod, pod.veth, pod.node, *lab.coredns)


@pytest.fixture(scope="module")
def stage() -> SimpleNamespace:
    """The recorded lab, and the takes that the questions are about."""
    lab = open_lab("recorded")
    pod = lab.pod("my-nginx")
    with lab.capture(pod) as getent:
        pod.run("getent", "ahosts", NAME)
    return SimpleNamespace(lab=lab, pod=pod, dig=on_the_way(lab), getent=getent)


CASES = {
    "range": (lambda s: range_of_the_dns_service(s.lab), "the Service range, 10.96.0.0/16",
              {"the pod range, 10.244.0.0/16": "10.244.0.2, a CoreDNS pod",
               "the subnet of the nodes, 172.20.0.0/16": "172.20.0.2, control-plane"}, "10.96"),
    "nodes": (lambda s: nodes_of_coredns(s.lab), "kind-test1-control-plane",
              {"worker3": "worker3 hands out 10.244.2.0/24",
               "worker, control-plane": "worker hands out 10.244.1.0/24"}, "node7"),
    "no interface": (lambda s: address_of_no_interface(s.lab, s.pod), "10.96.0.10",
                     {"10.244.2.3": "my-nginx has it on eth0", "172.20.0.1": "br-13ebef48a9f1",
                      "172.20.0.4": "worker3 has it on eth0"}, "eth0"),
    "getent": (lambda s: queries_of_getent(s.pod.resolv_conf(), NAME), 8,
               {1: "what dig sends", 4: "A and AAAA", 2: "ndots:5", 6: "as it is"}, "eight"),
    "getent, counted": (lambda s: queries_of_getent(s.pod.resolv_conf(), NAME, s.getent.at(s.pod)), 8,
                        {1: "what dig sends", 4: "A and AAAA"}, "eight"),
    "trailing dot": (lambda s: queries_with_trailing_dot(s.pod.resolv_conf(), NAME), 2,
                     {1: "A and AAAA", 8: "8 is without the dot"}, "two"),
    "first name": (lambda s: first_name_asked(s.pod.resolv_conf(), "my-nginx"), "my-nginx.default.svc.cluster.local",
                   {"my-nginx": "number 4 on the list", "my-nginx.default": "whole domain",
                    "my-nginx.svc.cluster.local.": "number 2 on the list"}, "my nginx"),
    "smallest ndots": (lambda s: smallest_ndots(s.pod.resolv_conf(), "my-nginx.default"), 2,
                       {1: "asks for my-nginx.default. and for nothing else", 5: "a smaller one does too"}, "two"),
    "asks": (lambda s: where_dig_asks(s.lab, s.pod), "10.96.0.10, the ClusterIP of the DNS Service",
             {"127.0.0.1, the pod itself": "No nameserver runs in the pod",
              "10.244.0.2 or 10.244.0.3, a CoreDNS pod": "does not know its pods",
              "172.20.0.1, the nameserver of worker3": "worker3 itself asks"}, "kube-dns"),
    "TTL of the record": (lambda s: ttl_of_the_answer(s.dig), 30,
                          {64: "of the query at my-nginx eth0", 62: "62 is the TTL in the IP header"}, "30 s"),
    "rcode": (lambda s: rcode_of_the_answer(s.dig), "noerror",
              {"NXDOMAIN": "no such name; answer records in this response: 1", "SERVFAIL": "failed"}, "0"),
    "recursion": (lambda s: flag_of_recursion(s.dig), "ra",
                  {"rd": "it is set in the query", "qr": "not set in the query and set in the response",
                   "none of them": "qr rd ra"}, "ad"),
    "both ends": (lambda s: what_changes(s.dig, s.pod.eth0, s.pod.veth), "nothing",
                  {"the TTL": "TTL 64, then 64",
                   "the destination": "destination 10.96.0.10:53, then 10.96.0.10:53"}, "the port"),
    "through the node": (lambda s: what_changes(s.dig, s.pod.veth, s.pod.node.eth0), "the destination and the TTL",
                         {"the TTL": "TTL 64, then 63. That is true, and more changes.",
                          "the source": "source 10.244.2.3:56420, then 10.244.2.3:56420."}, "g"),
    "ifindex": (lambda s: ifindex_of_the_other_end(s.pod), 3,
                {2: "eth0's own index in the pod", 125: "125 is eth0 on worker3"}, "if3"),
    "namespace": (lambda s: cable.namespace_of_the_other_end(s.pod.node, s.pod), "b",
                  {"a": "belongs to veth33b0da09", "c": "belongs to veth75f8021f"}, "cni"),
    "same index": (lambda s: cable.why_the_same_peer_index(s.pod.node), "a",
                   {"b": "the number before eth0", "c": "no two", "d": "another link-netns"}, "chance"),
    "destination": (lambda s: destination_at_the_node(s.lab, s.pod, s.dig), "10.244.0.2 or 10.244.0.3, a CoreDNS pod",
                    {"10.96.0.10, the ClusterIP of the DNS Service": "what the pod wrote",
                     "172.20.0.1, the nameserver of worker3": "still on its way"}, "10.244.0.3"),
    "TTL at the node": (lambda s: ttl_at(s.dig, s.pod.node.eth0), 63,
                        {64: "64 is what my-nginx eth0 shows", 62: "62 is what coredns 10.244.0.3 eth0 shows"}, "-"),
    "rewritten": (lambda s: where_it_was_rewritten(s.dig), "c",
                  {"a": "10.96.0.10:53 before, 10.96.0.10:53 after",
                   "b": "10.244.0.3:53 before, 10.244.0.3:53 after"}, "on the way"),
}


class TestQuestions(EachQuestionOfMany):
    cases, modules = CASES, (addresses, resolver_settings, answer, cable, rewrite)


def test_answers_follow_the_take(stage: SimpleNamespace) -> None:
    """Over the takes kube-proxy chooses one CoreDNS pod or the other; the questions go with what was seen."""
    lab, pod = stage.lab, stage.pod
    came_to = set()
    for _ in range(4):
        seen = on_the_way(lab)
        question = destination_at_the_node(lab, pod, seen)
        assert check(question, "a").outcome is Outcome.RIGHT
        shown = [sighting.destination.address for sighting in seen.at(pod.node) if sighting.direction == "query"]
        assert shown[0] in check(question, "a").message
        came_to |= set(shown)
    assert came_to == {each.address for each in lab.coredns}


def test_a_vantage_point_that_the_query_did_not_pass_is_an_error(stage: SimpleNamespace) -> None:
    elsewhere = next(pod for pod in stage.lab.coredns if not stage.dig.at(pod))
    verdict = check(ttl_at(stage.dig, elsewhere.eth0), 62)
    assert verdict.outcome is Outcome.ERROR and "not seen at" in verdict.message


def test_a_capture_that_is_still_empty_is_an_error(stage: SimpleNamespace) -> None:
    empty = stage.lab.capture(stage.pod)
    assert check(ttl_of_the_answer(empty), 30).outcome is Outcome.ERROR
    with pytest.raises(NotFound):
        where_it_was_rewritten(empty)


def test_a_capture_of_another_lookup_is_an_error(stage: SimpleNamespace) -> None:
    verdict = check(queries_of_getent(stage.pod.resolv_conf(), NAME, stage.dig.at(stage.pod)), 8)
    assert verdict.outcome is Outcome.ERROR and "The capture holds 1 queries, the search list says 8" in verdict.message
