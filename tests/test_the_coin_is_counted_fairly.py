"""The coin: what was counted stands beside what the rules promise, and the binomial distribution judges it."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import pytest

from conftest import captured_dig
from kitlib import endpoint_shares, open_lab, packet_from, simulate
from kitlib.netfilter.endpoint_shares import _p_value


def test_sixty_four_queries_are_counted_by_endpoint_beside_their_probability() -> None:
    lab = open_lab("recorded")
    pod = lab.pod("my-nginx")
    ways = ()
    for take in (1, 2):
        with lab.capture() as many:
            pod.run("sh", "-c", "for i in $(seq 64); do dig +tries=1 +short www.example.com; done")
        # pod-many was not captured at the veth, but there it is the same packet.
        query = packet_from(many.at(pod)[0])._replace(in_interface=pod.veth.interface)
        ways = ways or simulate(pod.node.netfilter(), query)
        coin = endpoint_shares(ways, many.at(pod.node))
        assert {share.endpoint for share in coin} == {f"{each.address}:53" for each in lab.coredns}
        assert all((share.probability, share.expected) == (0.5, 32) for share in coin)
        assert sum(share.counted for share in coin) == 64 and all(share.p_value > 0.05 for share in coin), take
        # A query that is sent again, and a response, are no new connection.
        assert endpoint_shares(ways, many.at(pod.node) * 2) == coin


def test_an_endpoint_that_no_rule_names_has_no_probability() -> None:
    lab = open_lab("recorded")
    seen, pod = captured_dig(lab), lab.client
    query, = (one for one in seen.at(pod.node) if one.direction == "query")
    astray = replace(query, destination=query.destination._replace(address="10.9.9.9"))
    ways = simulate(pod.node.netfilter(), packet_from(seen.at(pod.veth)[0]))
    found = {share.endpoint: share for share in endpoint_shares(ways, [astray])}
    stranger = found["10.9.9.9:53"]
    assert (stranger.counted, stranger.probability, stranger.p_value) == (1, 0, 0)
    assert len(found) == 3 and sum(share.counted for share in found.values()) == 1


@pytest.mark.parametrize(("count", "total", "chance", "expected"), [
    (32, 64, 0.5, 1.0),
    (0, 4, 0.5, 2 / 16),                        # both ends: 0 and 4
    (1, 4, 0.5, 10 / 16),
    (3, 3, 1 / 3, 1 / 27),                      # nothing on the other side is as unlikely
    (64, 64, 1.0, 1.0),
    (20, 64, 0.5, 2 * sum(comb(64, k) for k in range(21)) / 2**64),
])
def test_the_two_sided_binomial_test(count: int, total: int, chance: float, expected: float) -> None:
    assert _p_value(count, total, chance) == pytest.approx(expected)
