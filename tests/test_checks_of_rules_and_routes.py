"""Every question of notebooks 06 and 07, asked of the recorded lab: untouched, right, two mistakes, and an error."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from conftest import EachQuestion, captured_dig
from kitlib import check, open_lab, packet_from, simulate
from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.netfilter.kube_proxy import with_endpoints
from kitlib.parsers.conntrack import connections
from kitlib.place import Pod
from kitlib.quiz import Outcome, Quiz
from lessons import routes, rules

NAME = "www.example.com"


@pytest.fixture(scope="module")
def stage() -> SimpleNamespace:
    """The recorded lab, the takes that the questions are about, and the walks of their packets."""
    lab = open_lab("recorded")
    pod, far = lab.pod("my-nginx"), lab.node("control-plane")
    node, kernel = pod.node, pod.node.netfilter()
    dig = captured_dig(lab)
    entry, = connections(node.run("conntrack", "-L", "-p", "udp", "--dport", "53").stdout)
    with lab.capture() as many:
        pod.run("sh", "-c", f"for i in $(seq 64); do dig +tries=1 +short {NAME}; done")
    packet = packet_from(dig.at(pod.veth)[0])
    onward, back = (simulate(at.netfilter(), packet_from(seen), known)[0] for at, seen, known in
                    ((far, dig.at(far)[0], None), (node, dig.at(node)[-1], entry)))
    return SimpleNamespace(lab=lab, pod=pod, node=node, far=far, kernel=kernel, packet=packet, entry=entry, many=many,
                           ways=simulate(kernel, packet), onward=onward, back=back, same=by_one_port(lab, pod))


def by_one_port(lab: Lab, pod: Pod) -> Capture:
    """Three queries, all from one port."""
    with lab.capture() as same:
        pod.run("sh", "-c", f"for i in 1 2 3; do dig +tries=1 +short -b {pod.address}#40404 {NAME}; done")
    return same


def of_the_node(stage: SimpleNamespace) -> Quiz:
    """The query as the node itself would send it: which rule of the Service's chain it matches."""
    made_here = simulate(stage.kernel, stage.packet._replace(source=stage.node.address, in_interface=""))[0]
    return rules.rule_it_matches(stage.kernel, made_here, made_here.jump("KUBE-SVC-"))


DNS, COIN = "kube-system/kube-dns:dns", "KUBE-SEP-YIL6JZP7A3QYXJU2"

