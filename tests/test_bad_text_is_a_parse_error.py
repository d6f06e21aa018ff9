"""Text that is empty, cut short or in another format is a ParseError that says what was expected and what was found."""

from __future__ import annotations

import json
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import fixture_text
from kitlib.errors import ParseError
from kitlib.parsers import conntrack, dns, docker, ip, iptables_save, kubernetes, nft, resolv_conf, xtables_monitor
from kitlib.parsers.process_flags import flag

IP = {
    line["command"]: line["stdout"]
    for line in map(json.loads, fixture_text("ip/commands.jsonl").splitlines())
    if line["place"] == "node:kind-test1-worker3"
}


def controller_flags(listing: str) -> str:
    return flag(listing, "kube-controller-manager", "cluster-cidr")


JSON_PARSERS = {
    docker.networks: fixture_text("docker/network-inspect-kind.json"),
    kubernetes.pods: fixture_text("kubectl/pod-my-nginx.json"),
    kubernetes.services: fixture_text("kubectl/services.json"),
    kubernetes.endpoints: fixture_text("kubectl/endpointslices.json"),
    kubernetes.nodes: fixture_text("kubectl/nodes.json"),
}
TEXT_PARSERS = {
    controller_flags: fixture_text("ps/control-plane.txt"),
    resolv_conf.parse: fixture_text("resolv_conf/pod.txt"),
    ip.interfaces: IP["ip addr"],
    ip.routes: IP["ip route"],
}
ALL = [*JSON_PARSERS.items(), *TEXT_PARSERS.items()]
EMPTY_IS_VALID = (resolv_conf.parse, ip.routes)      # no settings, no routes: both are facts


def name(value: object) -> str:
    return f"{value.__module__}.{value.__name__}" if callable(value) else ""


@pytest.mark.parametrize("parser", [parser for parser, _ in ALL if parser not in EMPTY_IS_VALID], ids=name)
@pytest.mark.parametrize("empty", ["", "\n", "   \n\n"])
def test_empty_text(parser, empty):
    with pytest.raises(ParseError, match="expected"):
        parser(empty)


@pytest.mark.parametrize(("parser", "own"), ALL, ids=name)
def test_another_format(parser, own):
    others = [other for reader, other in ALL if other != own and reader is not parser]
    for other in [*others, "bash: command not found", "<html></html>", "null", "7", "[7]", "[[]]", '{"kind": "List"}']:
        with pytest.raises(ParseError, match=r"expected .*, found: ."):
            parser(other)


