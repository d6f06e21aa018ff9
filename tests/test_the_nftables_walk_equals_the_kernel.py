"""For every packet that the kernel of a cluster in nftables mode traced: the same chains, rules, verdicts, in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import captured_dig
from kitlib import open_lab, rule_walk
from kitlib.backends.recording import read_take
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.nft_compare import traced_by_nft
from kitlib.parsers import nft

PLACES = ("node:kind-test1-worker3", "node:kind-test1-control-plane")


@pytest.fixture(scope="module")
def lab():
    return open_lab(recording="kind-test1-nftables")


def packets(lab, changed=lambda ruleset: ruleset) -> list[TracedPath]:
    """All packets of the recording's traces, walked by the rules of that moment, or by what is made of them."""
    recording, found = lab.backend.recording, []
    for place in PLACES:
        listed, listing = (recording.traced_rules[place, ("nft", option, "list", "ruleset")] for option in ("-j", "-a"))
        netfilter = lab.node(place.partition(":")[2]).netfilter()
        netfilter = replace(netfilter, nft=changed(nft.ruleset(listed.stdout)))
        for scene in (scene for scene in recording.scenes if scene.traced):
            for number in range(1, len(scene.takes) + 1):
                traces = read_take(recording, scene, number).traces
                found += [one for trace in traces if trace.place == place
                          for one in traced_by_nft(netfilter, trace.stdout, listing.stdout)]
    return found


def test_the_walk_agrees_on_all_38_packets(lab) -> None:
    found = packets(lab)
    assert [one.differences for one in found if one.differences] == [] and len(found) == 38
    assert sum(len(one.trace_lines) for one in found) > 400
    assert {"NEW" in one.path.packet.states for one in found} == {True, False}
    assert any(one.path.after.source != one.path.packet.source for one in found)


def without(text: str):
    """Take out of every chain the rules that hold this text."""
    def changed(ruleset: nft.Ruleset) -> nft.Ruleset:
        tables = {name: replace(table, chains={chain.name: replace(chain, lines=tuple(
            line for line, rule in zip(chain.lines, chain.rules, strict=True) if text not in rule.text))
            for chain in table.chains.values()}) for name, table in ruleset.tables.items()}
        return replace(ruleset, tables=tables)

    return changed


@pytest.mark.parametrize("text", ["ct state new jump firewall-check", "vmap @service-ips", "numgen",
                                  "jump masquerading", "meta mark set meta mark |", "dnat to 10.244.0.3:53"])
def test_one_rule_less_is_noticed(lab, text: str) -> None:
    assert any(one.differences for one in packets(lab, without(text)))


def test_the_oldest_first_at_equal_priority_is_noticed(lab) -> None:
    assert any(one.differences for one in packets(lab, lambda ruleset: replace(
        ruleset, tables=dict(reversed(ruleset.tables.items())))))


def test_a_learner_sees_the_same_under_capture(lab) -> None:
    seen = captured_dig(lab, trace=True)
    node = lab.node("worker3")
    assert seen.trace(node).typed == "docker exec kind-test1-worker3 nft monitor trace"
    first, answer = seen.traced_paths(node)
    assert not first.differences and not answer.differences
    assert first.path.jump("service-FY") == "service-FY5PMXPG-kube-system/kube-dns/udp/dns"
    assert first.path.after.destination == seen.journey().client_leg.endpoint.address
    shown = rule_walk(seen.traced_query(node)).text
    assert "ip kube-proxy at nat-prerouting: 4 rules matched, 2 skipped; destination 10.96.0.10:53 →" in shown
    assert "the walk says the same in each of them" in shown
