"""What if, on a cluster in nftables mode: other endpoints give the rules that kube-proxy would write there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitlib import masquerade_step, open_lab, simulate, what_if
from kitlib.netfilter.nft_kube_proxy import endpoints, masquerade_mark, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.nft import Chain

PACKET = Packet("10.244.2.3", "10.96.0.10", "udp", 40000, 53, "veth4b6923b0")
KNOWN = ("10.244.0.2:53", "10.244.0.3:53")


@pytest.fixture(scope="module")
def kernel() -> Netfilter:
    return open_lab(recording="kind-test1-nftables").node("worker3").netfilter()


def services(kernel: Netfilter) -> list[Chain]:
    return [chain for table in kernel.nft.tables.values() for name, chain in table.chains.items()
            if name.startswith("service-") and "/" in name]


def ends(kernel: Netfilter, *sockets: str) -> set[tuple[str, float, str]]:
    chain = next(chain for chain in services(kernel) if chain.name.endswith("udp/dns"))
    changed = replace(kernel, nft=with_endpoints(kernel.nft, chain, sockets))
    return {(path.after.destination, round(path.probability, 3), path.end) for path in simulate(changed, PACKET)}


def test_the_same_endpoints_give_the_recorded_rules(kernel: Netfilter) -> None:
    assert len(services(kernel)) >= 5
    for chain in services(kernel):
        assert with_endpoints(kernel.nft, chain, endpoints(kernel.nft, chain)) == kernel.nft


def test_an_endpoint_that_goes_and_comes_back_gets_the_recorded_chain(kernel: Netfilter) -> None:
    """Its name is a hash: written anew it must be kube-proxy's own, with the same rules."""
    table = kernel.nft.tables["ip kube-proxy"]
    chain = next(chain for chain in services(kernel) if chain.name.endswith("udp/dns"))
    one = with_endpoints(kernel.nft, chain, KNOWN[:1])
    again = with_endpoints(one, one.tables["ip kube-proxy"].chains[chain.name], KNOWN).tables["ip kube-proxy"]
    name = next(name for name in table.chains if name.endswith("udp/dns__10.244.0.3/53"))
    assert again.chains.keys() == table.chains.keys()
    assert [rule.text for rule in again.chains[name].rules] == [rule.text for rule in table.chains[name].rules]
    assert [rule.text for rule in again.chains[chain.name].rules] == [rule.text for rule in chain.rules]


def test_a_third_endpoint_shares_and_without_any_it_is_rejected(kernel: Netfilter) -> None:
    third = {(f"10.244.0.{host}", 0.333, "goes out of eth0") for host in (2, 3, 12)}
    assert ends(kernel, *KNOWN, "10.244.0.12:53") == third
    assert ends(kernel, KNOWN[0]) == {("10.244.0.2", 1.0, "goes out of eth0")}
    assert ends(kernel) == {("10.96.0.10", 1.0, "is rejected")}


def test_the_widget_and_the_marking_rule_know_both_modes(kernel: Netfilter) -> None:
    text = what_if(kernel, PACKET).text
    assert "What if the endpoint 10.244.0.3:53 were gone?" in text and "mark 0x4000?" in text and "172.20.0.4:?" in text
    assert masquerade_mark(kernel.nft) == 0x4000
    step = masquerade_step(simulate(kernel, PACKET)[0])
    assert step.why == "source is 10.244.2.3, the rule wants anything but 10.244.0.0/16"
    assert "endpoint" not in what_if(kernel, PACKET._replace(destination="93.184.216.34")).text
