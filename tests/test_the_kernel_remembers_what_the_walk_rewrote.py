"""Rules made for one trap each, asked of this machine's own kernel: its conntrack has the addresses that the walk has.

A trace ends before the last rewrite; what MASQUERADE and SNAT made of a packet, only conntrack tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from namespaces import require_root

from kitlib.netfilter.compare import traced_paths
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import conntrack, ip, iptables_save
from kitlib.parsers.xtables_monitor import traces

HERE = f"kitlib-walk-{os.getpid()}"
SETUP = """
link add in0 type veth peer name left
link add out0 type veth peer name right
link add bare0 type veth peer name beside
link set lo up
link set in0 up
link set left up
link set out0 up
link set right up
link set bare0 up
link set beside up
addr add 10.1.2.1/24 dev in0
addr add 10.0.0.5/24 dev out0
addr add 10.0.0.6/24 dev out0
addr add 10.7.7.7/32 dev out0
route add 10.9.0.0/16 via 10.0.0.9
route add 10.8.0.0/16 via 10.0.0.9 src 10.7.7.7
route add 10.6.0.0/16 dev bare0
neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev out0
neigh add 10.1.2.3 lladdr 02:00:00:00:00:03 dev in0
"""
RULES = """*raw
:PREROUTING ACCEPT
-A PREROUTING -j TRACE
-A PREROUTING -m conntrack --ctstate NEW -j DROP
-A PREROUTING -m conntrack --ctstate INVALID
-A PREROUTING -d 10.9.0.1 -j CT --notrack
COMMIT
*mangle
:PREROUTING ACCEPT
:FORWARD ACCEPT
-A PREROUTING -j MARK --set-xmark 0xf5/0xffffffff
-A PREROUTING -j MARK --set-xmark 0x3/0xf
-A PREROUTING -j MARK --set-xmark 0x10/0x0
-A PREROUTING -m mark --mark 0xe0/0xf0
-A PREROUTING -m mark ! --mark 0xe3
-A PREROUTING -s 0.0.0.0/32 -m addrtype --src-type UNSPEC
-A PREROUTING -s 0.0.0.0/32 -m addrtype --src-type BROADCAST -j DROP
-A FORWARD -d 10.9.0.2/255.0.0.255
-A FORWARD -p udp -m multiport ! --dports 80,443:445
-A FORWARD -p udp -m multiport --sports 80,4000:5000
-A FORWARD -p udp -m multiport --ports 80,53
-A FORWARD -p udp -m udp ! --sport 1:4000
-A FORWARD ! -i in+
-A FORWARD -i in+ -o out0
-A FORWARD -m addrtype ! --dst-type LOCAL
-A FORWARD -m physdev ! --physdev-is-bridged
COMMIT
*nat
:PREROUTING ACCEPT
:POSTROUTING ACCEPT
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.9.1.4:5300
-A PREROUTING -d 10.9.0.5/32 -p udp -j REDIRECT --to-ports 5353
-A PREROUTING -i bare0 -p udp -j REDIRECT
-A POSTROUTING -d 10.9.1.4/32 -p udp -j SNAT --to-source 10.0.0.77:7000
-A POSTROUTING -d 10.8.0.0/16 -j MASQUERADE
-A POSTROUTING -d 10.6.0.0/16 -j MASQUERADE
-A POSTROUTING -d 10.0.0.8/32 -p udp -j MASQUERADE --to-ports 9000
COMMIT
*filter
:INPUT DROP
:FORWARD ACCEPT
:AWAY -
:INNER -
-A INPUT -p udp -m conntrack ! --ctstate NEW,INVALID -j DROP
-A INPUT -p udp -m udp --dport 5353 -j ACCEPT
-A FORWARD -m conntrack --ctstate UNTRACKED -j REJECT
-A FORWARD -m conntrack --ctstate DNAT
-A FORWARD -m conntrack ! --ctstate SNAT,RELATED
-A FORWARD -m state --state ESTABLISHED -j ACCEPT
-A FORWARD -d 10.9.0.7/32 -g AWAY
-A AWAY -j INNER
-A AWAY -d 10.9.0.0/24
-A INNER -s 10.1.2.0/24 -j RETURN
-A INNER -j DROP
COMMIT
"""
# (interface whose other end sends, source, destination, source port, destination port)
PACKETS = [("left", "10.1.2.3", "10.9.0.1", 4001, 53), ("left", "10.1.2.3", "10.9.0.2", 4002, 53),
           ("left", "10.1.2.3", "10.96.0.10", 4003, 53), ("right", "10.9.1.4", "10.0.0.77", 5300, 7000),
           ("left", "10.1.2.3", "10.96.0.10", 4003, 53), ("left", "10.1.2.3", "10.9.0.5", 4005, 53),
           ("left", "10.1.2.3", "10.8.0.6", 80, 444), ("left", "10.1.2.3", "10.6.0.6", 4006, 53),
           ("left", "10.1.2.3", "10.9.0.7", 4007, 53), ("left", "10.1.2.3", "10.0.0.8", 4008, 53),
           ("beside", "10.6.0.3", "10.9.0.8", 4009, 53), ("left", "0.0.0.0", "255.255.255.255", 68, 67),
           ("left", "10.1.2.3", "10.1.2.1", 4010, 99)]
SEND = """
import sys
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.sendrecv import sendp
for way in {packets}:
    end, source, destination, sport, dport = way
    near = {{"left": "in0", "right": "out0", "beside": "bare0"}}[end]
    mac = open(f"/sys/class/net/{{near}}/address").read().strip()
    frame = Ether(dst=mac) / IP(src=source, dst=destination) / UDP(sport=sport, dport=dport) / b"x"
    sendp(frame, iface=end, verbose=0)
