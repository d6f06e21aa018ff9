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
    assert sum(path["probability"] for path in paths) == pytest.approx(1)
    assert all(rule["why"] for path in paths for rule in path["rules"])
    assert len({path["after"] for path in paths}) >= 2 or code == 2
    page = tmp_path / "page.html"
    code_again, text, _ = run(folder / "rules", *words, "--html", page)
    assert code_again == code and "%: The packet" in text and "skipped" in text
    assert "<h2>Every way" in page.read_text() and len(page.read_bytes()) <= 500_000


def test_without_routes_and_addresses_it_is_undecided_and_says_so(run, dump):
    code, out, _ = run(dump[0] / "rules", dump[1])
    assert code == 2 and "--routes FILE" in out and "--addresses FILE" in out


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
