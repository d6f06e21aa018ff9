"""On the netns lab a fault is really there, the check asks the network, and afterwards the lab is as it was."""

from __future__ import annotations

import re
import time

import pytest
from namespaces import require_namespaces

from kitlib import open_lab
from kitlib.errors import NotFound
from kitlib.exercises.case import Case
from kitlib.exercises.fault_causes import causes_of
from kitlib.exercises.fault_questions import mend, where
from kitlib.exercises.live_faults import break_lab, broken, mend_lab
from kitlib.exercises.question import Outcome
from kitlib.faults import LIVE, RECIPES, commands

DIG = ("+tries=1", "+timeout=1")
PATIENT = ("+tries=2", "+timeout=3")
ASKED = {"tcp-blocked": ("big.example.com", "TXT"), "upstream-down": ("+timeout=3", "www.example.net")}
CAUSE = {"egress-names-the-clusterip": "forward-drop"} | {name: name for name in RECIPES}
WITHOUT_A_CAUSE = {"rp-filter", "resolv-conf-of-the-node", "second-answer-lost"}     # each has a test of its own


@pytest.fixture(scope="module")
def lab():
    """One lab for all these tests, which is at the end as it was at the beginning."""
    require_namespaces()
    opened = open_lab("netns")
    before = state(opened)
    yield opened
    assert state(opened) == before


@pytest.fixture
def pod(lab):
    return lab.pod("my-nginx")


def state(lab) -> list[str]:
    """The rules, routes, settings and resolv.conf of every place that a fault may touch; no counters."""
    asked = [("iptables-save",), ("ip", "route"), ("sysctl", "net.ipv4.ip_forward"), ("cat", "/etc/resolv.conf")]
    pod = lab.pod("my-nginx")
    places = [pod, pod.node, lab.coredns[0].node, *lab.coredns, *lab.containers]
    said = [line for place in places for argv in asked for line in place.run(*argv).stdout.splitlines()]
    return sorted(line.partition(" [")[0] for line in said if not re.match(r"[#*]|COMMIT|:\w+ ACCEPT", line))


def look(pod, *words: str, times: int = 1):
    """What is seen of a dig; of several, until one is lost."""
    points = (pod, pod.veth, pod.node, pod.lab.host, pod.lab.coredns[0].node, *pod.lab.coredns)
    with pod.lab.capture(*points) as seen:
        for _ in range(times):
            dig = pod.dig(*DIG, *(words or ("www.example.com",)))
            if dig.rc:
                break
    return seen, dig


@pytest.mark.parametrize("name", sorted(LIVE.keys() - WITHOUT_A_CAUSE))
def test_it_is_there_it_is_found_and_it_goes(lab, pod, name) -> None:
    with broken(lab, pod, name):
        seen, dig = look(pod, *ASKED.get(name, ()), times=30 if name == "one-endpoint-dead" else 1)
        assert dig.rc or name == "route-wrong-node"
        assert causes_of(Case(lab, pod).with_sight_of(seen)) == (CAUSE[name],)
    assert pod.dig(*PATIENT, *ASKED.get(name, ("www.example.com",))).rc == 0


def test_a_learner_mends_it_and_the_check_asks_the_network(lab, pod) -> None:
    with broken(lab, pod, "forward-drop"):
        seen, _ = look(pod)
        question = mend(Case(lab, pod, "live"), seen)
        assert question.check("").outcome is Outcome.NOT_ATTEMPTED
        verdict = question.check("done")
        assert verdict.outcome is Outcome.WRONG and "the policy of FORWARD" in verdict.message
        assert where(Case(lab, pod), seen).right == pod.veth.title
        assert pod.node.run("iptables", "-P", "FORWARD", "ACCEPT").rc == 0
        assert question.check("done").outcome is Outcome.RIGHT


def test_a_strict_rp_filter_drops_what_came_another_way(lab, pod) -> None:
    with broken(lab, pod, "rp-filter"):
        seen, dig = look(pod)
        assert dig.rc and seen.journey().client_leg.farthest.sighting.point.title == "control-plane eth0"
    assert pod.dig(*PATIENT, "www.example.com").rc == 0


def test_the_nodes_resolv_conf_knows_no_service(lab, pod) -> None:
    service = "my-nginx.default.svc.cluster.local"
    with broken(lab, pod, "resolv-conf-of-the-node"):
        assert "ANSWER: 0" in pod.dig(*PATIENT, service).stdout
    assert "ANSWER: 1" in pod.dig(*PATIENT, service).stdout


def test_a_lost_second_answer_costs_five_seconds(lab, pod) -> None:
    def seconds() -> float:
        started = time.monotonic()
        assert pod.run("getent", "ahosts", "www.example.com.").rc == 0
        return time.monotonic() - started

    with broken(lab, pod, "second-answer-lost"):
        assert 4.5 < seconds() < 8
    assert seconds() < 2


def test_mending_twice_does_no_harm(lab, pod) -> None:
    before = state(lab)
    break_lab(lab, pod, "tcp-blocked")
    assert state(lab) != before
    for _ in range(2):
        mend_lab(lab, pod, "tcp-blocked")
        assert state(lab) == before


def test_what_cannot_be_broken_says_what_can() -> None:
    recorded = open_lab("recorded")
    with pytest.raises(NotFound, match="The netns lab is for that"):
        break_lab(recorded, recorded.pod("my-nginx"), "forward-drop")
    for recipe in (RECIPES | LIVE).values():      # every name in braces is known, and no command is a shell string
        steps = commands(recorded, recorded.pod("my-nginx"), recipe.breaks + recipe.mends)
        assert all("{" not in word for place, argv in steps for word in (place, *argv)) and steps


def test_a_live_lab_is_not_opened_with_a_recorded_fault() -> None:
    with pytest.raises(NotFound, match=r"break_lab makes one"):
        open_lab("netns", fault="forward-drop")


def test_a_fault_that_needs_a_cluster_is_not_made_live(lab, pod) -> None:
    with pytest.raises(NotFound, match=r"'no-endpoints' cannot be made on the netns lab\. These can: .*forward-drop"):
        break_lab(lab, pod, "no-endpoints")
