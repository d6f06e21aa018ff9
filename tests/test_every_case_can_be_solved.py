"""Every case, on its own recording: an untouched answer, wrong answers with their hints, and the right one."""

from __future__ import annotations

import json
from functools import cache

import pytest

from conftest import captured_dig, judged_with_its_own_hints
from kitlib import open_lab
from kitlib.backends.recording import load
from kitlib.errors import NotFound
from kitlib.lab import RECORDINGS
from kitlib.quiz import Outcome, check, hint, progress
from kitlib.result import typed_on_host
from lessons.answer import where_dig_asks
from workshop import questions, resolver_questions
from workshop.case import Case
from workshop.cases import CASES, MYSTERIES, debrief, mystery, open_case
from workshop.causes import CAUSES, causes_of
from workshop.faults import RECIPES, placed_commands
from workshop.questions import FIXED, fix, solution, why

FAULTS = {fault.name: fault for fault in load(RECORDINGS / "kind-test1").faults}
BROKEN = [number for number, fault in CASES.items() if fault]
NODE, CONTROL = "docker exec kind-test1-worker3", "docker exec kind-test1-control-plane"

# What fixes a fault, and two commands that do not, each with a part of what is said to them.
FIXES = {
    "no-endpoints": (["kubectl scale deploy/coredns --replicas 1 -n kube-system"],
                     {f"{NODE} iptables -D KUBE-SERVICES 1": "lists nobody behind 10.96.0.10",
                      "kubectl -n kube-system rollout restart deployment coredns": "lists nobody"}),
    "service-rules-missing": (["kubectl -n kube-system rollout restart daemonset kube-proxy",
                               f"{NODE} iptables -t nat -A PREROUTING -j KUBE-SERVICES"],
                              {f"{NODE} iptables -t nat -I OUTPUT -j KUBE-SERVICES": "the destination 10.96.0.10 stays",
                               f"{CONTROL} iptables -t nat -A PREROUTING -j KUBE-SERVICES": "of worker3's nat table"}),
    "forward-drop": ([f"{NODE} iptables -A FORWARD -j ACCEPT",
                      f"{NODE} iptables -I FORWARD -p udp --dport 53 -j ACCEPT; "
                      f"{NODE} iptables -I FORWARD -p tcp --dport 53 -j ACCEPT"],
                     {f"{NODE} iptables -I FORWARD -p tcp --dport 53 -j ACCEPT": "the policy of FORWARD, DROP",
                      f"{CONTROL} iptables -P FORWARD ACCEPT": "On worker3, the policy of FORWARD"}),
    "ip-forward-off": ([f"echo 1 | {CONTROL.replace('exec', 'exec -i')} tee /proc/sys/net/ipv4/ip_forward",
                        f"{CONTROL} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'"],
                       {f"{NODE} sysctl -w net.ipv4.ip_forward=1": "on control-plane says 0",
                        f"{CONTROL} sysctl -w net.ipv4.conf.all.forwarding=0": "on control-plane says 0"}),
    "route-blackhole": ([f"{NODE} ip route replace 10.244.0.0/25 via 172.20.0.2",
                         f"{NODE} ip route flush 10.244.0.0/25 && {NODE} ip r del blackhole 10.244.0.128/25"],
                        {f"{NODE} ip route del blackhole 10.244.0.128/25": "10.244.0.2 fits 10.244.0.0/25",
                         f"{NODE} ip route replace 10.244.0.0/25 via 172.20.0.1": "no node of this lab with a way"}),
    "route-wrong-node": ([f"{NODE} ip route change 10.244.0.0/24 via 172.20.0.2 dev eth0"],
                         {f"{NODE} ip route del 10.244.0.0/24": "break something else",
                          f"{NODE} ip route replace 10.244.0.0/24 via 172.20.0.5": "via 172.20.0.5, which is not"}),
    "one-endpoint-dead": (["kubectl -n kube-system rollout restart deployment/coredns"],
                          {"kubectl -n kube-system delete pod coredns-66bc5c9577-6l2wj": "Queries reached 10.244.0.2",
                           f"{NODE} conntrack -F": "the rules still choose it"}),
    "stale-conntrack": ([f"{NODE} conntrack -F", f"{NODE} conntrack -D -p udp --sport 33333"],
                        {f"{NODE} conntrack -D -p udp -s 10.244.2.4": "still sends a flow to 10.244.0.2",
                         "kubectl -n kube-system rollout restart ds/kube-proxy": "break something else"}),
    "tcp-blocked": ([f"{NODE} iptables -D FORWARD 1", f"{NODE} iptables -I FORWARD -p tcp --dport 53 -j ACCEPT"],
                    {f"{NODE} iptables -P FORWARD ACCEPT": "-j DROP` drops TCP",
                     f"{NODE} iptables -t nat -F PREROUTING": "the destination 10.96.0.10 stays"}),
    "upstream-down": (["docker restart upstream-dns"],
                      {"docker unpause outside": "asked 172.20.0.53 upstream-dns",
                       "kubectl -n kube-system rollout restart deployment coredns": "nobody saw a response"}),
}


