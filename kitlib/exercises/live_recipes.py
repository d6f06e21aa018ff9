"""What can be broken on the netns lab, as data: see kitlib.faults, whose names in braces are used here too."""

from __future__ import annotations

from kitlib.faults import RECIPES, Recipe

FIRST_AAAA = ("PREROUTING -i {pod_veth} -p udp --dport 53 -m string --algo bm --hex-string |00001c0001| "
              "-m limit --limit 1/hour --limit-burst 1 -j DROP")
KEPT_PORT = 33333           # of a client that always sends from the same one
BIG_SEGMENTS = "FORWARD -d {pod_address} -p tcp --sport 53 -m length --length 600:65535 -j DROP"
TO_FIRST = "KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment {to_first} -j {first_chain}"
COIN = TO_FIRST.replace("-j", "-m statistic --mode random --probability 0.5 -j")
PORTS = ("dns udp KUBE-SVC-TCOU7JCQXEZGVUNU", "dns-tcp tcp KUBE-SVC-ERIFXISQEP7F7OF4")    # name, protocol, chain


def _to_service(port: str, said: str, target: str) -> str:
    """A rule for one port of the DNS Service as kube-proxy writes it; `said` is the second half of its comment."""
    name, protocol, chain = port.split()
    return (f"KUBE-SERVICES -d {{service}}/32 -p {protocol} -m comment --comment {{{name.replace('-', '_')}_{said}}} "
            f"-m {protocol} --dport 53 -j {target.format(chain)}")


CHOOSES = [_to_service(port, "cluster_IP", "{}") for port in PORTS]
REFUSES = [_to_service(port, "has_no_endpoints", "REJECT --reject-with icmp-port-unreachable") for port in PORTS]
# Where there is no Kubernetes and no Docker to ask (the netns lab), some faults are made in another way …
LIVE = RECIPES | {
    "no-endpoints": Recipe(                         # the rules as kube-proxy writes them when nobody is there
        tuple(("node", step) for choice, refusal in zip(CHOOSES, REFUSES, strict=True)
              for step in (f"iptables -t nat -D {choice}", f"iptables -A {refusal}")),
        tuple(("node", step) for choice, refusal in zip(CHOOSES, REFUSES, strict=True)
              for step in (f"iptables -D {refusal}", f"iptables -t nat -I {choice}"))),
    "one-endpoint-dead": Recipe(
        (("endpoint", "iptables -I INPUT -p udp --dport 53 -j DROP"),),
        (("endpoint", "iptables -D INPUT -p udp --dport 53 -j DROP"),)),
    "stale-conntrack": Recipe(                      # a client keeps its port; then its pod leaves the rules, and dies
        (("node", "sysctl -w net.netfilter.nf_conntrack_udp_timeout=600"),          # time to look at it
         ("node", f"iptables -t nat -I {TO_FIRST.replace(' ', ' 2 ', 1)}"),
         ("pod", f"dig +tries=2 +timeout=1 -b {{pod_address}}#{KEPT_PORT} www.example.com"),
         ("node", f"iptables -t nat -D {TO_FIRST}"), ("node", f"iptables -t nat -D {COIN}"),
         ("endpoint", "iptables -I INPUT -p udp --dport 53 -j DROP")),
        (("node", "conntrack -D -p udp --orig-dst {service}"),),
        (("node", "sysctl -w net.netfilter.nf_conntrack_udp_timeout=30"),
         ("endpoint", "iptables -D INPUT -p udp --dport 53 -j DROP"),
         ("node", f"iptables -t nat -D {TO_FIRST}"), ("node", f"iptables -t nat -I {COIN.replace(' ', ' 2 ', 1)}"))),
    "upstream-down": Recipe(
        (("upstream", "iptables -I INPUT -p udp --dport 53 -j DROP"),),
        (("upstream", "iptables -D INPUT -p udp --dport 53 -j DROP"),)),
    # … and some are there that no recording holds.
    "egress-names-the-clusterip": Recipe(           # a policy that allows DNS by the address that DNAT has replaced
        (("node", "iptables -I FORWARD -s {pod_address} -p udp --dport 53 -j DROP"),
         ("node", "iptables -I FORWARD -s {pod_address} -d {service} -p udp --dport 53 -j ACCEPT")),
        (("node", "iptables -D FORWARD -s {pod_address} -p udp --dport 53 -j DROP"),),
        (("node", "iptables -D FORWARD -s {pod_address} -d {service} -p udp --dport 53 -j ACCEPT"),)),
    "rp-filter": Recipe(                            # the way back is not the way it came, and rp_filter is strict
        (("server", "ip route replace {pod_range} dev {first_veth}"),),
        (("server", "ip route replace {pod_range} via {node_address}"),)),
    "forwarding-loop": Recipe(                      # it ends when the TTL does: 64 would be a long ladder
        (("pod", "sysctl -w net.ipv4.ip_default_ttl=8"),
         *(("server", f"ip route prepend {pod} via {{wrong_node}}") for pod in ("{first}", "{second}"))),
        tuple(("server", f"ip route del {pod} via {{wrong_node}}") for pod in ("{first}", "{second}")),
        (("pod", "sysctl -w net.ipv4.ip_default_ttl=64"),)),
    "resolv-conf-of-the-node": Recipe(
        (("pod", "cp /etc/resolv.conf /run/lab/{pod}/kept"),
         ("pod", "cp /run/lab/{node}/resolv.conf /etc/resolv.conf")),
        (("pod", "cp /run/lab/{pod}/kept /etc/resolv.conf"),)),
    "second-answer-lost": Recipe(                   # A and AAAA leave one port together; the first AAAA is lost
        (("node", f"iptables -t mangle -I {FIRST_AAAA}"),), (("node", f"iptables -t mangle -D {FIRST_AAAA}"),)),
    "tcp-answer-lost": Recipe(                      # as behind a link whose MTU is too small and that does not say so
        (("node", f"iptables -I {BIG_SEGMENTS}"),), (("node", f"iptables -D {BIG_SEGMENTS}"),)),
}