@pytest.mark.parametrize(("parser", "own"), JSON_PARSERS.items(), ids=name)
def test_json_cut_short_anywhere(parser, own):
    whole = own.rstrip()
    for end in range(1, len(whole), max(1, len(whole) // 150)):
        with pytest.raises(ParseError):
            parser(whole[:end])


@pytest.mark.parametrize(("parser", "own"), TEXT_PARSERS.items(), ids=name)
def test_plain_text_cut_short_within_a_line_raises_nothing_else(parser, own):
    errors = 0
    for end in range(1, len(own)):
        try:
            parser(own[:end])
        except ParseError:
            errors += 1
    assert errors > 5


@pytest.mark.parametrize("parser", [ip.interfaces, ip.routes], ids=name)
def test_plain_text_cut_short_between_lines_is_an_error_or_the_first_of_the_facts(parser):
    own, whole = TEXT_PARSERS[parser], parser(TEXT_PARSERS[parser])
    for end in (index + 1 for index, character in enumerate(own) if character == "\n"):
        try:
            facts = parser(own[:end])
        except ParseError:
            continue
        # An interface's addresses come on lines of their own: the last one may lack some.
        assert [str(fact)[:40] for fact in facts] == [str(fact)[:40] for fact in whole[:len(facts)]]


def paths(value: object, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, each in inner for deeper in paths(each, (*path, key)))]


@settings(max_examples=200)
@given(st.data())
def test_a_json_value_of_the_wrong_kind_never_escapes_as_another_error(data):
    parser, own = data.draw(st.sampled_from(list(JSON_PARSERS.items())))
    value = json.loads(own)
    *path, last = data.draw(st.sampled_from(paths(value)[1:]))
    holder = value
    for key in path:
        holder = holder[key]
    holder[last] = data.draw(st.sampled_from([None, True, -1, "", "x", [], [None], {}, {"kind": 1}]))
    try:
        parser(json.dumps(value))
    except ParseError as error:
        assert "expected" in str(error)


@pytest.mark.parametrize(("parser", "own", "old", "new", "said"), [
    (docker.networks, "docker/network-inspect-kind.json", "172.20.0.53/16", "172.20.0.530/16", "upstream-dns"),
    (docker.networks, "docker/network-inspect-kind.json", '"172.20.0.0/16"', '"172.20/x"', "IPAM.Config.Subnet"),
    (kubernetes.pods, "kubectl/pod-my-nginx.json", '"kind": "Pod"', '"kind": "Service"', "Service"),
    (kubernetes.pods, "kubectl/pod-my-nginx.json", '"dnsPolicy"', '"dns"', "spec.dnsPolicy"),
    (kubernetes.services, "kubectl/services.json", '"port": 443', '"port": "443"', "'?443"),
    (kubernetes.nodes, "kubectl/nodes.json", '"address": "172.20.0.4"', '"address": "172.20.0"', "an IP address"),
    (kubernetes.pods, "kubectl/pod-my-nginx.json", '"podIP": "10.244.2.3"', '"podIP": "10.244.2.300"', "status.podIP"),
    (kubernetes.pods, "kubectl/pod-my-nginx.json", '"run": "my-nginx"', '"run": 7', "run"),
    (kubernetes.services, "kubectl/services.json", '"10.96.0.10"', '"kube-dns"', "spec.clusterIP"),
    (kubernetes.endpoints, "kubectl/endpointslices.json", '"10.244.0.3"', '"coredns"', "addresses"),
    (controller_flags, "ps/control-plane.txt", "kube-controller-manager ", "kube-manager ", "kube-scheduler|systemd"),
    (controller_flags, "ps/control-plane.txt", "  PPID", "", "UID PID PPID"),
])
def test_the_error_names_what_is_wrong(parser, own, old, new, said):
    whole = fixture_text(own)
    assert old in whole
    with pytest.raises(ParseError, match=said):
        parser(whole.replace(old, new))


@pytest.mark.parametrize(("parser", "command", "old", "new"), [
    (ip.interfaces, "ip addr", "172.20.0.4/16", "172.20.0.4"),
    (ip.interfaces, "ip addr", "172.20.0.4/16", "172.20.0.400/16"),
    (ip.interfaces, "ip addr", "link/ether 02:42:ac:14:00:04", "link/ether"),
    (ip.interfaces, "ip addr", "mtu 1500", ""),
    (ip.routes, "ip route", "10.244.1.0/24", "10.244.1.0/240"),
])
def test_ip_output_that_was_tampered_with(parser, command, old, new):
    assert old in IP[command]
    with pytest.raises(ParseError, match="expected"):
        parser(IP[command].replace(old, new))


@pytest.mark.parametrize(("old", "new"), [
    ("dev eth0", ""), ("via 172.20.0.1", "via gateway"), ("dev eth0", "dev"), ("src 172.20.0.4", "src eth0")])
def test_a_route_that_was_tampered_with_leads_nobody_knows_where(old, new):
    found = ip.routes(IP["ip route"].replace(old, new))
    assert len(found) == len(ip.routes(IP["ip route"]))
    assert all(("is not understood" in route.unknown) == (new in line and old not in line and old in before)
               for route, before, line in zip(found, IP["ip route"].splitlines(),
                                              IP["ip route"].replace(old, new).splitlines(), strict=True))


MANY = "9" * 5000      # more digits than Python turns into a number
TUPLES = "src=10.0.0.1 dst=10.0.0.2 sport=1 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 dport={} mark={}"


@pytest.mark.parametrize(("parser", "own"), [
    (conntrack.connections, f"udp 17 {MANY} {TUPLES.format(1, 0)}"),
    (conntrack.connections, f"udp 17 9 {TUPLES.format(MANY, 0)}"),
    (conntrack.connections, f"udp 17 9 {TUPLES.format(1, MANY)}"),
    (ip.interfaces, IP["ip addr"].replace("1: lo", f"{MANY}: lo")),
    (ip.interfaces, IP["ip addr"].replace("mtu 65536", f"mtu {MANY}")),
    (iptables_save.parse, f"*nat\n:A - [0:0]\n[{MANY}:0] -A A -j ACCEPT\nCOMMIT"),
    (kubernetes.pods, f'{{"kind": {MANY}}}'),
])
def test_a_number_of_any_length(parser, own):
    with pytest.raises(ParseError):
        parser(own)


NAT, PACKET = "*nat\n:FORWARD ACCEPT [0:0]\n", "PACKET: 2 8fcbe6d9 IN=eth0"


@pytest.mark.parametrize(("parser", "text", "said"), [
    *((iptables_save.parse, text, said) for text, said in (
        ("-A FORWARD -j DROP\n", "line 1"), (f"{NAT}-A OTHER -j DROP\nCOMMIT\n", "line 3"),
        (f"{NAT}-A FORWARD -j\nCOMMIT\n", "line 3"), (f"{NAT}-A FORWARD stray -j DROP\nCOMMIT\n", "line 3"),
        (f"{NAT}-I FORWARD -j DROP\nCOMMIT\n", "line 3"), (NAT, "the end of the text"),
        ("*nat\n*filter\nCOMMIT\n", "line 2"), ("iptables-save: command not found\n", "line 1"))),
    *((conntrack.connections, text, "conntrack") for text in (
        f"6 46 TIME_WAIT {TUPLES.format(1, 0)}", "udp 17 25 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2", "nonsense",
        "udp 17 25 [UNREPLIED] mark=0")),
    *((xtables_monitor.traces, text, "xtables-monitor") for text in (
        " TRACE: 2 8fcbe6d9 raw:PREROUTING:policy:ACCEPT \n", "xtables-monitor: not found\n",
        f"{PACKET} SRC=1.1.1.1 DST=2.2.2.2 \n TRACE: 2 8fcbe6d9 raw:X:rule:ACCEPT\n",
        *(f"{PACKET} {fields}\n" for fields in (
            "DST=2.2.2.2", "SRC=1.1.1.1", "SRC=1.1.1 DST=2.2.2.2", *(f"SRC=1.1.1.1 DST=2.2.2.2 {field}" for field in (
                "SPORT=abc", "DPORT=", "DPORT=053", "MARK=0xg")))))),
    *((nft.ruleset, text, "nft -j list ruleset") for text in (
        "", "[]", "{}", '{"nftables": 1}', '{"nftables": [{"chain": {}}]}', '{"nftables": [[]]}',
        '{"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c"}}]}'))])
def test_what_programs_print_of_rules_and_connections_where_it_is_wrong(parser, text, said):
    with pytest.raises(ParseError, match=said):
        parser(text)


def test_a_chain_of_pointers_takes_no_time():
    """Each record's name is a pointer to the name before it: 48 kB that took ten seconds."""
    data, before = bytearray(struct.pack("!6H", 1, 0x8000, 0, 4000, 0, 0)), 0
    for _ in range(4000):
        name = struct.pack("!H", 0xC000 | before) if before else b"\x01a\0"
        before = len(data) if len(data) < 0x4000 else before
        data += name + struct.pack("!HHIH", 65280, 1, 0, 0)
    started = time.process_time()
    with pytest.raises(ParseError, match="a name of at most 127 pointers"):
        dns.message(bytes(data))
    assert time.process_time() - started < 0.5


def test_a_missing_flag_names_those_that_are_there():
    with pytest.raises(ParseError, match=r"--cluster-cidr6.*--allocate-node-cidrs"):
        flag(fixture_text("ps/control-plane.txt"), "kube-controller-manager", "cluster-cidr6")


def test_a_worker_runs_no_controller_manager():
    with pytest.raises(ParseError, match="one process kube-controller-manager"):
        controller_flags(fixture_text("ps/worker.txt"))


def test_several_processes_of_one_name_are_not_one():
    with pytest.raises(ParseError, match=r"one process containerd-shim-runc-v2.*different ones"):
        flag(fixture_text("ps/control-plane.txt"), "containerd-shim-runc-v2", "id")
