"""Every text parser gives the facts that stand in text recorded from a real cluster."""

from __future__ import annotations

import json

import pytest

from conftest import fixture_text
from kitlib.drawings.queries import settings_table
from kitlib.parsers import docker, kubernetes, resolv_conf
from kitlib.parsers.docker import Attachment
from kitlib.parsers.kubernetes import Endpoint, Port
from kitlib.parsers.process_flags import flag


def table(name: str) -> list[list[str]]:
    """The rows of a kubectl table without its heading; no value in these tables is empty."""
    return [line.split() for line in fixture_text(name).splitlines()[1:]]


def test_docker_network_is_read_with_its_bridge():
    network, = docker.networks(fixture_text("docker/network-inspect-kind.json"))
    assert (network.name, network.subnet, network.gateway) == ("kind", "172.20.0.0/16", "172.20.0.1")
    assert network.bridge == "br-13ebef48a9f1"
    assert {member.container: member.address for member in network.attachments}["upstream-dns"] == "172.20.0.53"


def test_a_bridge_named_by_option_and_an_ipv6_range_first():
    recorded = json.loads(fixture_text("docker/network-inspect-kind.json"))
    recorded[0]["Options"] = {"com.docker.network.bridge.name": "lab0"}
    recorded[0]["IPAM"]["Config"].insert(0, {"Subnet": "fc00:f853:ccd:e793::/64"})
    network, = docker.networks(json.dumps(recorded))
    assert (network.bridge, network.subnet) == ("lab0", "172.20.0.0/16")
    recorded[0]["Driver"] = "macvlan"
    assert docker.networks(json.dumps(recorded))[0].bridge == ""


@pytest.mark.parametrize("node", ["control-plane", "worker", "worker2", "worker3"])
def test_the_network_knows_of_a_node_what_docker_inspect_says_of_it(node):
    name = f"kind-test1-{node}"
    end = json.loads(fixture_text(f"docker/inspect-{name}.json"))[0]["NetworkSettings"]["Networks"]["kind"]
    network, = docker.networks(fixture_text("docker/network-inspect-kind.json"))
    attachment, = [each for each in network.attachments if each.container == name]
    assert attachment == Attachment(name, "kind", end["IPAddress"], end["IPPrefixLen"], end["Gateway"],
                                    end["MacAddress"])


def test_pods_say_what_the_table_says():
    found = kubernetes.pods(fixture_text("kubectl/pods.json"))
    expected = [(row[0], row[5], row[6]) for row in table("kubectl/pods.txt")]
    assert [(pod.name, pod.address, pod.node) for pod in found] == expected
    by_name = {pod.name: pod for pod in found}
    assert {name: (pod.host_network, pod.dns_policy) for name, pod in by_name.items() if "-8" not in name} == {
        "dns-default": (False, "Default"),
        "dns-none": (False, "None"),
        "host-client": (True, "ClusterFirstWithHostNet"),
        "host-client-clusterfirst": (True, "ClusterFirst"),
        "neighbour": (False, "ClusterFirst"),
    }


def test_a_single_object_is_read_like_a_list_of_one():
    pod, = kubernetes.pods(fixture_text("kubectl/pod-my-nginx.json"))
    assert pod in kubernetes.pods(fixture_text("kubectl/pods.json"))
    assert (pod.namespace, pod.labels["run"]) == ("default", "my-nginx")


def test_a_pod_that_is_not_scheduled_has_no_node_and_no_address():
    pending = json.loads(fixture_text("kubectl/pod-my-nginx.json"))
    del pending["spec"]["nodeName"]
    pending["status"] = {"phase": "Pending"}
    pod, = kubernetes.pods(json.dumps(pending))
    assert (pod.node, pod.address) == ("", "")


def test_services_say_what_the_table_says():
    found = kubernetes.services(fixture_text("kubectl/services.json"))
    shown = [[s.namespace, s.name, s.type, s.cluster_ip,
              ",".join(f"{p.port}/{p.protocol}" for p in s.ports)] for s in found]
    assert shown == [[*row[:4], row[5]] for row in table("kubectl/services.txt")]
    kube_dns = next(service for service in found if service.name == "kube-dns")
    assert kube_dns.ports[0] == Port("dns", 53, "UDP")


def test_endpoints_say_what_the_table_says():
    found = kubernetes.endpoints(fixture_text("kubectl/endpointslices.json"))
    shown = [(e.namespace, {str(p.port) for p in e.ports}, {x.address for x in e.endpoints})
             for e in found]
    assert shown == [(row[0], set(row[3].split(",")), set(row[4].split(",")))
                     for row in table("kubectl/endpointslices.txt")]
    my_nginx = next(each for each in found if each.service == "my-nginx")
    assert my_nginx.endpoints == (Endpoint("10.244.2.3", True, "my-nginx-84bbfd8fd5-qbh65"),)


def test_an_endpoint_is_ready_unless_it_says_otherwise():
    recorded = json.loads(fixture_text("kubectl/endpointslices.json"))
    recorded["items"][1]["endpoints"][0]["conditions"]["ready"] = False
    recorded["items"][0]["endpoints"][0]["conditions"] = {}
    recorded["items"][2]["endpoints"] = None          # what Kubernetes writes for a Service without pods
    first, second, third = kubernetes.endpoints(json.dumps(recorded))
    assert (first.endpoints[0].ready, second.endpoints[0].ready, third.endpoints) == (True, False, ())


def test_nodes_say_what_the_table_says():
    found = kubernetes.nodes(fixture_text("kubectl/nodes.json"))
    assert [[node.name, ",".join(node.roles) or "<none>", node.address] for node in found] \
        == [[row[0], row[2], row[5]] for row in table("kubectl/nodes.txt")]
    assert {node.name: node.pod_cidr for node in found}["kind-test1-control-plane"] == "10.244.0.0/24"


