"""IPv6 takes the same paths as IPv4 through the same rules, written for ip6tables.

The oracles are the walk of IPv4, which is compared with the kernel's trace, for xtables-monitor 1.8 cannot print
IPv6's; and the counters of ip6tables-save.
"""

from __future__ import annotations

import random
import re
import subprocess
from ipaddress import IPv4Address, IPv6Address

import pytest
from generated_rules import ruleset, shots
from namespaces import require_namespaces, require_programs, require_root

from kitlib import open_lab
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
    require_root()
    require_programs("ip6tables-restore")
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


ADDRESSES = """ip -6 addr add fd00:2::1/64 dev {veth} nodad
ip -6 addr add fd00:1::1/64 dev eth0 nodad
ip -6 route add default dev eth0
ip -6 route add fd00:9::/64 via fd00:1::9 dev eth0
ip -6 route add unreachable fd00:8::/64
ip -6 neigh add fd00:1::9 lladdr 02:00:00:00:00:99 dev eth0"""
RULES = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:SVC - [0:0]
:SEP-1 - [0:0]
:SEP-2 - [0:0]
-A PREROUTING -d fd00:96::a/128 -p udp -m udp --dport 53 -j SVC
-A PREROUTING -d fd00:96::b/128 -p udp -j REDIRECT --to-ports 5353
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
-A SVC ! -s fd00:3::/64 -j MARK --set-xmark 0x4000/0x4000
-A SVC -m statistic --mode random --probability 0.5 -j SEP-1
-A SVC -j SEP-2
-A SEP-1 -p udp -j DNAT --to-destination [fd00:9::3]:53
-A SEP-2 -p udp -j DNAT --to-destination [fd00:9::4]:5300
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:NEVER - [0:0]
-A INPUT -p udp -m multiport --dports 5353,99 -m addrtype --dst-type LOCAL -j ACCEPT
-A FORWARD -s fd00:2::/64 -m conntrack --ctstate NEW -m comment --comment "from the pod"
-A FORWARD -d fd00:7::/64 -p udp -j DROP
-A FORWARD ! -d fd00:9::/64 -g NEVER
-A NEVER -i eth0 -j DROP
-A NEVER -o eth0 -p tcp
COMMIT
"""
PACKETS = [("fd00:96::a", 53)] * 4 + [("fd00:96::b", 53), ("fd00:2::1", 99), ("fd00:2::1", 98), ("fd00:7::1", 53),
                                      ("fd00:8::1", 53), ("fd00:9::9", 80), ("fd00:5::5", 53)]
SEND = "import socket, sys; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); " \
       "s.bind(('', int(sys.argv[1]))); s.sendto(b'x', (sys.argv[2], int(sys.argv[3])))"


def counted(node) -> list[tuple[int, str]]:
    """The packets that each rule has counted, the rules in order."""
    lines = node.run("ip6tables-save", "-c").text.splitlines()
    return [(int(line[1:].partition(":")[0]), line.partition("] ")[2]) for line in lines if line.startswith("[")]


def test_the_counters_of_this_kernel_rise_where_the_walk_says(tmp_path) -> None:
    require_namespaces()
    require_programs("ip6tables-restore")
    lab = open_lab("netns")
    pod, node, veth = lab.client, lab.client.node, lab.client.veth.interface
    (tmp_path / "rules").write_text(RULES)
    here = ["sysctl -qw net.ipv6.conf.all.disable_ipv6=0", f"sysctl -qw net.ipv6.conf.{veth}.disable_ipv6=0",
            "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0", "sysctl -qw net.ipv6.conf.all.forwarding=1",
            *ADDRESSES.format(veth=veth).splitlines(),
            f"ip -6 neigh add fd00:2::2 lladdr {pod.interface('eth0').mac} dev {veth}",
            f"ip6tables-restore {tmp_path / 'rules'}"]
    there = ["sysctl -qw net.ipv6.conf.all.disable_ipv6=0", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0",
             "ip -6 addr add fd00:2::2/64 dev eth0 nodad", "ip -6 route add default via fd00:2::1",
             f"ip -6 neigh add fd00:2::1 lladdr {node.interface(veth).mac} dev eth0"]
    for place, command in [*((node, command) for command in here), *((pod, command) for command in there)]:
        done = place.run(*command.split())
        assert done.rc == 0, done
    netfilter, before = node.netfilter(), counted(node)
    for sport, (destination, dport) in enumerate(PACKETS, 40000):
        ways = simulate(netfilter, Packet("fd00:2::2", destination, "udp", sport, dport, veth))
        sent = pod.run("python3", "-I", "-S", "-c", SEND, str(sport), destination, str(dport))
        assert sent.rc == 0, sent
        after = counted(node)
        met = [rule for (count, rule), (was, _) in zip(after, before, strict=True) if count > was]
        before = after
        expected = [[step.rule.text for step in way.matched if step.rule] for way in ways]
        assert sorted(met) in [sorted(one) for one in expected], (destination, expected)
        assert all(way.end != "is undecided" and not way.assumptions for way in ways)


def test_a_recording_without_ipv6_leaves_only_packets_of_ipv6_undecided() -> None:
    node = open_lab().node("worker3")
    netfilter = node.netfilter()
    path, = simulate(netfilter, Packet("fd00::1", "fd01::1", in_interface="eth0"))
    assert path.end == "is undecided" and path.why.startswith("the rules and routes of IPv6 (")
    assert "no route" not in path.hook_steps[0].why and netfilter.unknown == ()


@pytest.mark.parametrize("text", ["default dev wg0 metric 1024", "unreachable default dev lo metric 4294967295"])
def test_a_default_route_of_ipv6_is_not_one_of_ipv4(text: str) -> None:
    netfilter = Netfilter(parse(""), ip.routes(text, version=6))
    assert netfilter.route("10.0.0.1").route is None and netfilter.route("fd00::1").route is not None
    assert ip.routes(f"{text} pref medium")[0].version == 6


def test_of_two_equal_routes_of_ipv6_none_is_certain() -> None:
    routes = ip.routes("fe80::/64 dev eth0\nfe80::/64 dev eth1\nfd00::/64 dev eth0\n")
    assert "is there 2 times" in Netfilter(parse(""), routes).route("fe80::1").unknown
    assert Netfilter(parse(""), routes).route("fd00::1").unknown == ""


def test_what_is_no_address_is_said() -> None:
    with pytest.raises(KitError, match=r"found: .*nowhere"):
        simulate(netfilter("*filter\nCOMMIT\n", 4), Packet("10.1.0.7", "nowhere"))


@pytest.mark.parametrize("flag", ["deprecated", "tentative", "dadfailed tentative"])
def test_an_address_that_is_on_its_way_out_is_no_source(flag: str) -> None:
    text = ("2: eth0: <UP> mtu 1500 qdisc x state UP\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
            f"    inet6 fd00::a/64 scope global {flag} nodad \n       valid_lft forever preferred_lft 0sec\n"
            "    inet6 fd00:0:0:1::1/64 scope global nodad \n       valid_lft forever preferred_lft forever\n")
    interface, = ip.interfaces(text)
    assert interface.addresses == ("fd00::a/64", "fd00:0:0:1::1/64") and interface.avoided == ("fd00::a/64",)
    netfilter = Netfilter(parse(""), ip.routes("fd00::/64 dev eth0 metric 256\n", 6), (interface,))
    assert netfilter.masquerade_address("eth0", "fd00::9") == "fd00:0:0:1::1"
