"""What can be broken, as data: for each fault the commands that break and mend it, and where they run.

Names in braces are filled in for a lab: see `values`. Where a command runs is the pod, its node ("node"), the node of
the first DNS server ("server"), that server itself ("endpoint"), the upstream server, or the host. Nothing here runs
anything.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from kitlib.errors import NotFound
from kitlib.netfilter.kube_proxy import endpoint_chain

if TYPE_CHECKING:
    from kitlib.lab import Lab
    from kitlib.place import Pod

Commands = tuple[tuple[str, str], ...]            # where, and the command's words with one space between


class Recipe(NamedTuple):
    """How a fault is made and undone; what undoes it names what was changed, so that nothing else is.

    `tidies` undoes what the fault needed and nobody would mend: a dead pod stays dead.
    """

    breaks: Commands
    mends: Commands
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


def commands(lab: Lab, pod: Pod, steps: Commands) -> list[tuple[str, tuple[str, ...]]]:
    """The commands of a recipe for this lab: the id of the place, and argv. Raises NotFound."""
    server = next((node for node in lab.nodes if node != pod.node and node.role == "control plane"), pod.node)
    dns = next((at for at in lab.pods("coredns")), None)
    filled = values(lab, pod)
    places = {"host": "host", "node": pod.node.id, "server": server.id, "endpoint": dns.id if dns else "",
              "pod": pod.id, "upstream": f"container:{filled['upstream']}"}
    return [(places[where], tuple(word.format_map(filled) for word in words.split(" "))) for where, words in steps]


def values(lab: Lab, pod: Pod) -> dict[str, str]:
    """What the names in braces stand for in this lab."""
    dns = lab.pods("coredns")
    if not dns:
        raise NotFound("This lab has no CoreDNS pod, so nothing of its path can be broken.")
    server = dns[0].node
    lower, upper = (str(half) for half in ip_network(server.pod_range).subnets())
    wrong = next((node.address for node in lab.nodes if node not in (server, pod.node)), server.address)
    upstream = next((at.name for at in lab.containers if "upstream" in at.name), "")
    cables = {route.destination: route.device for route in server.routes() if not route.via}
    comments = {f"{name.replace('-', '_')}_{said.replace(' ', '_')}": f"kube-system/kube-dns:{name} {said}"
                for name in ("dns", "dns-tcp") for said in ("cluster IP", "has no endpoints")}
    return {"portals": "kubernetes service portals", "lower_half": lower, "upper_half": upper, "wrong_node": wrong,
            "server_range": server.pod_range, "server_address": server.address, "endpoint": dns[0].name,
            "service": lab.topology.dns_service, "upstream": upstream,
            "first": dns[0].address, "first_veth": cables.get(dns[0].address, ""), "second": dns[-1].address,
            "pod": pod.id, "pod_address": pod.address, "pod_veth": pod.veth.interface, "pod_range": pod.node.pod_range,
            "node": pod.node.id, "node_address": pod.node.address,
            "to_first": f"kube-system/kube-dns:dns -> {dns[0].address}:53",
            "first_chain": endpoint_chain("kube-system/kube-dns:dns", "udp", f"{dns[0].address}:53")} | comments
