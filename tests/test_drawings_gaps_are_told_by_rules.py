"""A ladder shows places where nobody listened only where rules or an answer tell of them, and says so in every form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_drawings_ladder_tells_the_journey import assert_fits

from conftest import captured_dig
from kitlib.drawings.gaps import BY_ADDRESS, BY_CAUSE, BY_RULES, Gap, gaps
from kitlib.drawings.ladder import ladder
from kitlib.errors import NotRecorded
from kitlib.journey.model import Journey
from kitlib.lab import Lab, open_lab
from kitlib.place import Node

DNAT = "destination rewritten (DNAT) 172.20.0.1:53 → 127.0.0.11:34705"


@pytest.fixture(scope="module")
def lab() -> Lab:
    return open_lab("recorded")


@pytest.fixture(scope="module")
def journey(lab: Lab) -> Journey:
    return captured_dig(lab).journey()


def told_by(found: tuple[Gap, ...]) -> list[tuple[str, str]]:
    return [(gap.place.title, gap.source) for gap in found]


def test_rules_tell_of_the_resolver_and_an_answer_of_the_server_outside(lab: Lab, journey: Journey) -> None:
    found, resolver = gaps(lab, journey), "Docker's resolver 127.0.0.11"
    assert told_by(found) == [(resolver, BY_RULES)] * 2 + [(resolver, BY_CAUSE)] * 2 + [("upstream-dns eth0",
                                                                                       BY_ADDRESS)] * 2
    assert found[0].words.endswith(DNAT) and [gap.is_before for gap in found] == [False, True, True, False, False, True]


def test_the_ladder_says_it_in_every_form(lab: Lab, journey: Journey) -> None:
    drawn = ladder(journey, gaps(lab, journey))
    assert_fits(drawn.svg)
    for words in (drawn.text, drawn.alt):
        assert f"to Docker's resolver 127.0.0.11 ({BY_RULES}): {DNAT}" in words and BY_ADDRESS in words
    assert "172.20.0.1:53 → 127.0.0.11:34705" in drawn.svg and BY_RULES in drawn.svg and BY_RULES in drawn.mermaid
    assert "Docker" not in ladder(journey).svg and "nobody listened" not in ladder(journey).svg


def test_where_rules_are_not_known_or_do_not_decide_nothing_is_drawn(lab: Lab, journey: Journey,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    node = lab.coredns[0].node
    unsure = replace(node.netfilter(), unknown=("eBPF programs",))
    monkeypatch.setattr(Node, "netfilter", lambda self: unsure)
    assert told_by(gaps(lab, journey)) == [("upstream-dns eth0", BY_ADDRESS)] * 2

    def refuse(node: Node) -> None:
        raise NotRecorded("no iptables-save")

    monkeypatch.setattr(Node, "netfilter", refuse)
    assert told_by(gaps(lab, journey)) == [("upstream-dns eth0", BY_ADDRESS)] * 2


def test_a_server_that_did_not_answer_is_not_said_to_be_reached(lab: Lab, journey: Journey) -> None:
    last = journey.legs[-1]
    silent = replace(journey, legs=(*journey.legs[:-1], replace(last, hops=last.queries)))
    assert BY_ADDRESS not in {gap.source for gap in gaps(lab, silent)}


def test_a_journey_that_ends_at_coredns_has_no_gaps(lab: Lab, journey: Journey) -> None:
    assert gaps(lab, replace(journey, legs=journey.legs[:1])) == ()
