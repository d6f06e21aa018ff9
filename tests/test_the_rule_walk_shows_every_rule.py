"""The rule-walk explorer shows every rule that looked at the packet, why, and whether the kernel says the same."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from conftest import captured_dig
from kitlib import open_lab, rule_walk, simulate
from kitlib.drawings.rule_walk import MOST_SKIPPED, hook_step_html
from kitlib.netfilter.compare import TracedPath, compare
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.iptables_save import parse

LAB = open_lab("recorded")
POD = LAB.pod("my-nginx")


@pytest.fixture(scope="module")
def followed() -> tuple[TracedPath, ...]:
    """The query and its reply, as the pod's node traced them."""
    return captured_dig(LAB, trace=True).traced_paths(POD.node)


def words(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


@pytest.mark.parametrize("which", [0, 1], ids=["query", "reply"])
def test_every_rule_is_shown_with_its_reason(followed: tuple[TracedPath, ...], which: int) -> None:
    twin, walk = rule_walk(followed[which]), followed[which].path
    assert len(walk.steps) > 10
    for step in walk.steps:
        for told in (twin.text, words(twin.html)):
            assert step.why in told and (step.rule.text if step.rule else f"policy of {step.chain}") in told
    lines = [line.strip() for line in twin.text.splitlines()]
    shown = [line for line in lines if line.startswith(("matched ", "skipped ", "undecided "))]
    assert [line.split()[0] for line in shown] == [step.outcome.value for step in walk.steps]
    assert twin.html.count("<b>matched</b>") == sum(step.outcome.value == "matched" for step in walk.steps)


def test_the_kernels_trace_stands_beside_each_rule_that_it_tells_of(followed: tuple[TracedPath, ...]) -> None:
    one = followed[0]
    twin = rule_walk(one)
    assert twin.text.count("kernel: the same: ") == len(one.trace_lines) == twin.html.count(">the same: ")
    assert f"{len(one.trace_lines)} lines of this packet, and the walk says the same in each" in twin.text
    assert "differs" not in twin.text and "says nothing" not in twin.text


def test_a_difference_is_said(followed: tuple[TracedPath, ...]) -> None:
    one = followed[0]
    lying = tuple(replace(met, verdict="DROP") if "DNAT" in met.rule else met for met in one.trace_lines)
    twin = rule_walk(compare(one.path, lying))
    assert "The walk differs:" in twin.text and "says the same in each" not in twin.text
    assert re.search(r"DNAT .*kernel: differs: .*DNAT .* DROP", twin.text) and "differs: " in twin.html
    cut = rule_walk(compare(one.path, one.trace_lines[:4]))
    assert "says nothing of it" in cut.text


def test_without_a_trace_there_is_no_column_for_it(followed: tuple[TracedPath, ...]) -> None:
    twin = rule_walk(followed[0].path)
    assert "kernel" not in twin.text and "trace" not in words(twin.html).replace("-j TRACE", "")


def test_the_packet_stands_beside_the_rule_and_a_rewrite_is_marked(followed: tuple[TracedPath, ...]) -> None:
    walk = followed[0].path
    twin = rule_walk(followed[0])
    address = walk.after.destination
    assert f"destination 10.96.0.10:53 → {address}:53" in twin.text.splitlines()[0]
    dnat = next(line for line in twin.text.splitlines() if "--to-destination" in line)
    assert f"destination rewritten 10.96.0.10:53 → {address}:53" in dnat
    assert twin.html.count("border-left") + twin.html.count("rgba(213,94,0") >= 1
    assert "mark 0x0" in twin.text


def test_skipped_rules_fold_and_the_stops_can_be_chosen(followed: tuple[TracedPath, ...]) -> None:
    walk = followed[0].path
    twin = rule_walk(followed[0])
    assert "<details" in twin.html and "<details open" not in twin.html and "<summary>" in twin.html
    chosen, _, shown, _ = twin.widget.children
    assert "nat at PREROUTING" in shown.value, "it begins where something is rewritten"
    views = []
    for number, passage in enumerate(walk.hook_steps):
        chosen.value = number
        views.append(shown.value)
        assert (f"{passage.table} at {passage.hook}" if passage.table else "routing:") in shown.value
    assert len(set(views)) == len(walk.hook_steps) == len(chosen.options)


def test_ten_thousand_skipped_rules_are_counted_not_written_out() -> None:
    rules = [f"-A FORWARD -d 10.{n // 250}.{n % 250}.1/32 -j DROP" for n in range(10_000)]
    ruleset = parse("\n".join(["*filter", ":FORWARD ACCEPT [0:0]", *rules, "COMMIT"]))
    kernel = Netfilter(ruleset, POD.node.netfilter().routes)
    walk = next(iter(simulate(kernel, Packet("10.244.2.3", "10.244.0.99", in_interface="veth4b6923b0"))))
    forward = next(passage for passage in walk.hook_steps if passage.hook == "FORWARD")
    html = hook_step_html(forward)
    assert "10000 rules of FORWARD skipped" in html and f"{10_000 - MOST_SKIPPED:,} more rules" in html
    assert html.count("<li>") == MOST_SKIPPED and "9,900 more" in rule_walk(walk).text
