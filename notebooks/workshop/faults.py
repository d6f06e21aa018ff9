"""What can be broken, as data: for each fault the commands that break and fix it, and where they run.

Names in braces are filled in for a lab (see `_values`). A command runs at the pod, its node ("node"), the node of the
first DNS server ("server"), that server itself ("endpoint"), the upstream server, or the host. RECIPES are the faults
that were recorded, LIVE those that can be made on the netns lab, NFT_LIVE those that differ there in nftables mode.
Nothing here runs anything.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import NamedTuple

from kitlib.backends import KUBE_PROXY
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.netfilter.kube_proxy import ENDPOINT, chain_name
from kitlib.place import Pod

Commands = tuple[tuple[str, str], ...]            # where, and the command's words with one space between


class Recipe(NamedTuple):
    """How a fault is made and undone; what undoes it names what was changed, so that nothing else is.

    `tidies` undoes what the fault needed and nobody would fix: a dead pod stays dead.
    """

    breaks: Commands
    fixes: Commands
    tidies: Commands = ()


RECIPES = {
    "no-endpoints": Recipe(
        (("host", "kubectl -n kube-system scale deployment coredns --replicas=0"),),
        (("host", "kubectl -n kube-system scale deployment coredns --replicas=2"),)),
    "service-rules-missing": Recipe(
        (("node", "iptables -t nat -D PREROUTING -m comment --comment {portals} -j KUBE-SERVICES"),
         ("node", "iptables -t nat -D OUTPUT -m comment --comment {portals} -j KUBE-SERVICES")),
        (("node", "iptables -t nat -I PREROUTING -m comment --comment {portals} -j KUBE-SERVICES"),
         ("node", "iptables -t nat -I OUTPUT -m comment --comment {portals} -j KUBE-SERVICES"))),
    "forward-drop": Recipe((("node", "iptables -P FORWARD DROP"),), (("node", "iptables -P FORWARD ACCEPT"),)),
    "ip-forward-off": Recipe(
        (("server", "sysctl -w net.ipv4.ip_forward=0"),), (("server", "sysctl -w net.ipv4.ip_forward=1"),)),
    "route-blackhole": Recipe(
        (("node", "ip route add blackhole {lower_half}"), ("node", "ip route add blackhole {upper_half}")),
        (("node", "ip route del blackhole {lower_half}"), ("node", "ip route del blackhole {upper_half}"))),
    "route-wrong-node": Recipe(
        (("node", "ip route replace {server_range} via {wrong_node}"),),
        (("node", "ip route replace {server_range} via {server_address}"),)),
    "one-endpoint-dead": Recipe(
        (("endpoint", "iptables -I INPUT -p udp --dport 53 -j DROP"),),
        (("host", "kubectl -n kube-system delete pod {endpoint}"),)),
    "stale-conntrack": Recipe((), (("node", "conntrack -D -p udp --orig-dst {service}"),)),     # it needs a history
    "tcp-blocked": Recipe(
        (("node", "iptables -I FORWARD -p tcp --dport 53 -j DROP"),),
        (("node", "iptables -D FORWARD -p tcp --dport 53 -j DROP"),)),
    "upstream-down": Recipe((("host", "docker pause {upstream}"),), (("host", "docker unpause {upstream}"),)),
}


def placed_commands(lab: Lab, pod: Pod, steps: Commands) -> list[tuple[str, tuple[str, ...]]]:
    """Return the commands for this lab, each as the id of its place and argv. Raises NotFound without CoreDNS."""
    server = next((node for node in lab.nodes if node != pod.node and node.role == "control plane"), pod.node)
    filled = _values(lab, pod)
    places = {"host": "host", "node": pod.node.id, "server": server.id, "endpoint": lab.pods("coredns")[0].id,
              "pod": pod.id, "upstream": f"container:{filled['upstream']}"}
    return [(places[where], tuple(word.format_map(filled) for word in words.split(" "))) for where, words in steps]


def _values(lab: Lab, pod: Pod) -> dict[str, str]:
    """Return what the names in braces stand for in this lab."""
    dns = lab.pods("coredns")
    if not dns:
        raise NotFound("This lab has no CoreDNS pod, so nothing of its path can be broken.")
    server = dns[0].node
    lower, upper = (str(half) for half in ip_network(server.pod_range).subnets())
    wrong = next((node.address for node in lab.nodes if node not in (server, pod.node)), server.address)
    upstream = next((at.name for at in lab.containers if "upstream" in at.name), "")
    cables = {route.destination: route.device for route in server.routes() if not route.via}
    comments = {f"{name.replace('-', '_')}_{text.replace(' ', '_')}": f"kube-system/kube-dns:{name} {text}"
                for name in ("dns", "dns-tcp") for text in ("cluster IP", "has no endpoints")}
    return {"portals": "kubernetes service portals", "lower_half": lower, "upper_half": upper, "wrong_node": wrong,
            "server_range": server.pod_range, "server_address": server.address, "endpoint": dns[0].name,
            "service": lab.topology.dns_service, "upstream": upstream,
            "first": dns[0].address, "first_veth": cables.get(dns[0].address, ""), "second": dns[-1].address,
            "pod": pod.id, "pod_address": pod.address, "pod_veth": pod.veth.interface, "pod_range": pod.node.pod_range,
            "node": pod.node.id, "node_address": pod.node.address,
            "to_first": f"kube-system/kube-dns:dns -> {dns[0].address}:53",
            "first_chain": chain_name(ENDPOINT, "kube-system/kube-dns:dns", "udp", f"{dns[0].address}:53")} | comments


FIRST_AAAA = ("PREROUTING -i {pod_veth} -p udp --dport 53 -m string --algo bm --hex-string |00001c0001| "
              "-m limit --limit 1/hour --limit-burst 1 -j DROP")
KEPT_PORT = 33333           # of a client that always sends from the same one
BIG_SEGMENTS = "FORWARD -d {pod_address} -p tcp --sport 53 -m length --length 600:65535 -j DROP"
TO_FIRST = "KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment {to_first} -j {first_chain}"
COIN = TO_FIRST.replace("-j", "-m statistic --mode random --probability 0.5 -j")
PORTS = ("dns udp KUBE-SVC-TCOU7JCQXEZGVUNU", "dns-tcp tcp KUBE-SVC-ERIFXISQEP7F7OF4")    # name, protocol, chain


def _to_service(port: str, comment: str, target: str) -> str:
    """Write a rule for one port of the DNS Service as kube-proxy does; `comment` is the end of its comment."""
    name, protocol, chain = port.split()
    text = f"{{{name.replace('-', '_')}_{comment}}}"
    return (f"KUBE-SERVICES -d {{service}}/32 -p {protocol} -m comment --comment {text} -m {protocol} --dport 53 "
            f"-j {target.format(chain)}")


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
    "answer-from-elsewhere": Recipe(                # as behind a bridge that hides answers from conntrack
        (("node", "iptables -t raw -I PREROUTING -p udp --sport 53 -j NOTRACK"),),
        (("node", "iptables -t raw -D PREROUTING -p udp --sport 53 -j NOTRACK"),)),
    "tcp-answer-lost": Recipe(                      # as behind a link whose MTU is too small and that does not say so
        (("node", f"iptables -I {BIG_SEGMENTS}"),), (("node", f"iptables -D {BIG_SEGMENTS}"),)),
}
OTHER_TABLE = "inet egress-policy"
DNS_ENTRY = "{{ {service} . udp . 53 : goto service-FY5PMXPG-kube-system/kube-dns/udp/dns }}"
# Where kube-proxy is in nftables mode, its rules are broken with nft; of all else LIVE is right there, too.
NFT_LIVE = {
    "service-rules-missing": Recipe(
        (("node", f"nft delete element ip kube-proxy service-ips {DNS_ENTRY}"),),
        (("node", f"nft add element ip kube-proxy service-ips {DNS_ENTRY}"),)),
    "drop-in-another-table": Recipe(                # that kube-proxy's table accepts it does not help
        (("node", f"nft add table {OTHER_TABLE}"),
         ("node", f"nft add chain {OTHER_TABLE} forward {{{{ type filter hook forward priority 10 ; }}}}"),
         ("node", f"nft add rule {OTHER_TABLE} forward ip saddr {{pod_address}} udp dport 53 drop")),
        (("node", f"nft delete table {OTHER_TABLE}"),)),
}


def in_nftables_mode(lab: Lab) -> bool:
    """Say whether the lab's kube-proxy is in nftables mode; without nft it cannot be."""
    tables = lab.nodes[0].run("nft", "list", "tables")
    return not tables.rc and KUBE_PROXY in tables.text.splitlines()


def live_recipes(lab: Lab) -> dict[str, Recipe]:
    """Return the faults that can be made on this live lab, whose kube-proxy is in one mode or the other."""
    if not in_nftables_mode(lab):
        return LIVE
    others = {name: recipe for name, recipe in LIVE.items()
              if not any(" KUBE-" in command for _, command in recipe.breaks)}
    return others | NFT_LIVE
