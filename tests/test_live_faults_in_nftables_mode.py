"""On the netns lab in nftables mode a case is broken with nft, its cause is found, and a learner's nft fixes it."""

from __future__ import annotations

import re

import pytest
from namespaces import require_namespaces

from kitlib import open_lab
from kitlib.errors import NotFound
from kitlib.quiz import Outcome
from live_labs import lab as live
from workshop import cases
from workshop.causes import causes_for, causes_of
from workshop.faults import live_recipes
from workshop.live_faults import break_lab, fix_lab
from workshop.questions import fix, solution, where, why

CAUSE = {"service-rules-missing": "service-rules-missing", "drop-in-another-table": "forward-drop"}
EVIDENCE = {"service-rules-missing": "10.96.0.10 . udp . 53",
            "drop-in-another-table": "udp dport 53 drop (table inet egress-policy)"}


@pytest.fixture(scope="module")
def lab():
    require_namespaces()
    patience, live.PATIENCE_S = live.PATIENCE_S, 0.2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KITLIB_NETNS_MODE", "nftables")
        opened = open_lab("netns")
    before = rules(opened)
    yield opened
    assert rules(opened) == before
    live.PATIENCE_S = patience
    opened.backend.holder.end()


def rules(lab) -> list[str]:
    """The rules of the pod's node that iptables has not, in no order: a map's elements have none."""
    node = lab.pod("my-nginx").node
    listed = node.run("nft", "-s", "list", "table", "ip", "kube-proxy").text
    return sorted([*node.nft_tables(), *re.split(r",\s+|\n\s*|elements = \{ | \}", listed)])


@pytest.mark.parametrize("name", ["service-rules-missing",
                                  pytest.param("drop-in-another-table", marks=pytest.mark.slow)])
def test_it_is_found_and_nft_fixes_it(monkeypatch, lab, name) -> None:
    monkeypatch.setattr(cases, "open_lab", lambda: lab)
    case = cases.open_case(name)
    try:
        with lab.capture(case.pod, case.pod.veth, case.pod.node, lab.coredns[0].node, *lab.coredns) as seen:
            assert case.pod.run("dig", "+tries=1", "+timeout=1", "www.example.com").rc
        case = case.with_sight_of(seen)
        assert causes_of(case) == (CAUSE[name],)
        question = why(case, seen)
        right, = (cause for cause in causes_for(case) if cause.name == CAUSE[name])
        assert question.check(right.sentence).outcome is Outcome.RIGHT
        assert EVIDENCE[name] in right.examine(case).evidence
        assert all(question.check(choice).message.startswith("Not that: ")
                   for choice in question.choices if choice != right.sentence)
        assert where(case, seen).right == case.pod.veth.title
        asked = fix(case, seen)
        on_the_node = f"docker exec {case.pod.node.name}"
        for wrong in (f"{on_the_node} nft add table inet mine", f"{on_the_node} iptables -P FORWARD ACCEPT"):
            assert asked.check(wrong).outcome is Outcome.WRONG
        case.pod.node.run("nft", "delete", "table", "inet", "mine")
        assert asked.check(solution(case)).outcome is Outcome.RIGHT
    finally:
        fix_lab(lab, lab.pod("my-nginx"), name)


def test_what_changes_kube_proxys_iptables_cannot_be_broken_here(lab) -> None:
    assert {"forward-drop", "rp-filter", *CAUSE} <= live_recipes(lab).keys()
    with pytest.raises(NotFound, match=r"'stale-conntrack' cannot be made .*These can: .*drop-in-another-table"):
        break_lab(lab, lab.pod("my-nginx"), "stale-conntrack")


@pytest.mark.slow
def test_any_mystery_of_this_mode_can_be_broken_here(monkeypatch, lab) -> None:
    monkeypatch.setattr(cases, "open_lab", lambda: lab)
    drawn = cases.mystery(3)
    fix_lab(lab, lab.pod("my-nginx"), drawn.fault)
    assert drawn.fault in live_recipes(lab)
