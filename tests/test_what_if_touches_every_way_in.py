"""What if an endpoint were gone: ClusterIP, node port, external address and load balancer all lose it."""

from __future__ import annotations

import pytest

from kitlib import simulate, what_if
from kitlib.netfilter.kube_proxy import chain_name, endpoint_rules, endpoints, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip
from kitlib.parsers.iptables_save import Ruleset, parse

PORT = "shop/web:http"
SERVICE = chain_name("KUBE-SVC-", PORT, "tcp")
NAME = SERVICE.removeprefix("KUBE-SVC-")
POD = Packet("10.64.1.2", "10.32.0.9", "tcp", 50000, 80, "veth1")
OUTSIDE = Packet("172.20.0.100", "172.20.0.2", "tcp", 50000, 30080, "eth0")
WAYS_IN = {"ClusterIP": POD, "node port": OUTSIDE,
           "external address": OUTSIDE._replace(destination="172.20.0.200", dport=80),
           "load balancer": OUTSIDE._replace(destination="172.20.0.201", dport=80)}
ENDPOINTS = ("10.64.0.4:8080", "10.64.1.2:8080", "10.64.1.3:8080")
ROUTES = """default via 172.20.0.1 dev eth0
10.64.0.0/24 via 172.20.0.3 dev eth0
10.64.1.2 dev veth1
10.64.1.3 dev veth2
local 172.20.0.2 dev eth0 table local scope host src 172.20.0.2
"""
INTERFACES = ("1: eth0: <UP> mtu 1500 qdisc x state UP\n    link/ether 02:42:ac:14:00:04 brd ff:ff:ff:ff:ff:ff\n"
              "    inet 172.20.0.2/24 scope global eth0\n")
FROM_PODS = (f'-A KUBE-EXT-{NAME} -s 10.64.0.0/16 -m comment --comment "pod traffic for {PORT} external destinations" '
             f"-j {SERVICE}")
TEXT = f"""*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FW-{NAME} - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A KUBE-FW-{NAME} -s 172.20.0.0/24 -m comment --comment "{PORT} loadbalancer IP" -j RETURN
-A KUBE-FW-{NAME} -m comment --comment "other traffic to {PORT} will be dropped by KUBE-PROXY-FIREWALL" -j DROP
-A KUBE-PROXY-FIREWALL -d 172.20.0.201/32 -p tcp -m comment --comment "{PORT} traffic not accepted by KUBE-FW-{NAME}" \
-m tcp --dport 80 -j KUBE-FW-{NAME}
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-EXT-{NAME} - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SERVICES - [0:0]
{{chains}}
-A PREROUTING -j KUBE-SERVICES
{{from_pods}}
-A KUBE-EXT-{NAME} -m comment --comment "masquerade traffic for {PORT} external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-{NAME} -j {{external}}
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "{PORT}" -m tcp --dport 30080 -j KUBE-EXT-{NAME}
-A KUBE-SERVICES -d 10.32.0.9/32 -p tcp -m comment --comment "{PORT} cluster IP" -m tcp --dport 80 -j {SERVICE}
-A KUBE-SERVICES -d 172.20.0.200/32 -p tcp -m comment --comment "{PORT} external IP" -m tcp --dport 80 \
-j KUBE-EXT-{NAME}
-A KUBE-SERVICES -d 172.20.0.201/32 -p tcp -m comment --comment "{PORT} loadbalancer IP" -m tcp --dport 80 \
-j KUBE-EXT-{NAME}
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
{{rules}}
COMMIT
"""


def ruleset(affinity: str = "", local: tuple[str, ...] = ()) -> Ruleset:
    """The Service's rules; `local`: from outside only these endpoints are asked."""
    rules = [*endpoint_rules(SERVICE, PORT, "tcp", ENDPOINTS, affinity),
             *[rule for rule in endpoint_rules(f"KUBE-SVL-{NAME}", PORT, "tcp", local) if "KUBE-SVL" in rule]]
    chains = dict.fromkeys(rule.split()[1] for rule in rules)
    return parse(TEXT.format(chains="\n".join(f":{chain} - [0:0]" for chain in chains), rules="\n".join(rules),
                             external=f"KUBE-SVL-{NAME}" if local else SERVICE, from_pods=FROM_PODS if local else ""))


def paths(rules: Ruleset, packet: Packet) -> tuple[PacketPath, ...]:
    return simulate(Netfilter(rules, ip.routes(ROUTES), ip.interfaces(INTERFACES)), packet)


@pytest.mark.parametrize("way_in", WAYS_IN)
def test_a_gone_endpoint_is_reached_no_more(way_in: str) -> None:
    packet = WAYS_IN[way_in]
    assert [f"{path.after.destination}:{path.after.dport}" for path in paths(ruleset(), packet)] == [*ENDPOINTS]
    changed = with_endpoints(ruleset(), SERVICE, ENDPOINTS[:2])
    assert [(f"{path.after.destination}:{path.after.dport}", path.probability) for path in paths(changed, packet)] == [
        (ENDPOINTS[0], 0.5), (ENDPOINTS[1], 0.5)]


@pytest.mark.parametrize("way_in", WAYS_IN)
def test_without_endpoints_it_is_rejected_and_told_why(way_in: str) -> None:
    path, = paths(with_endpoints(ruleset(), SERVICE, ()), WAYS_IN[way_in])
    assert (path.end, path.why) == ("is rejected", f"{PORT} has no endpoints")


def test_without_local_endpoints_only_callers_from_outside_are_dropped() -> None:
    rules = ruleset(local=ENDPOINTS[1:])
    fewer = with_endpoints(rules, SERVICE, ENDPOINTS[:2])
    assert [path.after.destination for path in paths(fewer, OUTSIDE)] == ["10.64.1.2"]
    none_here = with_endpoints(rules, SERVICE, ENDPOINTS[:1])
    for way_in in ("node port", "external address", "load balancer"):
        path, = paths(none_here, WAYS_IN[way_in])
        assert (path.end, path.why) == ("is dropped", f"{PORT} has no local endpoints")
        path, = paths(none_here, POD._replace(destination=WAYS_IN[way_in].destination, dport=WAYS_IN[way_in].dport))
        assert (path.after.destination, path.end) == ("10.64.0.4", "goes out of eth0")
    assert [path.after.destination for path in paths(none_here, POD)] == ["10.64.0.4"]


def test_affinity_keeps_its_rules() -> None:
    rules = ruleset("10800")
    assert endpoints(rules, SERVICE) == ENDPOINTS and with_endpoints(rules, SERVICE, ENDPOINTS) == rules
    fewer = with_endpoints(rules, SERVICE, ENDPOINTS[:2])
    assert [rule.text.count("--rcheck --seconds 10800") for rule in fewer.chain("nat", SERVICE).rules] == [1, 1, 0, 0]
    assert all(f"--name {rule.target} " in rule.text for rule in fewer.chain("nat", SERVICE).rules[:2])
    netfilter = Netfilter(rules, ip.routes(ROUTES), ip.interfaces(INTERFACES))
    first, *_, gone = what_if(netfilter, POD).text.split("\n\n")
    assert first.count("came to this endpoint in the last 10800 s) matches") == 3
    assert gone.count("came to this endpoint in the last 10800 s) matches") == 2
