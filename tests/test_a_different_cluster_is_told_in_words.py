"""What a cluster has that the walkthrough's has not is said in words, and what still holds is still shown.

The texts in fixtures/bridge-cni are from worker3 of the real cluster with the CNI plugin `bridge`, 2026-11-25.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
from namespaces import require_namespaces, require_programs

from conftest import REPO
from kitlib.cluster import differences
from kitlib.errors import NotRecorded
from kitlib.lab import Lab, open_lab
from kitlib.netfilter.compare import traced_paths
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip, iptables_save, xtables_monitor
from kitlib.place import Node
from kitlib.result import Result

BRIDGE = {file.stem: file.read_text() for file in (REPO / "tests/fixtures/bridge-cni").iterdir()}


USUAL = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"


def cluster(addresses: str, routes: str, tables: str | Result, pods: str = "10.244.0.0/16", rules: str = USUAL):
    """A cluster of which is only known what one node prints; a Result is a command that failed."""
    prints = {"ip addr": addresses, "ip route": routes, "nft list tables": tables, "ip rule": rules}

    def run(place, argv):
        if (text := prints.get(shlex.join(argv))) is None:
            raise NotRecorded(shlex.join(argv))
        return text if isinstance(text, Result) else Result(shlex.join(argv), argv, 0, text)

    node = Node("node:n", "n", "node", "n", "", SimpleNamespace(run=run), pod_range="10.244.2.0/24")
    return SimpleNamespace(coredns=[SimpleNamespace(node=node)], nodes=[node], ranges=SimpleNamespace(pods=pods),
                           pods_without_node=(), services=())


def test_a_bridge_is_told_by_its_name():
    sentence, = differences(cluster(BRIDGE["ip-addr"], BRIDGE["ip-route"], BRIDGE["nft-tables"]))
    assert sentence.startswith("The CNI has a bridge, cni0")


@pytest.mark.parametrize(("changed", "said"), [
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "kube-ipvs0")}, "Services are in IPVS (kube-ipvs0)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "kube-dummy-if")}, "Services are in IPVS (kube-dummy-if)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "ovs-system")}, "through flows of Open vSwitch at ovs-system"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "genev_sys_6081")}, "encapsulated (Geneve at genev_sys_6081)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "tunl0")}, "encapsulated (IPIP at tunl0)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "nodelocaldns")}, "DNS cache of its own (nodelocaldns)"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "flannel.1")}, "encapsulated (VXLAN at flannel.1): a node's eth0"),
    ({"addresses": BRIDGE["ip-addr"].replace("cni0", "cilium_host")}, "through eBPF programs of Cilium at cilium_host"),
    ({"tables": "table ip nat\ntable ip kube-proxy\n"}, "nftables mode"),
    ({"tables": "table ip nat\ntable inet cali\n"}, "tables beside those of iptables (table inet cali)"),
    ({"tables": "table ip nat\ntable inet filter\n"}, "tables beside those of iptables (table inet filter)"),
    ({"tables": Result("nft list tables", (), 127, "", "nft: not found")}, "Exit code 127: nft: not found"),
    ({"rules": f"{USUAL}100:\tfrom 10.0.0.0/8 lookup 2\n"}, "(100: from 10.0.0.0/8 lookup 2)"),
    ({"pods": "10.244.0.0/16,fd00:10:244::/56"}, "two address families, 10.244.0.0/16,fd00:10:244::/56")])
def test_every_other_difference_is_told(changed, said):
    plain = {"addresses": BRIDGE["ip-addr"], "routes": "", "tables": BRIDGE["nft-tables"]}
    assert differences(cluster(**plain)) == ()
    sentence, = differences(cluster(**{**plain, **changed}))
    assert said in sentence


def test_a_tunnel_that_nobody_uses_is_no_difference():
    unused = "9: tunl0@NONE: <NOARP> mtu 1480 qdisc noop state DOWN group default\n    link/ipip 0.0.0.0 brd 0.0.0.0\n"
    assert differences(cluster(BRIDGE["ip-addr"] + unused, "", BRIDGE["nft-tables"])) == ()


def listed(**objects: list) -> Lab:
    """A cluster of which kubectl lists these objects, and nothing else is known."""
    def run(place, argv):
        if not (kind := {*argv} & objects.keys()):
            raise NotRecorded(shlex.join(argv))
        return Result("", argv, 0, json.dumps({"kind": "List", "items": objects[kind.pop()]}))

    return Lab(SimpleNamespace(name="x", live=False, run=run))


def named(name: str, namespace: str = "default", labels: tuple = (), **parts) -> dict:
    return {"metadata": {"name": name, "namespace": namespace, "labels": dict.fromkeys(labels, "")},
            "spec": {}, **parts}


@pytest.mark.parametrize("role", ["control-plane", "controlplane", "master"])
@pytest.mark.parametrize("namespace, service", [("kube-system", "kube-dns"), ("openshift-dns", "dns-default"),
                                                ("kube-system", "rke2-coredns-rke2-coredns")])
def test_who_is_who_does_not_hang_on_kinds_names(role: str, namespace: str, service: str):
    """One node, a DNS Service of another name, and pods that wait, have ended, or were on a node that is gone."""
    node = named("n1", labels=(f"node-role.kubernetes.io/{role}",), status={"addresses": []})
    states = (("dns", "n1", "10.0.0.7", "Running"), ("waits", "", "", "Pending"), ("lost", "n0", "", "Running"),
              ("job", "n1", "10.0.0.7", "Succeeded"))
    pods = [named(name, namespace, spec={"nodeName": at, "dnsPolicy": "Default"},
                  status={"podIP": address, "phase": phase}) for name, at, address, phase in states]
    port = {"name": "dns", "port": 53, "protocol": "UDP"}
    behind = named("s", namespace, addressType="IPv4", ports=[port | {"port": 5353}],
                   endpoints=[{"addresses": ["10.0.0.7"], "conditions": {}}])
    behind["metadata"]["labels"] = {"kubernetes.io/service-name": service}
    lab = listed(nodes=[node], pods=pods, endpointslices=[behind], services=[
        named(name, where, spec={"type": "ClusterIP", "clusterIP": address, "ports": [port]})
        for name, where, address in (("mine", "default", "10.9.0.1"), (service, namespace, "10.9.0.10"))])
    assert (lab.dns_address, lab.dns_ports, lab.control_plane.title) == ("10.9.0.10", (53, 5353), "n1")
    assert [(pod.name, pod.kind) for pod in lab.every_pod] == [("dns", "coredns")] and lab.coredns == lab.every_pod
    assert f"run on no node, and are not looked into: {namespace}/waits" in differences(lab)[0]
    assert "no nodes" in differences(listed(nodes=[]))[0]
    assert (f"Several Services answer at port 53 ({namespace}/{service}, default/mine): the first is taken for the "
            "cluster's DNS.") in differences(lab)


def test_a_pod_that_only_shares_its_nodes_address_with_coredns_is_not_taken_for_it():
    node = named("n1", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}]})
    pods = [named(name, "kube-system", spec={"nodeName": "n1", "dnsPolicy": "Default", "hostNetwork": True},
                  status={"podIP": "10.0.0.7", "phase": "Running"}) for name in ("coredns", "kube-proxy")]
    behind = named("s", "kube-system", addressType="IPv4", ports=[], endpoints=[
        {"addresses": ["10.0.0.7"], "targetRef": {"kind": "Pod", "name": "coredns"}}])
    behind["metadata"]["labels"] = {"kubernetes.io/service-name": "kube-dns"}
    lab = listed(nodes=[node], pods=pods, endpointslices=[behind], services=[])
    assert [(pod.name, pod.kind) for pod in lab.every_pod] == [("coredns", "coredns"), ("kube-proxy", "pod")]


def test_what_a_recording_was_not_asked_is_no_difference():
    assert differences(cluster(None, None, None, rules=None)) == ()


def test_a_recorded_cluster_is_told_of_too(monkeypatch):
    lab = open_lab()
    assert differences(lab) == ()
    monkeypatch.setattr(Node, "nft_tables", lambda node: ["table ip kube-proxy"])
    assert "nftables mode" in repr(lab)


def test_the_control_plane_is_found_by_its_role_whatever_its_address():
    lab = open_lab()
    vars(lab)["nodes"] = tuple(reversed(lab.nodes))
    assert lab.control_plane.name == "kind-test1-control-plane" and lab.ranges.services == "10.96.0.0/16"


def test_the_client_is_who_was_chosen_or_the_walkthroughs_or_who_has_dig(monkeypatch):
    assert open_lab().client.title == "my-nginx"
    monkeypatch.setattr("kitlib.lab.WALKTHROUGH_POD", "no such pod")
    assert open_lab().client.title == "neighbour"
    monkeypatch.setenv("KITLIB_POD", "dns-none")
    assert open_lab().client.title == "dns-none"


def test_without_a_recorded_table_the_kernels_own_routes_are_known(monkeypatch):
    node = open_lab().node("worker3")
    recorded = {(route.destination, route.type) for route in node.netfilter().routes
                if route.table == "local" and ":" not in route.destination}
    forget(node, "ip", "route", "show", "table", "all")
    worked_out = {(route.destination, route.type) for route in node.netfilter().routes if route.table == "local"}
    assert worked_out == recorded and ("127.0.0.0/8", "local") in worked_out
    assert node.netfilter().type_of("172.20.255.255") == "BROADCAST"


def test_what_else_decides_about_packets_leaves_the_walk_undecided(monkeypatch):
    node = open_lab().node("worker3")
    names = ("cilium_host", "ovs-system")
    monkeypatch.setattr(Node, "interfaces", lambda node: [ip.Interface(9, name, "", 1500, "UP") for name in names])
    assert node.netfilter().unknown == ("eBPF programs of Cilium at cilium_host", "flows of Open vSwitch at ovs-system")


@pytest.mark.parametrize(("table", "words"), [
    ("table inet cali", "table inet cali"), ("table inet filter", "table inet filter"), ("table ip6 nat", ""),
    ("table ip nat", ""), ("table ip raw", "table ip raw, which iptables-save does not print")])
def test_tables_of_nftables_that_iptables_save_does_not_print_are_named(table, words):
    node = open_lab().node("worker3")
    facts, argv = node.runner.backend.recording.facts, ("nft", "list", "tables")
    assert node.netfilter().unknown == ()
    facts[node.id, argv] = replace(facts[node.id, argv], stdout=f"{facts[node.id, argv].stdout}{table}\n")
    assert node.netfilter().unknown == ((f"the rules of nftables in {words}",) if words else ())


def forget(node: Node, *argv: str) -> None:
    """Take a command out of the recording of the node's lab."""
    del node.runner.backend.recording.facts[node.id, argv]


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


@pytest.mark.parametrize(("rule", "ends"), [
    ("-i cni0 -j DROP", {"is dropped"}), ("-i vetheb07a2b3 -j DROP", {"goes out of eth0"}),
    ("-m physdev --physdev-is-bridged -j DROP", {"is dropped", "goes out of eth0"}),
    ("-m physdev ! --physdev-in vetheb07a2b3 -j DROP", {"is dropped", "goes out of eth0"})])
def test_what_was_seen_at_a_bridges_port_comes_in_by_the_bridge(rule, ends):
    """By which port, the rules know only where br_netfilter is on."""
    kernel = Netfilter(iptables_save.parse(f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {rule}\nCOMMIT\n"),
                       ip.routes(BRIDGE["ip-route"]), ip.interfaces(BRIDGE["ip-addr"]),
                       settings={f"net.ipv4.conf.{at}.rp_filter": 1 for at in ("all", "cni0", "vetheb07a2b3")})
    found = simulate(kernel, Packet("10.244.2.2", "10.96.0.10", "udp", 40000, 53, "vetheb07a2b3"))
    assert {path.end for path in found} == ends and found[0].packet.in_interface == "cni0"


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
