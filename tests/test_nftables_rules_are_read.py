"""What nft prints is read without loss: rules as its own text has them, sets and maps of every kind, traces."""

from __future__ import annotations

import json
import re

import pytest

from kitlib import open_lab
from kitlib.errors import ParseError
from kitlib.parsers import nft
from kitlib.parsers.nft_monitor import listed_rules, traces
from kitlib.parsers.nft_text import rule_text

PACKET = 'trace id 1 ip t c packet: iif "eth0" ip saddr 10.0.0.1 ip daddr 10.0.0.2 {} sport 4 {} dport 53 {}'


def test_every_recorded_rule_reads_as_nft_writes_it():
    lab, compared = open_lab(recording="kind-test1-nftables"), 0
    for (place, argv), command in lab.backend.recording.traced_rules.items():
        if argv != ("nft", "-a", "list", "ruleset"):
            continue
        ruleset = nft.ruleset(lab.backend.recording.traced_rules[place, ("nft", "-j", "list", "ruleset")].stdout)
        for table, chain, handle, text in listed_rules(command.stdout):
            rule = next(rule for rule in ruleset.chain(table, chain).rules if rule.handle == handle)
            if "xt" not in str(rule.statements) and "  " not in text:
                assert rule.text == re.sub(r"counter packets \d+ bytes \d+", "counter", text).strip()
                compared += 1
    assert compared > 100


def ruleset(*items: dict) -> nft.Ruleset:
    """A ruleset of one table with these objects."""
    table = {"table": {"family": "ip", "name": "t", "handle": 1}}
    return nft.ruleset(json.dumps({"nftables": [{"metainfo": {}}, table, *items]}))


def a_set(kind: str, elements: list) -> nft.Set:
    return ruleset({kind: {"family": "ip", "table": "t", "name": "s", "elem": elements}}).tables["ip t"].sets["s"]


@pytest.mark.parametrize(("elements", "there", "absent"), [
    (["10.0.0.1", {"elem": {"val": "10.0.0.2", "comment": "mine", "timeout": 60}}], "10.0.0.2", "10.0.0.3"),
    ([{"prefix": {"addr": "10.1.0.0", "len": 16}}, {"range": ["10.2.0.1", "10.2.0.9"]}], "10.1.255.255", "10.2.0.10"),
    ([53, {"range": [1000, 2000]}], 2000, 2001),
    ([{"prefix": {"addr": "fd00::", "len": 8}}], "fdff::1", "fe00::1"),
    (["lo", "eth*"], "eth12", "veth1"),
    (["*"], "10.0.0.1", None)])
def test_members_of_a_set(elements, there, absent):
    assert a_set("set", elements).find((there,)) is True
    assert absent is None or a_set("set", elements).find((absent,)) is None


def test_keys_of_several_parts_and_the_nearest_of_them():
    drop, accept = {"drop": None}, {"accept": None}
    found = a_set("map", [[{"concat": ["10.0.0.1", "udp", 53]}, drop], [{"concat": ["10.0.0.9", "udp", 53]}, drop],
                          [{"concat": [{"prefix": {"addr": "10.1.0.0", "len": 16}}, "tcp", 80]}, accept]])
    assert found.find(("10.0.0.1", "udp", 53)) == drop and found.find(("10.1.2.3", "tcp", 80)) == accept
    assert found.find(("10.0.0.1", "udp", 54)) is None
    assert found.nearest(("10.0.0.1", "udp", 54)) == [(("10.0.0.1", "udp", 53), [2]),
                                                       (("10.0.0.9", "udp", 53), [0, 2])]


def test_what_is_not_understood_is_kept_verbatim():
    chain = {"chain": {"family": "ip", "table": "t", "name": "c", "handle": 2}}
    rule = {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 3, "expr": [{"queue": {"num": 101}}]}}
    found = ruleset(chain, rule, {"flowtable": {"family": "ip", "table": "t", "name": "fast"}})
    assert found.chain("ip t", "c").rules[0].text == '{"queue": {"num": 101}}'
    assert found.others == ({"flowtable": {"family": "ip", "table": "t", "name": "fast"}},)
    assert "flowtable fast" in found.unknown[0]


@pytest.mark.parametrize(("statement", "text"), [
    ({"masquerade": None}, "masquerade"), ({"masquerade": {"flags": "random"}}, "masquerade random"),
    ({"masquerade": {"flags": ["random", "persistent"]}}, "masquerade random,persistent"),
    ({"dnat": {"addr": "fd00::2", "port": 53}}, "dnat to [fd00::2]:53"),
    ({"redirect": {"port": 53}}, "redirect to :53"),
    ({"reject": {"type": "icmp", "expr": "port-unreachable"}}, "reject"),
    ({"reject": {"type": "icmp", "expr": "host-unreachable"}}, "reject with icmp host-unreachable"),
    ({"counter": {"packets": 3, "bytes": 240}}, "counter"),
    ({"match": {"op": "==", "left": {"fib": {"result": "type", "flags": "daddr"}}, "right": "local"}},
     "fib daddr type local")])
def test_a_statement_in_nfts_words(statement, text):
    assert rule_text((statement,)) == text


@pytest.mark.parametrize(("words", "flags"), [
    ("tcp flags == syn tcp window 1", {"SYN"}), ("tcp flags == 0x12", {"SYN", "ACK"}),
    ("tcp flags syn,ack", {"SYN", "ACK"})])
def test_tcp_flags_of_a_trace(words, flags):
    text = PACKET.format("tcp", "tcp", words) + "\ntrace id 1 ip t c policy accept meta mark 0x00000007\n"
    (line,), = traces(text).values()
    assert flags == {"SYN", "ACK", "RST", "FIN"} & line.packet.keys()
    assert (line.packet["SRC"], line.packet["DPORT"], line.packet["IN"], line.packet["MARK"]) == (
        "10.0.0.1", "53", "eth0", "0x00000007")


def test_an_id_that_comes_again_is_another_packet():
    one = PACKET.format("udp", "udp", "") + "\ntrace id 1 ip t c unknown rule handle 3 (verdict jump d/e)\n" \
        "trace id 1 ip t c policy drop \ntrace id 1 ip t c conntrack: ct direction original\n"
    found = traces(one * 2)
    assert list(found) == ["1", "1'"] and found["1"] == found["1'"]
    assert [(line.verdict, line.rule) for line in found["1"]] == [("JUMP:d/e", "# handle 3"), ("DROP", "")]
    for text in ("PACKET: 2 1234 IN=eth0\n", "trace id 1 ip t c policy accept\n", one.replace("10.0.0.1", "1.1")):
        with pytest.raises(ParseError, match="nft monitor trace"):
            traces(text)
