"""The netns lab in nftables mode has the recorded cluster's rules; a query goes the same way as in iptables mode."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from namespaces import processes_of_labs, require_namespaces, traced_at

from kitlib import open_lab
from kitlib.errors import KitError
from kitlib.lab import Lab
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.nft_compare import traced_by_nft
from kitlib.netfilter.nft_kube_proxy import endpoints, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.simulate import simulate
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import LAB, Description, parse, read
from netns_lab.rules import nft_ruleset
from recorder.backend import Recorder
from recorder.validate import validate

NAME = f"nftables-{os.getpid():07}"     # looked for in command lines: no name may begin another
NODES = ("worker3", "control-plane")


@pytest.fixture(scope="module")
def recorded() -> Lab:
    return open_lab(recording="kind-test1-nftables")


@contextmanager
def lab_of(description: Description, name: str) -> Iterator[Lab]:
    require_namespaces()
    holder = up(description, name)
    yield Lab(NetnsLab(holder))
    holder.end()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of(read(mode="nftables"), NAME) as opened:
        yield opened
    deadline = time.monotonic() + 1
    while (left := [line for line in processes_of_labs() if NAME in line]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def table(lab: Lab, node: str, family: str) -> dict[str, list[str]]:
    """kube-proxy's chains, sets and maps as nft lists them: each with its lines, in any order."""
    text = lab.node(node).run("nft", "list", "ruleset").stdout
    body = re.search(rf"^table {family} kube-proxy \{{\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE)[1]
    blocks = re.findall(r"^\t((?:set|map|chain) \S+) \{\n(.*?)^\t\}", body, re.DOTALL | re.MULTILINE)
    return {name: sorted(re.split(r",\s+|\n\t+|= \{ | \}", lines.strip())) for name, lines in blocks}


@pytest.mark.parametrize(("family", "parts"), [("ip", 36), ("ip6", 22)])
@pytest.mark.parametrize("node", ["worker3", "control-plane", "worker", "worker2"])
def test_the_tables_are_those_that_kube_proxy_wrote(lab, recorded, node: str, family: str, parts: int) -> None:
    ours, theirs = table(lab, node, family), table(recorded, node, family)
    assert ours == theirs and len(theirs) == parts


def test_what_is_not_kube_proxys_stays_in_iptables(lab, recorded) -> None:
    def rules(lab: Lab) -> list[str]:
        text = lab.node("worker3").run("iptables-save").stdout
        return sorted(re.sub(r"127\.0\.0\.11:\d+|--sport \d{4,}", "PORT", line) for line in text.splitlines()
                      if line.startswith("-A"))
    assert rules(lab) == rules(recorded)


def test_a_query_passes_the_same_points_as_in_iptables_mode(lab) -> None:
    other = open_lab("recorded")

    def hops(lab: Lab) -> list[tuple[str, str]]:
        with lab.capture() as seen:
            lab.pod("my-nginx").dig("www.example.com")
        return [(re.sub(r"veth[0-9a-f]+|br-\w+", "NAME", hop.sighting.point.title.replace("10.244.0.3", "10.244.0.2")),
                 hop.sighting.direction) for hop in seen.journey().client_leg.hops]
    assert hops(lab) == hops(other)


def test_services_of_every_kind_load(lab) -> None:
    service = """
[[services]]
metadata = { namespace = "default", name = "%s" }
[services.spec]
type = "NodePort"
clusterIP = "10.96.7.%d"
externalIPs = ["172.20.9.%d"]
sessionAffinity = "ClientIP"
selector = { %s }
ports = [{ port = 53, protocol = "UDP", targetPort = 53, nodePort = 3005%d }]

"""
    more = service % ("kept", 7, 7, 'run = "my-nginx"', 7) + service % ("nobody", 8, 8, 'run = "nobody"', 8)
    description = parse(LAB.read_text().replace("\n[upstream]", more + "[upstream]"))
    node = lab.node("worker3")
    text = nft_ruleset(description, description.nodes[0])
    loaded = lab.backend.holder.file("more.nft")
    loaded.write_text(text)
    assert node.run("nft", "-c", "-f", "/run/lab/more.nft").stderr == ""
    for part in ("udp . 30057 : goto external-", "udp . 30058 : goto reject-chain", "update @affinity-",
                 "172.20.9.7 . udp . 53 : goto external-", "10.96.7.8 . udp . 53 : goto reject-chain",
                 "timeout 10800s"):
        assert part in text


def test_a_mode_that_kube_proxy_has_not_is_refused() -> None:
    with pytest.raises(KitError, match=r"mode is 'ipvs'.*iptables and nftables"):
        read(mode="ipvs")


def traced(lab: Lab):
    with lab.capture(pod := lab.pod("my-nginx"), pod.node, trace=True) as seen:
        pod.dig("www.example.com")
    return seen


def test_the_walk_equals_the_kernels_trace_on_both_nodes(lab) -> None:
    seen = traced(lab)
    paths = {node: seen.traced_paths(lab.node(node)) for node in NODES}
    assert [one.differences for found in paths.values() for one in found if one.differences] == []
    assert all({"NEW" in one.path.packet.states for one in found} == {True, False} for found in paths.values())
    first = seen.traced_query(lab.node("worker3"))
    assert first.path.jump("service-FY") == "service-FY5PMXPG-kube-system/kube-dns/udp/dns"
    assert "kitlib-trace" not in seen.trace(lab.node("worker3")).stdout


def test_no_table_of_ours_is_left_and_others_questions_are_not_traced(lab) -> None:
    node, pod = lab.node("worker3"), lab.pod("my-nginx")
    with traced_at(lab, node, pod) as seen:
        assert node.run("nft", "list", "tables").stdout.count("kitlib-trace") == 1
        pod.dig(".".join(["abcdefghij"] * 12))       # more than nft compares at once
    assert "kitlib-trace" not in node.run("nft", "list", "tables").stdout
    assert len(seen.traced_paths(node)) >= 2
    with pytest.raises(RuntimeError), traced_at(lab, node, pod):
        raise RuntimeError
    assert "kitlib-trace" not in node.run("nft", "list", "tables").stdout


@pytest.mark.parametrize("chain", ["services", "filter-forward", "nat-postrouting"])
def test_a_rule_that_the_kernel_has_and_the_walk_has_not_is_noticed(lab, chain: str) -> None:
    node = lab.node("worker3")
    before = node.run("nft", "-j", "list", "ruleset")
    added = node.run("nft", "-a", "-e", "insert", "rule", "ip", "kube-proxy", chain, "counter").text
    try:
        with lab.backend.capture((), [node.id]) as data:
            lab.pod("my-nginx").dig("www.example.com")
    finally:
        handle = re.search(r"# handle (\d+)", added)[1]
        node.run("nft", "delete", "rule", "ip", "kube-proxy", chain, "handle", handle)
    trace = data.traces[node.id]
    found = traced_by_nft(node.netfilter(trace.rules, before), trace.words.text, trace.listing.text)
    assert any(one.differences for one in found)


def test_a_recording_of_it_replays_and_validates(lab, tmp_path) -> None:
    live = Lab(Recorder(lab.backend, tmp_path / "mine"))
    seen = traced(live)
    node = live.node("worker3")
    expected = seen.trace(node).stdout, seen.traced_paths(node)
    assert live.topology and validate(tmp_path / "mine") == []
    again = traced(open_lab(recording=tmp_path / "mine"))
    assert (again.trace(node).stdout, again.traced_paths(node)) == expected


SIX = """
[[endpointslices]]
metadata = { namespace = "kube-system", name = "kube-dns-6", labels = { "kubernetes.io/service-name" = "kube-dns" } }
addressType = "IPv6"
endpoints = [{ addresses = ["fd00:10:244::2"] }, { addresses = ["fd00:10:244::3"] }]
ports = [{ name = "dns", port = 53, protocol = "UDP" }]

[upstream]"""
ON_THE_NODE = """sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
ip -6 addr add fd00:172::4/64 dev eth0 nodad
ip -6 addr add fd00:10:244:2::1/64 dev {veth} nodad
ip -6 route add fd00:10:244::/64 via fd00:172::2 dev eth0
ip -6 route add default dev eth0
ip -6 neigh add fd00:172::2 lladdr 02:42:ac:14:00:02 dev eth0
ip -6 neigh add fd00:10:244:2::3 lladdr {pod} dev {veth}"""
IN_THE_POD = """sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip -6 addr add fd00:10:244:2::3/64 dev eth0 nodad
ip -6 route add default via fd00:10:244:2::1
ip -6 neigh add fd00:10:244:2::1 lladdr {node} dev eth0"""


@pytest.fixture(scope="module")
def dual() -> Iterator[Lab]:
    """A lab whose DNS Service has an address of each family; the pod and its node are given those of IPv6 here."""
    text = LAB.read_text().replace('mode = "iptables"', 'mode = "nftables"').replace("\n[upstream]", SIX)
    text = text.replace('"10.244.0.0/16"', '"10.244.0.0/16,fd00:10:244::/56"', 1)
    address = 'clusterIP = "10.96.0.10"'
    text = text.replace(address, f'{address}\nclusterIPs = ["10.96.0.10", "fd00:10:96::a"]')
    with lab_of(parse(text), f"dual-{os.getpid():07}") as lab:
        pod, node, veth = lab.client, lab.client.node, lab.client.veth.interface
        macs = {"veth": veth, "pod": pod.interface("eth0").mac, "node": node.interface(veth).mac}
        for place, text in ((node, ON_THE_NODE), (pod, IN_THE_POD)):
            for line in text.format(**macs).splitlines():
                assert place.run(*line.split()).rc == 0, line
        yield lab


SERVERS = {"fd00:10:96::a": {"fd00:10:244::2", "fd00:10:244::3"}, "10.96.0.10": {"10.244.0.2", "10.244.0.3"},
           "fd00:172::2": {"fd00:172::2"}}


@pytest.fixture(scope="module")
def first_packets(dual: Lab) -> dict[str, TracedPath]:
    """Of a query to each of these servers, the first packet that the pod's node traced."""
    with traced_at(dual, dual.client.node, dual.client) as seen:
        for server in SERVERS:
            dual.client.run("dig", f"@{server}", "+tries=1", "+timeout=1", "www.example.com")
    paths = seen.traced_paths(dual.client.node)
    return {server: next(one for one in paths if one.path.packet.destination == server) for server in SERVERS}


@pytest.mark.parametrize("server", SERVERS)
def test_the_family_of_a_packet_chooses_the_table_and_the_kernel_agrees(dual: Lab, first_packets, server: str) -> None:
    first = first_packets[server]
    assert not first.differences
    tables = {step.table for step in first.path.hook_steps if "kube-proxy" in step.table}
    assert tables == {"ip6 kube-proxy" if ":" in server else "ip kube-proxy"}
    paths = simulate(dual.client.node.netfilter(), first.path.packet)
    assert {path.after.destination for path in paths} == SERVERS[server]


def test_what_if_and_a_port_that_no_service_has_in_ipv6(dual: Lab) -> None:
    kernel = dual.client.node.netfilter().of("fd00:10:96::a")
    packet = Packet("fd00:10:244:2::3", "fd00:10:96::a", "udp", 40000, 53, dual.client.veth.interface)
    service = kernel.nft.chain("ip6 kube-proxy", "service-FY5PMXPG-kube-system/kube-dns/udp/dns")
    one = replace(kernel, nft=with_endpoints(kernel.nft, service, ["[fd00:10:244::2]:53"]))
    again = with_endpoints(one.nft, one.nft.chain(service.table, service.name), endpoints(kernel.nft, service))
    assert {path.after.destination for path in simulate(one, packet)} == {"fd00:10:244::2"}
    assert again.tables[service.table].chains.keys() == kernel.nft.tables[service.table].chains.keys()
    refused, = simulate(kernel, packet._replace(dport=54))
    assert refused.end == "is rejected" and any(
        "nearest: fd00:10:96::a . udp . 53 (has 53, not 54)" in step.why for step in refused.steps)
