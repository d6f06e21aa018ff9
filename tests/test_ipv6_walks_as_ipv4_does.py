"""IPv6 takes the same paths as IPv4 through the same rules, written for ip6tables.

The oracle is the walk of IPv4, which is compared with the kernel's trace: xtables-monitor 1.8 cannot print IPv6's.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from ipaddress import IPv4Address, IPv6Address

import pytest
from generated_rules import ruleset, shots

from kitlib.errors import KitError
from kitlib.netfilter.kube_proxy import chain_name, endpoint_rules
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip
from kitlib.parsers.iptables_save import parse
from kitlib.widgets.what_if import what_if

ROUTES = """default via 10.2.0.8 dev eth1
10.1.0.0/24 dev eth0 scope link src 10.1.0.1
10.2.0.0/24 dev eth1 scope link src 10.2.0.1
local 10.1.0.1 dev eth0 table local
local 10.2.0.1 dev eth1 table local
local 10.9.9.9 dev lo table local
local 127.0.0.1 dev lo table local
"""
NAMES = {"eth0": "10.1.0.1/24", "eth1": "10.2.0.1/24"}
# What one family has and the other has not.
ONLY_IPV4 = re.compile(r"(--(?:src|dst)-type) [A-Z,]+")
SPELLINGS = {"icmp-port": "icmp6-port", "-j TTL --ttl-set": "-j HL --hl-set"}


def ipv6(text: str) -> str:
    """The same text in IPv6: each octet of an address becomes a group of it."""
    for ipv4s, ipv6s in SPELLINGS.items():
        text = text.replace(ipv4s, ipv6s)
    return re.sub(r"(?:10|127|192)(?:\.\d+){3}(?:/\d+)?(:[\d-]+)?", _address, text)


def _address(found: re.Match) -> str:
    address, _, length = found[0].partition(":")[0].partition("/")
    groups = ":".join(f"{octet:x}" for octet in IPv4Address(address).packed)
    written = "::1" if address.startswith("127") else str(IPv6Address(f"fd00::{groups}"))
    whole, rest = divmod(int(length or 32), 8)
    bits = 128 if written == "::1" else 64 + 16 * whole + (8 + rest if rest else 0)
    return f"[{written}]{found[1]}" if found[1] else f"{written}/{bits}" if length else written


def netfilter(text: str, family: int) -> Netfilter:
    other = ipv6 if family == 6 else str
    interfaces = tuple(ip.Interface(number, name, "", 1500, "UP", (other(address),))
                       for number, (name, address) in enumerate(NAMES.items(), 1))
    return Netfilter(parse(other(text)), ip.routes(other(ROUTES)), interfaces)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_rules_match_the_same_packets(seed: int) -> None:
    chance = random.Random(seed)
    text = ONLY_IPV4.sub(r"\1 LOCAL", "\n".join(ruleset(chance)))
    four, six = netfilter(text, 4), netfilter(text, 6)
    for shot in shots(chance, 6, 20000):
        packet = Packet(shot.source, shot.destination, shot.protocol, shot.sport, shot.dport, shot.interface)
        ours = simulate(six, packet._replace(source=ipv6(packet.source), destination=ipv6(packet.destination)))
        for other, path in zip(simulate(four, packet), ours, strict=True):
            after = other.after._replace(source=ipv6(other.after.source), destination=ipv6(other.after.destination))
            assert (path.after, ipv6(other.end), other.probability) == (after, path.end, path.probability)
            assert [step.rule.text for step in path.steps if step.rule] == [
                ipv6(step.rule.text) for step in other.steps if step.rule]


def test_ip6tables_takes_these_rules() -> None:
    if os.geteuid() or not shutil.which("ip6tables-restore"):
        pytest.skip("needs root and ip6tables-restore")
    for seed in range(5):
        text = ipv6(ONLY_IPV4.sub(r"\1 LOCAL", "\n".join(ruleset(random.Random(seed))))) + "\n"
        command = ["unshare", "--net", "ip6tables-restore", "--test"]
        subprocess.run(command, input=text, text=True, check=True, timeout=30)


def test_kube_proxys_rules_for_ipv6() -> None:
    chain = chain_name("KUBE-SVC-", "dns", "udp")
    rules = ["-A PREROUTING -d fd00:10:96::a/128 -p udp -m udp --dport 53 -j " + chain,
             *endpoint_rules(chain, "dns", "udp", ["[fd00:10:244::3]:53"])]
    chains = dict.fromkeys(rule.split()[1] for rule in rules[1:])
    text = "\n".join(["*nat", ":PREROUTING ACCEPT [0:0]", ":KUBE-MARK-MASQ - [0:0]",
                      *(f":{name} - [0:0]" for name in chains), *rules, "COMMIT"])
    routes = ip.routes("fd00:10:244::/64 via fc00::2 dev eth0\ndefault via fc00::1 dev eth1\n")
    packet = Packet("FD00:10:244:1::2", "fd00:10:96:0::A", "udp", 40000, 53, "veth1")
    path, = simulate(Netfilter(parse(text), routes), packet)
    assert (str(path.after), path.end) == ("[fd00:10:244:1::2]:40000 → [fd00:10:244::3]:53", "goes out of eth0")
    path, = simulate(Netfilter(parse(text), routes), Packet("10.244.1.2", "10.96.0.10", "udp", 40000, 53, "veth1"))
    assert path.end.startswith("is lost") and path.after.destination == "10.96.0.10"      # that default is IPv6's
    shown = what_if(Netfilter(parse(text), routes), packet).text
    assert "the endpoint [fd00:10:244::c]:53" in shown and "2001:db8::1" in shown


def test_what_is_no_address_is_said() -> None:
    with pytest.raises(KitError, match=r"found: .*nowhere"):
        simulate(netfilter("*filter\nCOMMIT\n", 4), Packet("10.1.0.7", "nowhere"))
