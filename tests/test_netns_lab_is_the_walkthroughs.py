"""The netns lab has the rules, routes and names of the recorded cluster, and its queries go the same way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from namespaces import require_namespaces

from kitlib import open_lab
from kitlib.errors import KitError
from kitlib.lab import Lab
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import LAB, parse, read
from netns_lab.rules import ruleset

NAMES = r"veth[0-9a-f]{7,8}|cni-[0-9a-f-]{36}|br-\w+"       # made up for each cluster anew
THIRD_COREDNS = """
[[pods]]
metadata = { namespace = "kube-system", name = "coredns-66bc5c9577-third", labels = { k8s-app = "kube-dns" } }
spec = { nodeName = "kind-test1-worker", dnsPolicy = "Default" }
status = { podIP = "10.244.1.2" }

[[services]]
metadata = { namespace = "default", name = "nobody" }
[services.spec]
type = "ClusterIP"
clusterIP = "10.96.7.7"
selector = { run = "nobody" }
ports = [{ port = 53, protocol = "UDP", targetPort = 53 }]

[upstream]"""


@pytest.fixture(scope="module")
def recorded() -> Lab:
    return open_lab("recorded")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_namespaces()
    holder = up(read(), f"walkthrough-{os.getpid()}")
    yield Lab(NetnsLab(holder))
    holder.end()


def rules(text: str) -> list[str]:
    """The rules, without what is each cluster's own: the port of Docker's resolver, an accounting object, spelling."""
    text = re.sub(r" -m nfacct --nfacct-name +\S+", "", re.sub(r"127\.0\.0\.11:\d+|--sport \d{4,}", "PORT", text))
    return sorted(re.sub(r"(0\.\d{10})\d+", r"\1", line) for line in text.splitlines() if line.startswith("-A"))


def test_the_rules_are_those_that_kube_proxy_and_kind_wrote(recorded) -> None:
    for node in recorded.nodes:
        assert rules(ruleset(read())) == rules(node.run("iptables-save").stdout)


def test_the_kernel_has_taken_them_as_they_are(lab) -> None:
    for node in lab.nodes:
        assert rules(node.run("iptables-save").stdout) == rules(ruleset(read()))


def test_addresses_and_routes_are_the_same(lab, recorded) -> None:
    for place in (*recorded.nodes, recorded.pod("my-nginx")):
        here = lab.node(place.name) if place in recorded.nodes else lab.pod(place.name)
        # The recorded control plane once gave a pod range to a node that has come again since.
        then = [line for line in place.run("ip", "route").stdout.splitlines() if not line.startswith("10.244.4.0")]
        now = here.run("ip", "route").stdout.splitlines()
        assert sorted(re.sub(NAMES, "NAME", line).strip() for line in now) == \
            sorted(re.sub(NAMES, "NAME", line).strip() for line in then)
        assert here.interface("eth0").addresses[0] == place.interface("eth0").addresses[0]


def test_every_pod_has_its_resolver_settings_and_its_name(lab, recorded) -> None:
    for pod in lab.pods():
        then = recorded.pod(pod.name)
        assert (pod.address, pod.machine, pod.kind, pod.host_network) == \
            (then.address, then.machine, then.kind, then.host_network)
        if pod.kind == "pod":        # nobody was in a CoreDNS pod while it was recorded
            assert pod.resolv_conf() == then.resolv_conf()
            assert pod.run("hostname").stdout == then.run("hostname").stdout
            assert pod.run("hostname", "-i").stdout == then.run("hostname", "-i").stdout


def test_the_places_and_ranges_are_the_same(lab, recorded) -> None:
    assert [(node.id, node.address, node.role, node.pod_range) for node in lab.nodes] == \
        [(node.id, node.address, node.role, node.pod_range) for node in recorded.nodes]
    assert lab.ranges == recorded.ranges and lab.services and {at.id for at in lab.containers} == \
        {at.id for at in recorded.containers}
    assert {(service.name, service.cluster_ip) for service in lab.services} == \
        {(service.name, service.cluster_ip) for service in recorded.services}
    said = lab.host.run("kubectl", "get", "services", "-A")
    assert "no Kubernetes" in said.note and said.stdout.split()[:5] == \
        ["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP"]
    with pytest.raises(KitError, match="it answers: docker container ls"):
        lab.host.run("kubectl", "delete", "pod", "neighbour")


@pytest.mark.parametrize("client", ["my-nginx", "neighbour"])
def test_a_query_passes_the_same_points_in_the_same_order(lab, recorded, client: str) -> None:
    def client_leg(lab: Lab) -> list[tuple[str, str]]:
        with lab.capture() as seen:
            lab.pod(client).dig("www.example.com")
        return [(re.sub(NAMES, "NAME", hop.sighting.point.title.replace("10.244.0.3", "10.244.0.2")),
                 hop.sighting.direction) for hop in seen.journey().client_leg.hops]
    assert client_leg(lab) == client_leg(recorded)


def test_a_node_and_a_machine_outside_are_masqueraded(lab) -> None:
    for client in (lab.node("worker3"), lab.container("outside")):
        with lab.capture(*lab.coredns) as seen:
            assert client.dig("@10.96.0.10", "+short", "www.example.com").stdout == "93.184.216.34\n"
        at_coredns = [one for pod in lab.coredns for one in seen.at(pod) if one.direction == "query"
                      and one.source.address == lab.node("worker3").address]
        assert at_coredns, client.title


@pytest.mark.parametrize("kind", ["nodes", "pods", "services", "endpointslices"])
def test_kubectls_tables_have_its_columns(lab, recorded, kind: str) -> None:
    for options in ((), ("-A",), ("-o", "wide"), ("-A", "-o", "wide")):
        asked = ("kubectl", "get", kind, *options)
        if ("host", asked) in recorded.backend.recording.facts:
            heading, *_ = recorded.host.run(*asked).stdout.splitlines()
            ours, *rows = lab.host.run(*asked).stdout.splitlines()
            columns = ours.split()
            assert set(columns) <= set(heading.split()) and all(len(row.split()) == len(columns) for row in rows)


def test_names_are_answered_as_coredns_answers(lab) -> None:
    pod = lab.pod("my-nginx")

    def said(*words: str) -> str:
        return pod.dig("+noall", "+comments", "+answer", *words).stdout

    for nobodys in ("www.example.com.default.svc.cluster.local", "no.example.org"):
        assert "status: NXDOMAIN" in said(nobodys)
    assert "10.96.86.215" in said("my-nginx.default.svc.cluster.local")
    assert "kube-dns.kube-system.svc.cluster.local." in said("-x", "10.96.0.10")
    assert "status: NOERROR" in (aaaa := said("AAAA", "my-nginx.default.svc.cluster.local")) and "ANSWER: 0" in aaaa
    assert "CNAME\twww.example.com." in said("alias.example.com")
    assert "Truncated, retrying in TCP mode" in pod.dig("TXT", "big.example.com").stdout
    ttl = int(re.search(r"^www\.example\.com\.\s+(\d+)", said("www.example.com"), re.MULTILINE)[1])
    assert ttl <= 30 and "86400" in lab.container("upstream-dns").dig("@172.20.0.53", "www.example.com").stdout


def test_a_command_that_looks_like_an_option_is_a_program_that_is_not_there(lab) -> None:
    assert lab.client.run("--version").rc == 127


def test_another_description_gives_another_lab() -> None:
    require_namespaces()
    text = LAB.read_text()
    assert text.count("\n[upstream]") == 1
    holder = up(parse(text.replace("\n[upstream]", THIRD_COREDNS)), f"third-{os.getpid()}")
    try:
        lab = Lab(NetnsLab(holder))
        saved = lab.node("worker3").run("iptables-save").stdout
        coins = re.findall(r'kube-dns:dns -> (\S+)" (?:-m statistic --mode random --probability (\S+) )?', saved)
        assert [(end, chance[:7]) for end, chance in coins] == \
            [("10.244.0.2:53", "0.33333"), ("10.244.0.3:53", "0.50000"), ("10.244.1.2:53", "")]
        assert 'default/nobody has no endpoints" -m udp --dport 53 -j REJECT' in saved
        assert "connection refused" in lab.pod("my-nginx").dig("@10.96.7.7", "+tries=1", "+time=2", "x").stdout
        asked = {lab.pod("my-nginx").dig("+short", f"@{at.address}", "www.example.com").stdout for at in lab.coredns}
        assert len(lab.coredns) == 3 and asked == {"93.184.216.34\n"}
    finally:
        holder.end()


@pytest.mark.parametrize("right, wrong, says", [
    ("cluster = ", "clutter = ", "'cluster' is missing"), ("[network]", "[networks]", "'network' is missing"),
    ("podIP", "podAddress", "'podIP' is missing"), ("[[nodes]]", "[[nodes]", "Expected ']]'")])
def test_a_damaged_description_is_one_clear_error(tmp_path, right: str, wrong: str, says: str) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(LAB.read_text().replace(right, wrong))
    with pytest.raises(KitError, match=f"{re.escape(str(path))}: .*{re.escape(says)}"):
        read(path)
