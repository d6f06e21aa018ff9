"""What a cluster has that the walkthrough's has not is said in words, and what still holds is still shown.

The texts in fixtures/bridge-cni are from worker3 of the real cluster with the CNI plugin `bridge`, 2026-11-25.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from namespaces import require_namespaces, require_programs

from conftest import REPO
from kitlib.cluster import differences
from kitlib.lab import open_lab
from kitlib.netfilter.compare import traced_paths
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip, iptables_save, xtables_monitor

BRIDGE = {file.stem: file.read_text() for file in (REPO / "tests/fixtures/bridge-cni").iterdir()}


def cluster(addresses: str, routes: str, tables: str, pods: str = "10.244.0.0/16"):
    """A lab of which only is known what one node said."""
    node = SimpleNamespace(interfaces=lambda: ip.interfaces(addresses), routes=lambda: ip.routes(routes),
                           run=lambda *argv: SimpleNamespace(stdout=tables), pod_range="10.244.2.0/24")
    return SimpleNamespace(coredns=[SimpleNamespace(node=node)], nodes=[], ranges=SimpleNamespace(pods=pods))


def test_a_bridge_is_told_by_its_name():
    sentence, = differences(cluster(BRIDGE["ip-addr"], BRIDGE["ip-route"], BRIDGE["nft-tables"]))
    assert sentence.startswith("The CNI has a bridge, cni0")


@pytest.mark.parametrize(("changed", "said"), [
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "kube-ipvs0")}, "IPVS mode (kube-ipvs0)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "nodelocaldns")}, "DNS cache of its own (nodelocaldns)"),
    ({"tables": "table ip kube-proxy\n"}, "nftables mode"),
    ({"pods": "10.244.0.0/16,fd00:10:244::/56"}, "two address families, 10.244.0.0/16,fd00:10:244::/56")])
def test_every_other_difference_is_told(changed, said):
    plain = {"addresses": BRIDGE["ip-addr"], "routes": "", "tables": BRIDGE["nft-tables"]}
    assert differences(cluster(**plain)) == ()
    sentence, = differences(cluster(**{**plain, **changed}))
    assert said in sentence


def test_a_packet_that_a_bridge_hands_on_is_one_packet_though_the_kernel_gives_it_two_ids():
    query, response = xtables_monitor.traces(BRIDGE["xtables-monitor"]).values()
    assert query[0].table == "raw" and query[-1].chain == "POSTROUTING"
    assert (query[0].packet["DST"], response[-1].packet["OUT"]) == ("10.96.0.10", "cni0")


def test_behind_a_bridge_the_walk_meets_the_rules_that_the_kernel_met():
    routes = [route for route in ip.routes(BRIDGE["ip-route-all"]) if route.table != "main"]
    kernel = Netfilter(iptables_save.parse(BRIDGE["iptables-save"]), (*routes, *ip.routes(BRIDGE["ip-route"])),
                    ip.interfaces(BRIDGE["ip-addr"]), True)
    followed = traced_paths(kernel, xtables_monitor.traces(BRIDGE["xtables-monitor"]))
    assert [one.differences for one in followed] == [(), ()]


@pytest.mark.parametrize(("program", "makes", "said"), [
    ("ip", "ip link add kube-ipvs0 type bridge", "IPVS"), ("ip", "ip link add nodelocaldns type bridge", "DNS cache"),
    ("nft", "nft add table ip kube-proxy", "nftables mode")])
def test_a_nodes_kernel_that_has_such_a_thing_is_recognised(program, makes, said):
    require_namespaces()
    require_programs(program)
    lab = open_lab("netns")
    assert differences(lab) == ()
    made = lab.coredns[0].node.run(*makes.split())
    assert made.rc == 0, made.stderr
    assert said in repr(lab)
