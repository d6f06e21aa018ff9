"""On the netns lab a fault is really there, the check asks the network, and afterwards the lab is as it was."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager

import pytest
from namespaces import require_namespaces

from kitlib import open_lab
from kitlib.errors import NotFound
from kitlib.quiz import Outcome
from live_labs import lab as live
from workshop import cases
from workshop.case import Case
from workshop.causes import causes_for, causes_of
from workshop.faults import KEPT_PORT, LIVE, RECIPES, live_recipes, placed_commands
from workshop.live_faults import break_lab, fix_lab
from workshop.questions import fix, solution, where, why

DIG = ("dig", "+tries=1", "+timeout=1")
EXAMPLE, BIG = (*DIG, "www.example.com"), (*DIG, "big.example.com", "TXT")
GETENT = ("env", "RES_OPTIONS=timeout:1", "getent", "ahosts", "www.example.com.")     # of itself it waits 5 s
SERVICE = (*DIG, "my-nginx.default.svc.cluster.local")
ASKED = {"tcp-blocked": BIG, "tcp-answer-lost": BIG, "upstream-down": (*DIG, "www.example.net"),
         "stale-conntrack": (*DIG, "-b", f"10.244.2.3#{KEPT_PORT}", "www.example.com"),
         "second-answer-lost": GETENT, "resolv-conf-of-the-node": SERVICE}
CAUSE = {name: name for name in LIVE} | {"egress-names-the-clusterip": "forward-drop"}
ANSWERED = {"route-wrong-node", "second-answer-lost", "resolv-conf-of-the-node"}      # but not as it should be


AT_ONCE = ("forward-drop",)      # the others: make test-slow


@pytest.fixture(scope="module")
def lab():
    """One lab for all these tests, which is at the end as it was at the beginning."""
    require_namespaces()
    patience, live.PATIENCE_S = live.PATIENCE_S, 0.2
    opened = open_lab("netns")
    before = state(opened)
    yield opened
    assert state(opened) == before
    live.PATIENCE_S = patience


@pytest.fixture
def pod(lab):
    return lab.pod("my-nginx")


def state(lab, *places) -> list[str]:
    """The rules, routes, settings and resolv.conf of these places, or of all that a fault may touch; no counters."""
    asked = [("iptables-save",), ("ip", "route"), ("sysctl", "net.ipv4.ip_forward"), ("cat", "/etc/resolv.conf"),
             ("sysctl", "net.ipv4.ip_default_ttl", "net.netfilter.nf_conntrack_udp_timeout")]
    pod = lab.pod("my-nginx")
    places = places or [pod, pod.node, lab.coredns[0].node, *lab.coredns, *lab.containers]
    said = [line for place in places for argv in asked for line in place.run(*argv).stdout.splitlines()]
    return sorted(line.partition(" [")[0] for line in said if not re.match(r"[#*]|COMMIT|:\w+ ACCEPT", line))


@contextmanager
def broken(lab, pod, name: str):
    break_lab(lab, pod, name)
    try:
        yield
    finally:
        fix_lab(lab, pod, name)


def look(pod, argv=EXAMPLE, times: int = 1):
    """What is seen of a command; of several, until one is lost."""
    points = (pod, pod.veth, pod.node, pod.runner.host, pod.runner.coredns[0].node, *pod.runner.coredns)
    with pod.runner.capture(*points) as seen:
        for _ in range(times):
            said = pod.run(*argv)
            if said.rc:
                break
    return seen, said


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in AT_ONCE else pytest.mark.slow) for name in LIVE])
def test_it_is_there_it_is_found_and_a_learners_command_fixes_it(lab, pod, name) -> None:
    with broken(lab, pod, name):
        seen, said = look(pod, ASKED.get(name, EXAMPLE), times=30 if name == "one-endpoint-dead" else 1)
        assert bool(said.rc) != (name in ANSWERED)
        case = Case(lab, pod, fault=name).with_sight_of(seen)
        assert causes_of(case) == (CAUSE[name],)
        question, sentences = why(case, seen), {cause.name: cause.sentence for cause in causes_for(case)}
        right = sentences[CAUSE[name]]
        assert question.check(right).outcome is Outcome.RIGHT
        wrong = [choice for choice in question.choices if choice != right]
        assert all(question.check(choice).message.startswith("Not that: ") for choice in wrong)
        if name != "resolv-conf-of-the-node":        # a file, fixed where it stands
            assert fix(case, seen).check(solution(case)).outcome is Outcome.RIGHT
    assert pod.run(*ASKED.get(name, EXAMPLE)).rc == 0


def test_a_command_is_run_where_it_says_and_the_check_asks_the_network(lab, pod) -> None:
    with broken(lab, pod, "forward-drop"):
        seen, _ = look(pod)
        question = fix(Case(lab, pod, "live"), seen)
        assert question.check("").outcome is Outcome.NOT_ATTEMPTED
        for typed in ("done", f"docker exec {pod.node.name} iptables -I FORWARD -p tcp -j ACCEPT"):
            verdict = question.check(typed)
            assert verdict.outcome is Outcome.WRONG and "the policy of FORWARD" in verdict.message
        assert pod.node.run("iptables", "-D", "FORWARD", "-p", "tcp", "-j", "ACCEPT").rc == 0
        on_the_node = f"docker exec {pod.node.name}"
        for typed, said in {"rm -r /nowhere": "a command that fixes",
                            f"{on_the_node} ip route del 9.9.9.9": "This failed",
                            "kubectl -n kube-system scale deployment coredns": "no kubectl"}.items():
            verdict = question.check(typed)
            assert verdict.outcome is Outcome.ERROR and said in verdict.message
        assert where(Case(lab, pod), seen).right == pod.veth.title
        assert pod.node.run("iptables", "-P", "FORWARD", "ACCEPT").rc == 0
        assert question.check("done").outcome is Outcome.RIGHT


@pytest.mark.slow
def test_a_strict_rp_filter_drops_what_came_another_way(lab, pod) -> None:
    with broken(lab, pod, "rp-filter"):
        assert where(Case(lab, pod), look(pod)[0]).right == "control-plane eth0"


@pytest.mark.slow
def test_a_loop_ends_with_the_ttl(lab, pod) -> None:
    with broken(lab, pod, "forwarding-loop"):
        with lab.capture() as seen:
            pod.run(*EXAMPLE)
        ttls = [hop.sighting.ttl for hop in seen.journey().client_leg.queries]
        assert ttls[0] == 8 and ttls[-1] == 1 and len(ttls) < 40
        assert len(seen.points) == len(set(seen.points)) and pod.runner.coredns[0].veth in seen.points


@pytest.mark.slow
def test_the_nodes_resolv_conf_knows_no_service(lab, pod) -> None:
    with broken(lab, pod, "resolv-conf-of-the-node"):
        assert "ANSWER: 0" in pod.run(*SERVICE).stdout
    assert "ANSWER: 1" in pod.run(*SERVICE).stdout


@pytest.mark.slow
def test_a_lost_second_answer_costs_the_resolvers_whole_timeout(lab, pod) -> None:
    def seconds() -> float:
        started = time.monotonic()
        assert pod.run(*GETENT).rc == 0
        return time.monotonic() - started

    with broken(lab, pod, "second-answer-lost"):
        assert 0.9 < seconds() < 3
    assert seconds() < 0.9


@pytest.mark.slow
def test_a_big_answer_is_lost_only_on_its_way_back_over_tcp(lab, pod) -> None:
    with broken(lab, pod, "tcp-answer-lost"):
        seen, _ = look(pod, BIG)
        udp, tcp = (journey.client_leg for journey in seen.journeys())
        assert udp.came_back and "tc" in udp.response.flags
        assert tcp.responses[-1].sighting.point == pod.node.eth0 and not tcp.came_back


def test_fixing_twice_does_no_harm(lab, pod) -> None:
    before = state(lab, pod.node)
    break_lab(lab, pod, "tcp-blocked")
    assert state(lab, pod.node) != before
    for _ in range(2):
        fix_lab(lab, pod, "tcp-blocked")
        assert state(lab, pod.node) == before


def test_what_cannot_be_broken_says_what_can() -> None:
    recorded = open_lab("recorded")
    with pytest.raises(NotFound, match="The netns lab is for that"):
        break_lab(recorded, recorded.pod("my-nginx"), "forward-drop")
    for recipe in (RECIPES | LIVE).values():      # every name in braces is known, and no command is a shell string
        steps = placed_commands(recorded, recorded.pod("my-nginx"), recipe.breaks + recipe.fixes)
        assert all("{" not in word for place, argv in steps for word in (place, *argv)) and steps


def test_a_live_lab_is_not_opened_with_a_recorded_fault() -> None:
    with pytest.raises(NotFound, match=r"break_lab makes one"):
        open_lab("netns", fault="forward-drop")


@pytest.mark.slow
def test_a_case_can_be_opened_by_the_name_of_its_fault(monkeypatch, lab) -> None:
    monkeypatch.setattr(cases, "open_lab", lambda **fault: lab)
    try:
        drawn = cases.mystery(3)
        assert drawn.fault and drawn.fault not in repr(drawn)
        assert cases.open_case("rp-filter").fault == "rp-filter"
        with pytest.raises(NotFound, match=r"no case 'nonsense'\. There are: 1, .*On the netns lab also: .*rp-filter"):
            cases.open_case("nonsense")
    finally:
        for name in {"rp-filter", *cases.MYSTERIES, *cases.LIVE_MYSTERIES} & live_recipes(lab).keys():
            fix_lab(lab, lab.pod("my-nginx"), name)


def test_what_is_not_there_cannot_be_broken(lab, pod) -> None:
    with pytest.raises(NotFound, match=r"'earthquake' cannot be made on the netns lab\. These can: .*no-endpoints"):
        break_lab(lab, pod, "earthquake")