"""


def run(*argv: str, said: str | None = None) -> str:
    return subprocess.run(argv, input=said, capture_output=True, text=True, check=True, timeout=30).stdout


def here(*argv: str, said: str | None = None) -> str:
    return run("ip", "netns", "exec", HERE, *argv, said=said)


@pytest.fixture(scope="module")
def asked():
    """The packets as the walk followed them, and the connections that the kernel remembers of them."""
    require_root()
    run("ip", "netns", "add", HERE)
    try:
        run("ip", "-n", HERE, "-batch", "-", said=SETUP)
        here("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        here("iptables-restore", said=RULES)
        monitor = subprocess.Popen(["ip", "netns", "exec", HERE, "xtables-monitor", "--trace"], text=True,
                                   stdout=subprocess.PIPE)
        time.sleep(0.3)
        here(sys.executable, "-c", SEND.format(packets=PACKETS))
        time.sleep(0.3)
        monitor.terminate()
        kernel = Netfilter(iptables_save.parse(here("iptables-save")), forwards=True,
                        routes=ip.routes(here("ip", "route", "show", "table", "all")),
                        interfaces=ip.interfaces(here("ip", "addr")))
        told = traces(monitor.communicate(timeout=10)[0])
        udp = {name: met for name, met in told.items() if int(met[0].packet.get("DPORT", 0))}
        yield traced_paths(kernel, udp), conntrack.connections(here("conntrack", "-L"))
    finally:
        run("ip", "netns", "del", HERE)


def test_every_rule_does_what_the_walk_says(asked, capsys: pytest.CaptureFixture) -> None:
    followed, _ = asked
    assert sorted(one.path.packet[:2] for one in followed) == sorted((way[1], way[2]) for way in PACKETS)
    for one in followed:
        assert not one.differences, f"{one.path.packet}: {one.differences}"
    rules = {met.rule for one in followed for met in one.trace_lines if met.rule}
    with capsys.disabled():
        print(f"\nThis kernel and the rule walk agree on {len(followed)} packets that met {len(rules)} rules.")


def test_the_kernel_remembers_what_the_walk_rewrote(asked) -> None:
    followed, known = asked
    began = [one.path.connection for one in followed if "NEW" in one.path.after.states and one.path.is_remembered]
    assert len(began) > 5
    assert {(entry.original, entry.reply) for entry in began} == {(entry.original, entry.reply) for entry in known}
