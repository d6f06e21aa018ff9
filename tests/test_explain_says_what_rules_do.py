"""`explain` says every way that a packet may take through a dump of rules, and what it cannot know."""

from __future__ import annotations

import io
import json
import sys

import pytest

from kitlib import open_lab
from kitlib.__main__ import main

RECORDINGS = ("kind-test1", "kind-test1-nftables")


@pytest.fixture(scope="module", params=RECORDINGS)
def dump(request, tmp_path_factory):
    """The rules, routes and addresses of a recorded node as files, and the query of its pod."""
    lab, folder = open_lab(recording=request.param), tmp_path_factory.mktemp("dump")
    pod = lab.client
    commands = {"rules": ("nft", "-j", "list", "ruleset") if "nft" in request.param else ("iptables-save",),
                "routes": ("ip", "route"), "addresses": ("ip", "addr")}
    for name, argv in commands.items():
        (folder / name).write_text(pod.node.run(*argv).text)
    query = f"udp {pod.address}:40000 > {lab.topology.dns_service}:53 in {pod.veth.interface}"
    return folder, query, pod.node.netfilter()


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kitlib", "explain", *map(str, words)])
        return main(), *capsys.readouterr()
    return run


def test_recorded_rules_lead_to_the_endpoints(run, dump, tmp_path):
    folder, query, _ = dump
    words = (query, "--routes", folder / "routes", "--addresses", folder / "addresses")
    code, out, _ = run(folder / "rules", *words, "--json")
    paths = json.loads(out)
    assert sum(path["probability"] / 2 ** len(path["assumptions"]) for path in paths) == pytest.approx(1)
    assert all(rule["why"] for path in paths for rule in path["rules"])
    assert len({path["after"] for path in paths}) >= 2 or code == 2
    page = tmp_path / "page.html"
    code_again, text, _ = run(folder / "rules", *words, "--html", page)
    assert code_again == code and "%" in text.partition(": The packet")[0] and "skipped" in text
    assert "<h2>Every way" in page.read_text() and len(page.read_bytes()) <= 500_000


def test_without_routes_and_addresses_it_is_undecided_and_says_so(run, dump):
    code, out, _ = run(dump[0] / "rules", dump[1])
    assert code == 2 and "`ip route show table all`" in out and "`ip addr`" in out


@pytest.mark.parametrize(("raw", "status"), [
    ("-A PREROUTING -p udp -m udp --dport 53 -j DROP", 1), ("-A PREROUTING -p udp -m udp --dport 54 -j DROP", 2),
    ("-A PREROUTING -m addrtype --dst-type LOCAL -j DROP", 2), ("-A PREROUTING -m addrtype --dst-type MULTICAST", 2),
    ("-A PREROUTING -p udp --dport 53:54 -j DROP", 1), ("-A PREROUTING -p udp --dport domain -j DROP", 2),
    ("-A PREROUTING -m nobody-knows -j DROP\n-A PREROUTING -j DROP", 1)])
def test_what_is_dropped_before_routing_needs_no_routes(run, monkeypatch, raw, status):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"*raw\n:PREROUTING ACCEPT [0:0]\n{raw}\nCOMMIT\n"))
    code, out, _ = run("-", "udp 10.0.0.1:40000 > 10.9.0.1:53 in veth0")
    assert code == status, out
    assert ("the routes:" in out) == (status == 2) and ("100.0%, if so:" in out) == ("Taken for granted" in out)


def test_what_decides_no_rule_leaves_the_chances_as_they_are(run, tmp_path):
    """rp_filter is not known, and an answer would leave by eth0: both ways rest on that, and stay one in two."""
    match, to = "-A PREROUTING -p udp -m udp --dport 53", "-j DNAT --to-destination 10.244.0"
    rules, routes = tmp_path / "rules", tmp_path / "routes"
    rules.write_text(f"*nat\n:PREROUTING ACCEPT [0:0]\n{match} -m statistic --mode random --probability 0.5 {to}.2\n"
                     f"{match} {to}.3\nCOMMIT\n")
    routes.write_text("default via 172.20.0.1 dev eth0\n10.244.0.0/24 dev veth1\n"
                      "local 172.20.0.4 dev eth0 table local\n")
    _, out, _ = run(rules, "udp 10.244.2.3:40000 > 10.96.0.10:53 in veth0", "--routes", routes, "--json")
    found = [(path["probability"], "rp_filter" in path["assumptions"][0]) for path in json.loads(out)]
    assert found == [(0.5, True)] * 2


