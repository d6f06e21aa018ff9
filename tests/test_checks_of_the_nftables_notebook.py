"""Every question of notebook 10, asked of the recorded labs: untouched, right, the usual mistakes, and an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conftest import REPO, EachQuestion, captured_dig
from kitlib import check, open_lab, packet_from
from kitlib.quiz import Outcome
from lessons import nftables
from recorder.validate import lacking


@pytest.fixture(scope="module")
def stage() -> SimpleNamespace:
    """What the questions are about: the query in both modes, and the reply."""
    both = {}
    for mode, lab in zip(("iptables", "nftables"), nftables.in_both_modes(open_lab("recorded")), strict=True):
        seen = captured_dig(lab, trace=True)
        both[mode] = seen.traced_query(lab.client.node).path
    return SimpleNamespace(kernel=lab.client.node.netfilter(), packet=packet_from(seen.at(lab.client.veth)[0]),
                           both=both, reply=seen.traced_paths(lab.client.node)[1].path)


CASES = {
    "base chain": (lambda s: nftables.base_chain_it_does_not_meet(s.kernel, s.both["nftables"]), "nat PREROUTING", {
        "raw PREROUTING": "priority -300", "kube-proxy nat-prerouting": "destination 10.96.0.10:53 → 10.244.0."}, "x"),
    "key": (lambda s: nftables.key_it_looks_up(s.packet), "10.96.0.10 . udp . 53", {
        "10.244.2.3 . udp . 53": "the rule says daddr", "10.96.0.10": "several ports"}, "10.96.0.10 . tcp . 53"),
    "port": (lambda s: nftables.to_another_port(s.both, 5353), "is rejected", {
        "goes out of eth0": "So it does in iptables mode", "is dropped": "Has no Service this address"}, "waits"),
    "many": (lambda s: nftables.found_among_many(s.both), 1, {
        10_000: "in iptables mode", 5000: "the mean of a list", 5: "5 entries are in the map"}, "one"),
    "reply": (lambda s: nftables.rules_a_reply_meets(s.both["nftables"], s.reply), 0, {
        11: "no Service's", 1: "is no rule"}, "none"),
    "TCP": (lambda s: nftables.key_over_tcp(s.packet), "10.96.0.10 . tcp . 53", {
        "10.96.0.10, udp, 53": "Look again at the protocol.", "10.244.0.2 tcp 53": "Look again at the address",
        "10.96.0.10 . tcp . 46368": "Look again at the destination port"}, "10.96.0.10"),
}


class TestQuestions(EachQuestion):
    cases, modules = CASES, (nftables,)


def test_each_mode_is_shown_by_a_lab_in_that_mode() -> None:
    for name in ("kind-test1", "kind-test1-nftables"):
        labs = nftables.in_both_modes(open_lab("recorded", recording=name))
        assert [bool(lab.client.node.netfilter().nft) for lab in labs] == [False, True]
        assert name in "".join(str(lab.backend) for lab in labs)


def test_the_right_answers_follow_the_packet(stage: SimpleNamespace) -> None:
    another = stage.packet._replace(destination="10.96.0.1", dport=443)
    assert check(nftables.key_it_looks_up(another), "10.96.0.1 . udp . 443").outcome is Outcome.RIGHT
    assert check(nftables.key_over_tcp(another), "10.96.0.10 . tcp . 53").outcome is Outcome.WRONG


@pytest.mark.slow
def test_the_notebooks_before_it_run_on_a_cluster_in_nftables_mode() -> None:
    lacks = lacking(REPO / "kitlib/recordings/kind-test1-nftables")
    assert [line for line in lacks if line.startswith("notebook 06") and "notebook 10 reads its rules" in line]
