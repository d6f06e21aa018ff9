"""Where a query starts decides about its source; the table of notebook 09 tells it from captures, walks and traces."""

from __future__ import annotations

import pytest

from conftest import captured_dig
from kitlib import masquerade_step, open_lab, packet_from, simulate, what_differs
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.netfilter.packet import RuleOutcome


def asked_of(lab: Lab) -> dict:
    """Every traced scene: the name of who asks, its capture, and the node whose rules met the query first."""
    server = f"@{lab.topology.dns_service}"
    node, control = lab.pod("my-nginx").node, lab.coredns[0].node
    asks = {"my-nginx": (lab.pod("my-nginx"), node, ()), "worker3": (node, node, (server,)),
            "host-client": (lab.pod("host-client"), node, ()), "control-plane": (control, control, (server,)),
            "outside": (lab.container("outside"), node, (server,)), "neighbour": (lab.pod("neighbour"), control, ())}
    return {who: (captured_dig(lab, by=place, options=options, trace=True), first)
            for who, (place, first, options) in asks.items()}


def test_each_line_says_what_was_captured_and_traced() -> None:
    traced = asked_of(open_lab("recorded"))
    table = what_differs(traced)
    facts = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(facts) == list(traced)
    for who, (seen, first) in traced.items():
        said, followed = facts[who], seen.traced_query(first)
        packet, arrived = followed.trace_lines[0].packet, seen.journey().client_leg.queries[-1].sighting
        assert followed.differences == ()
        sent, ttl = f"{packet['SRC']}:{packet['SPORT']}", said["TTL there"]
        kept = sent == str(arrived.source)
        assert said["source"] == (f"{sent}, kept" if kept else f"{sent} → {arrived.source}") and ttl == str(arrived.ttl)
        assert said["first hook"] == followed.trace_lines[0].chain
        marked = any(met.rule.startswith("-A KUBE-MARK-MASQ") for met in followed.trace_lines)
        assert said["mark, and why"].startswith("0x4000: source is" if marked else "none: source is")
        assert marked != kept and marked == (list(facts).index(who) in table.marked_rows)
    assert {who for who in facts if "kept" in facts[who]["source"]} == {"my-nginx", "neighbour"}


def test_the_marking_rule_says_why() -> None:
    steps = {who: masquerade_step(seen.traced_query(first).path)
             for who, (seen, first) in asked_of(open_lab("recorded")).items()}
    assert len({step.rule.text for step in steps.values()}) == 1
    assert steps["my-nginx"].outcome is RuleOutcome.SKIPPED and "10.244.2.3" in steps["my-nginx"].why
    assert steps["outside"].outcome is RuleOutcome.MATCHED and "172.20.0.100, not" in steps["outside"].why


def test_what_was_not_traced_or_meets_no_such_rule_is_named() -> None:
    lab = open_lab("recorded")
    seen, first = asked_of(lab)["my-nginx"]
    with pytest.raises(NotFound, match="met no rule that could mark it"):
        masquerade_step(simulate(first.netfilter(), packet_from(seen.at(first)[-1]))[0])
    other = lab.node("control-plane")
    assert seen.traced_query(other).path.packet.in_interface == "eth0"
    with pytest.raises(NotFound, match="No rule trace was taken on worker2"):
        seen.traced_query(lab.node("worker2"))