def test_nft_rules_that_drop_before_routing_need_no_routes(run, tmp_path):
    chain = {"family": "ip", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "prerouting",
             "prio": -300, "policy": "accept"}
    rule = {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [
        {"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}},
        {"drop": None}]}
    for expressions, status in ((rule["expr"], 2), (rule["expr"][1:], 1)):
        rules = [{"metainfo": {"json_schema_version": 1}}, {"table": {"family": "ip", "name": "t", "handle": 1}},
                 {"chain": chain}, {"rule": {**rule, "expr": expressions}}]
        (tmp_path / "rules").write_text(json.dumps({"nftables": rules}))
        code, out, _ = run(tmp_path / "rules", "udp 10.0.0.1:40000 > 10.9.0.1:53 in veth0")
        assert code == status, out


KNOWN = ("udp 17 20 src=10.244.2.3 dst=10.96.0.10 sport=40000 dport=53 "
         "src=10.244.0.2 dst=10.244.2.3 sport=53 dport=40000 mark=0 use=1\n")


@pytest.mark.parametrize(("packet", "says"), [
    ("udp 10.244.2.3:40000 > 10.96.0.10:53 in veth0", "becomes 10.244.2.3:40000 → 10.244.0.2:53"),
    ("udp 10.244.0.2:53 > 10.244.2.3:40000 in eth0", "becomes 10.96.0.10:53 → 10.244.2.3:40000"),
    ("udp 10.244.2.3:40001 > 10.96.0.10:53 in veth0", "10.244.0.3")])
def test_what_conntrack_remembers_comes_before_the_rules(run, tmp_path, packet, says):
    (tmp_path / "rules").write_text("*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
                                    "-A PREROUTING -d 10.96.0.10/32 -j DNAT --to-destination 10.244.0.3\nCOMMIT\n")
    (tmp_path / "conntrack").write_text(KNOWN)
    (tmp_path / "routes").write_text("default via 172.20.0.1 dev eth0\nlocal 172.20.0.4 dev eth0 table local\n")
    given = (word for name in ("routes", "conntrack") for word in (f"--{name}", tmp_path / name))
    code, out, _ = run(tmp_path / "rules", packet, *given)
    assert code == 0 and says in out


def test_a_file_that_is_no_conntrack_table_is_exit_status_2(run, dump, tmp_path):
    (tmp_path / "conntrack").write_text("udp 17 nonsense\n")
    code, _, error = run(dump[0] / "rules", dump[1], "--conntrack", tmp_path / "conntrack")
    assert code == 2 and "expected" in error


@pytest.mark.parametrize(("policy", "rule", "status"), [
    ("ACCEPT", "", 0), ("DROP", "", 1), ("ACCEPT", "-A FORWARD -p udp -j REJECT\n", 1),
    ("ACCEPT", "-A FORWARD -m nobody-knows --x 1 -j DROP\n", 2)])
@pytest.mark.parametrize(("source", "to", "address"), [("10.0.0.1", "10.9.0.1", "10.0.0.9/24"),
                                                      ("[fd00::1]", "[fd01::1]", "fd00::9/64")])
def test_the_exit_status_is_the_verdict(run, tmp_path, monkeypatch, policy, rule, status, source, to, address):
    rules = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {policy} [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}COMMIT\n"
    family = "inet6" if ":" in address else "inet"
    (tmp_path / "addresses").write_text(f"1: eth0: <UP> mtu 1500 state UP\n    link/ether 02:00:00:00:00:01 brd "
                                        f"ff:ff:ff:ff:ff:ff\n    {family} {address} scope global eth0\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO(rules))
    code, out, _ = run("-", f"udp {source}:40000 > {to}:53 in veth0 out eth0", "--addresses", tmp_path / "addresses")
    assert code == status, out


@pytest.mark.parametrize(("rules", "packet", "message"), [
    ("*filter\nCOMMIT\n", "ping", "expected 'udp 10.244.2.3:40000"),
    ("*filter\nCOMMIT\n", "udp 1.2.3.4:1 > 5.6.7.8:99999 in x", "ports up to 65535"),
    ("not rules", "udp 1.2.3.4:1 > 5.6.7.8:53 in x", "expected"), ("", "udp 1.2.3.4:1 > 5.6.7.8:53 in x", "expected"),
    ("{", "udp 1.2.3.4:1 > 5.6.7.8:53 in x", "expected")])
def test_bad_input_is_exit_status_2_and_one_message(run, monkeypatch, rules, packet, message):
    monkeypatch.setattr(sys, "stdin", io.StringIO(rules))
    code, _, error = run("-", packet)
    assert code == 2 and message in error