CASES = {
    "to the Service": (lambda s: rules.rule_it_matches(s.kernel, s.ways[0], "KUBE-SERVICES"), "c",
                       {"b": "protocol is udp, the rule wants tcp",
                        "d": "KUBE-NODEPORTS: the destination's type is UNICAST, the rule wants LOCAL",
                        "none of them": "Look at KUBE-SVC-TCOU7JCQXEZGVUNU again"}, "the first"),
    "unmarked": (lambda s: rules.rule_it_matches(s.kernel, s.ways[0], "KUBE-POSTROUTING"),
                 "-m mark ! --mark 0x4000/0x4000 -j RETURN",
                 {"-j MARK --set-xmark 0x4000/0x0": "MARK: it may fit, but a rule above it matches first",
                  "none of them": "Look at RETURN again"}, "z"),
    "made on the node": (of_the_node, "a",
                         {f'-m comment --comment "{DNS} -> 10.244.0.3:53" -j KUBE-SEP-6E7XQMQ4RAYOWTTM': "a rule above",
                          f'-m comment --comment "{DNS} -> 10.244.0.2:53" -m statistic --mode random '
                          f"--probability 0.50000000000 -j {COIN}": COIN}, "KUBE-MARK-MASQ"),
    "not met": (lambda s: rules.hook_it_does_not_meet(s.ways[0], s.node), "OUTPUT",
                {"FORWARD": "what goes on to another machine", "PREROUTING": "came in by veth4b6923b0",
                 "POSTROUTING": "the last one"}, "INPUT"),
    "chance": (lambda s: rules.chance_of_the_last(s.ways), "1/2",
               {"1": "That rule has no condition", "0": "take 0.5 of the connections",
                "1/4": "1/4 for nobody"}, "half"),
    "the coin": (lambda s: rules.how_the_coin_falls(s.many), "in no order, about as many for each",
                 {"all get the same one": "36 to 10.244.0.2:53, 28 to 10.244.0.3:53.",
                  "each one in turn": "Queries 1 and 2 both went to 10.244.0.2:53."}, "fair"),
    "one port": (lambda s: rules.endpoints_of_one_port(s.same, s.ways), 1,
                 {2: "2 endpoints stand in the rules", 3: "3 queries, but are they 3 connections?"}, "one"),
    "not masqueraded": (lambda s: rules.who_is_not_masqueraded(s.lab, s.node, s.pod, s.lab.topology.dns_service),
                     "the pod my-nginx",
                     {"worker3 itself": "source is 172.20.0.4, not 10.244.0.0/16",
                      "the host": "source is 172.20.0.1, not 10.244.0.0/16"}, "nobody"),
    "next hop": (lambda s: routes.next_hop(s.lab, s.node, s.entry.reply.source.address), "172.20.0.2",
                 {"172.20.0.1": "(host) is the next hop for default", "10.244.0.3": "somebody must forward",
                  "172.20.0.3": "(worker) is the next hop for 10.244.1.0/24"}, "eth0"),
    "no next hop": (lambda s: routes.next_hop(s.lab, s.node, s.pod.address), "10.244.2.3",
                    {"172.20.0.1": "(host) is the next hop for default",
                     "172.20.0.2": "(control-plane) is the next hop for 10.244.0.0/24"}, "veth"),
    "rewritten again": (lambda s: routes.rewritten_again(s.far, s.onward), "nothing",
                        {"the destination": "The destination is 10.244.0.3 when it comes in, 10.244.0.3 when",
                         "the source": "The source is 10.244.2.3 when it comes in, 10.244.2.3 when"}, "the port"),
    "who answers": (lambda s: routes.who_will_answer(s.pod, s.entry), "10.244.0.3",
                    {"10.96.0.10": "what the pod wrote", "10.244.2.3": "where the reply goes",
                     "172.20.0.4": "only forwards"}, "CoreDNS"),
    "undone": (lambda s: routes.where_it_is_undone(s.back), "nat at POSTROUTING",
               {"nat at PREROUTING": "nat at PREROUTING: 10.244.0.3:53 → 10.244.2.3:", "routing": "routing: 10.244.0.3",
                "nowhere": "The pod asked 10.96.0.10"}, "conntrack"),
}


class TestQuestions(EachQuestion):
    cases, modules = CASES, (rules, routes)


@pytest.mark.parametrize(("last", "right"), [(2, "1"), (3, "1/2"), (4, "1/3"), (6, "1/5")])
def test_the_chance_follows_the_endpoints(stage: SimpleNamespace, last: int, right: str) -> None:
    sockets = [f"10.244.0.{host}:53" for host in range(2, last + 1)]
    ruleset = with_endpoints(stage.kernel.ruleset, stage.ways[0].jump("KUBE-SVC-"), sockets)
    question = rules.chance_of_the_last(simulate(replace(stage.kernel, ruleset=ruleset), stage.packet))
    assert check(question, right).outcome is Outcome.RIGHT and check(question, "0").outcome is Outcome.WRONG


def test_one_port_may_get_another_endpoint_in_another_take(stage: SimpleNamespace) -> None:
    """The answer goes with what was seen: over the takes not every connection got the same endpoint."""
    told = set()
    for _ in range(3):
        verdict = check(rules.endpoints_of_one_port(by_one_port(stage.lab, stage.pod), stage.ways), 1)
        assert verdict.outcome is Outcome.RIGHT
        told.add(verdict.message)
    assert len(told) == 2


def test_what_is_not_there_is_an_error(stage: SimpleNamespace) -> None:
    empty = stage.lab.capture(stage.pod)
    assert check(rules.how_the_coin_falls(empty), "a").outcome is Outcome.ERROR
    with pytest.raises(NotFound, match="did not come to KUBE-NODEPORTS"):
        rules.rule_it_matches(stage.kernel, stage.ways[0], "KUBE-NODEPORTS")
    with pytest.raises(NotFound, match="jumped to no chain CILIUM"):
        stage.ways[0].jump("CILIUM")
    with pytest.raises(NotFound, match="did not come to filter INPUT"):
        stage.ways[0].at("INPUT", "filter")