def test_the_controller_manager_knows_the_pod_and_the_service_range():
    listing = fixture_text("ps/control-plane.txt")
    assert flag(listing, "kube-controller-manager", "cluster-cidr") == "10.244.0.0/16"
    assert flag(listing, "kube-controller-manager", "service-cluster-ip-range") == "10.96.0.0/16"


def test_flags_may_stand_with_one_dash_apart_from_their_value_or_alone():
    listing = fixture_text("ps/control-plane.txt").splitlines()[0] + \
        "\nroot  7  1  0 08:59 ?  00:00:01 /usr/bin/tool run -namespace k8s.io --verbose --to=a=b --last\n"
    for name, value in {"namespace": "k8s.io", "verbose": "true", "to": "a=b", "last": "true"}.items():
        assert flag(listing, "tool", name) == value


def test_what_the_api_leaves_open_is_no_error():
    """A slice's port may be null or without protocol, a node without addresses as long as its cloud has given none."""
    slice_ = {"kind": "EndpointSlice", "metadata": {"namespace": "a", "name": "x"}, "addressType": "IPv4",
              "ports": [{"name": None, "port": None}, {"port": 53}],
              "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Node", "name": "n"}}]}
    found, = kubernetes.endpoints(json.dumps(slice_))
    assert (found.ports, found.endpoints) == ((Port("", 53, "TCP"),), (Endpoint("10.0.0.1", True),))
    node, = kubernetes.nodes(json.dumps({"kind": "Node", "metadata": {"name": "n"}, "spec": {}, "status": {}}))
    assert node.address == ""


def test_resolv_conf_of_a_pod():
    conf = resolv_conf.parse(fixture_text("resolv_conf/pod.txt"))
    assert conf.nameservers == conf.nameservers_asked == ("10.96.0.10",)
    assert conf.search == ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
    assert (conf.ndots, conf.timeout, conf.attempts) == (5, 5, 2)


def test_resolv_conf_keeps_options_word_for_word():
    assert resolv_conf.parse(fixture_text("resolv_conf/dns-none.txt")).options == ("ndots:2", "single-request-reopen")
    assert resolv_conf.parse(fixture_text("resolv_conf/node.txt")).ndots == 0


def test_resolv_conf_limits_and_precedence_are_those_of_glibc():
    conf = resolv_conf.parse(
        "; comment\n# comment\nsearch a.example b.example\ndomain c.example ignored\n"
        "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"
        "options ndots:1 rotate\noptions ndots:99 timeout:99 attempts:99\n")
    assert conf.search == ("c.example",)
    assert len(conf.nameservers) == 4
    assert conf.nameservers_asked == ("10.0.0.1", "fe80::1%eth0", "10.0.0.3")
    assert (conf.ndots, conf.timeout, conf.attempts) == (15, 30, 5)
    assert conf.options == ("ndots:1", "rotate", "ndots:99", "timeout:99", "attempts:99")
    assert resolv_conf.parse("domain c.example\nsearch a.example b.example\n").search == ("a.example", "b.example")


@pytest.mark.parametrize("line", ["search", " search a.example", "lookup file bind", "nameserver 192.0.2.2:5353",
                                  "nameserver ns.example", "serach a.example", "options"])
def test_a_line_that_the_resolver_passes_over_is_named_and_the_rest_holds(line):
    conf = resolv_conf.parse(f"nameserver 10.0.0.1\n{line}\nsearch b.example\noptions ndots:2\n")
    assert (conf.nameservers, conf.search, conf.ndots) == (("10.0.0.1",), ("b.example",), 2)
    assert conf.passed_over == (f"line 2: {line.strip()}",)
    assert f"line 2: {line.strip()}" in settings_table(conf).text


def test_a_number_is_read_as_by_atoi():
    words = ("3x", "five", "", "4", "+3", "-1", "3;x")
    assert [resolv_conf.parse(f"options ndots:{word}").ndots for word in words] == [3, 0, 0, 4, 3, 15, 3]
    assert resolv_conf.parse("options ndots rotate").ndots == 1         # without a colon it is no option


def test_a_carriage_return_is_no_blank_to_glibc():
    """Asked for under this machine's glibc: web.a.b\\013 at 127.0.0.1."""
    conf = resolv_conf.parse("nameserver 10.0.0.10\r\nsearch a.b\r\noptions ndots:5\r\n")
    assert (conf.nameservers_asked, conf.search, conf.ndots) == (("127.0.0.1",), ("a.b\r",), 5)
    assert conf.passed_over == ("line 1: nameserver 10.0.0.10 (a carriage return ends it)",)
    assert resolv_conf.parse("search a\x0cb\u2028nameserver 1.1.1.1\n").search == ("a\x0cb\u2028nameserver", "1.1.1.1")


@pytest.mark.parametrize("written, address", [("127.1", "127.0.0.1"), ("0xa.10", "10.0.0.10"),
                                              ("010.0.0.10", "8.0.0.10"), ("10.0.0.010", "10.0.0.8")])
def test_an_address_that_only_inet_aton_reads_is_one_to_the_resolver(written, address):
    assert resolv_conf.parse(f"nameserver {written}\n").nameservers == (address,)


def test_an_empty_resolv_conf_means_this_machine_and_one_dot():
    conf = resolv_conf.parse("")
    assert (conf.nameservers, conf.nameservers_asked, conf.ndots) == ((), ("127.0.0.1",), 1)
    assert len(resolv_conf.parse("search " + " ".join(f"d{n}.example" for n in range(9))).search) == 9