@cache
def looked(number: int):
    """A case, and all the takes of its scene under one capture; read once, for who only looks."""
    case, fault = open_case(number), FAULTS[CASES[number]]
    with case.lab.capture() as seen:
        for _ in fault.scene.takes:
            for argv in (fault.scene.argv, *fault.scene.also):
                case.pod.run(*argv)
    return case, seen


@pytest.fixture(params=BROKEN, ids=[CASES[number] for number in BROKEN])
def opened(request):
    return request.param, *looked(request.param)


def where(number: int, case: Case, seen):
    asking = {6: questions.machines_on_the_way, 10: questions.where_tcp}
    return asking.get(number, questions.where)(case, seen)


def test_every_recorded_fault_is_a_case_with_a_cause_and_a_recipe() -> None:
    assert sorted(FAULTS) == sorted(name for name in CASES.values() if name)
    assert sorted(FAULTS) == sorted(RECIPES) == sorted(cause.name for cause in CAUSES) == sorted(FIXES)


def test_the_evidence_points_at_one_cause_and_at_no_other(opened) -> None:
    number, case, seen = opened
    assert causes_of(case.with_sight_of(seen)) == (CASES[number],)


def test_a_healthy_lab_has_no_cause() -> None:
    lab = open_lab()
    assert causes_of(Case(lab, lab.client).with_sight_of(captured_dig(lab))) == ()


def test_where_is_told_by_the_capture_and_each_wrong_place_by_what_it_saw(opened) -> None:
    number, case, seen = opened
    question = where(number, case, seen)
    assert question.check("").outcome is Outcome.NOT_ATTEMPTED
    assert question.check(str(question.right)).outcome is Outcome.RIGHT
    wrong = [title for title in question.choices if title != question.right] or ["1", "4"]
    assert len(wrong) >= 2
    for answer in wrong:
        verdict = question.check(answer)
        assert verdict.outcome is Outcome.WRONG
        assert "was never seen at" in verdict.message or "up to there all is fine" in verdict.message \
            or "The TTL would be" in verdict.message
    if len(wrong) > 3:
        assert len({question.check(answer).message for answer in wrong}) == len(wrong)


def test_why_answers_each_wrong_cause_with_evidence_against_it(opened) -> None:
    number, case, seen = opened
    question = why(case, seen)
    right = next(cause.sentence for cause in CAUSES if cause.name == CASES[number])
    wrong = dict.fromkeys({*question.choices} - {right}, "Not that: ")
    assert len(wrong) == 7
    judged_with_its_own_hints(question, right, wrong, "the moon")


def test_fixing_is_judged_by_what_the_command_would_do(opened) -> None:
    number, case, seen = opened
    question, (fixes, not_fixes) = fix(case, seen), FIXES[CASES[number]]
    assert question.check("").outcome is Outcome.NOT_ATTEMPTED
    for typed in (solution(case.with_sight_of(seen)), *fixes):
        assert question.check(typed).outcome is Outcome.RIGHT, typed
    for typed, said in not_fixes.items():
        verdict = question.check(typed)
        assert verdict.outcome is Outcome.WRONG and said in verdict.message, (typed, verdict)
    assert len(not_fixes) >= 2


@pytest.mark.parametrize(("typed", "expected"), [
    ("iptables -P FORWARD ACCEPT", "On which machine? Put it before the command: docker exec NODE iptables -P FORWARD"),
    (f"{NODE} iptables -A NOWHERE -j ACCEPT", "a chain that is there"),
    (f"{NODE} iptables -D FORWARD -p udp -j DROP", "a rule that is there"),
    (f"{NODE} ip route add 10.244.0.0/24 via 172.20.0.2", "replace or change"),
    (f"{NODE} ip route del 10.9.0.0/16", "a route that is there"),
    (f"{NODE} ip addr", "ip route add, del"),
    (f"{NODE} sysctl net.ipv4.ip_forward", "KEY=VALUE"),
    (f"{NODE} conntrack -L", "conntrack -D and what to delete"),
    ("kubectl delete pod coredns-66bc5c9577-hskrg", "-n kube-system"),
    ("docker unpause nobody", "a container that"),
    ("dig www.example.com", "a command that fixes something: iptables"),
    ("echo 'open quote", "a command line"),
])
def test_what_is_no_fixing_command_is_an_error_that_says_what_is_expected(typed, expected) -> None:
    verdict = fix(*looked(3)).check(typed)
    assert verdict.outcome is Outcome.ERROR and expected in verdict.message


def test_a_fixed_lab_changes_nothing_of_the_lab_itself() -> None:
    case, seen = looked(3)
    before = case.pod.node.run("iptables-save").stdout
    assert fix(case, seen).check(f"{NODE} iptables -P FORWARD ACCEPT").outcome is Outcome.RIGHT
    assert case.pod.node.run("iptables-save").stdout == before


def test_the_recipe_that_breaks_makes_the_fault_and_the_one_that_fixes_undoes_it() -> None:
    """On the healthy recording, as far as commands can be told there: the same cause appears, and goes again."""
    from workshop.command_effects import lab_after

    lab = open_lab()
    for name in ("service-rules-missing", "forward-drop", "ip-forward-off", "route-blackhole", "route-wrong-node",
                 "tcp-blocked"):
        broken = lab_after(lab, "\n".join(typed_on_host(*step) for step in
                                       placed_commands(lab, lab.pod("my-nginx"), RECIPES[name].breaks)))
        assert causes_of(Case(broken, broken.pod("my-nginx"))) == (name,)
        again = lab_after(broken, "\n".join(typed_on_host(*step) for step in
                                         placed_commands(lab, lab.pod("my-nginx"), RECIPES[name].fixes)))
        assert causes_of(Case(again, again.pod("my-nginx"))) == ()


def test_hints_come_one_after_the_other_and_then_the_solution() -> None:
    question = fix(*looked(3))
    assert [str(hint(question)).partition(":")[0] for _ in range(3)] == ["Hint 1 of 2", "Hint 2 of 2", "Solution"]
    for asking in (why, questions.where):
        asked = asking(*looked(3))
        assert asked.hint and asked.more and asked.hint != asked.more


@pytest.mark.parametrize(("number", "part"), [(3, "What does worker3 do with a packet next?"),
                                              (7, "It arrived at coredns 10.244.0.2 eth0"),
                                              (8, "It arrived at coredns 10.244.0.2 eth0")])
def test_the_second_hint_points_at_where_the_fault_is(number, part) -> None:
    assert part in why(*looked(number)).more


@pytest.mark.parametrize("number", range(12))
def test_a_mystery_is_drawn_by_its_number_and_not_named(number) -> None:
    case = mystery(number)
    assert case.lab.backend.recording.scenes == mystery(number).lab.backend.recording.scenes
    with case.lab.capture() as seen:
        digs = [case.pod.dig("+tries=1", "+timeout=3", "www.example.com") for _ in range(6)]
    assert any(dig.rc for dig in digs)
    shown = " ".join([repr(case), *map(str, digs), repr(case.lab)])
    assert not [name for name in FAULTS if name in shown]
    (cause,) = causes_of(case.with_sight_of(seen))
    told = str(debrief(case, seen))
    assert next(each.sentence for each in CAUSES if each.name == cause) in told and "last seen at" in told


def test_mysteries_differ() -> None:
    drawn = {mystery(number).lab.backend.recording.scenes[0].name for number in range(20)}
    assert drawn == set(MYSTERIES)


def test_an_unknown_case_says_which_there_are() -> None:
    with pytest.raises(NotFound, match=r"no case 99\. There are: 1, 2, .*12"):
        open_case(99)


def test_a_pod_on_the_nodes_network_asks_the_node() -> None:
    case = open_case(11)
    assert "SERVFAIL" in case.pod.dig("my-nginx.default.svc.cluster.local").stdout
    judged_with_its_own_hints(where_dig_asks(case.lab, case.pod), "172.20.0.1, the nameserver of worker3",
                              {"a": "does not know its pods", "c": "No nameserver runs in the pod"}, "the moon")
    judged_with_its_own_hints(resolver_questions.which_policy(case), "ClusterFirstWithHostNet", {
        "Default": "asks 172.20.0.1, not 10.96.0.10", "ClusterFirst": "asks 172.20.0.1, not 10.96.0.10",
        "None": "dns-none has it and asks 10.96.0.10, because its own dnsConfig"}, "the moon")


def test_a_complete_name_is_asked_for_twice() -> None:
    question = resolver_questions.fewer_queries(open_case(12), "www.example.com")
    assert question.check("").outcome is Outcome.NOT_ATTEMPTED
    assert question.check("www.example.com.").outcome is Outcome.RIGHT
    assert "is asked for with 8 queries" in question.check("www.example.com").message
    assert "another name" in question.check("example.com.").message


def test_progress_is_one_file_that_can_be_deleted(tmp_path, monkeypatch) -> None:
    file = tmp_path / "progress.json"
    monkeypatch.setenv("KITLIB_PROGRESS", str(file))
    question = fix(*looked(3))
    check(question, "")
    assert not file.exists()
    check(question, f"{CONTROL} iptables -P FORWARD ACCEPT")
    check(question, f"{NODE} iptables -P FORWARD ACCEPT")
    assert json.loads(file.read_text()) == {"case 3, fix": {"outcome": "✓ Right", "tries": 2}}
    assert "case 3, fix" in repr(progress())
    file.unlink()
    assert "(none)" in repr(progress())
    monkeypatch.setenv("KITLIB_PROGRESS", str(tmp_path / "nowhere" / "progress.json"))
    assert check(question, f"{NODE} iptables -P FORWARD ACCEPT").outcome is Outcome.RIGHT


def test_the_sentence_for_a_fixed_lab_is_no_command() -> None:
    assert fix(*looked(3)).right == FIXED
