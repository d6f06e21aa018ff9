"""The places of the netns lab and the files each is set up from: mounts, links, addresses, rules, DNS server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from kitlib.labs.netns import dns_servers
from kitlib.labs.netns.description import Description, digest, mac
from kitlib.labs.netns.rules import ruleset
from kitlib.parsers import kubectl

FILES = "/run/lab"          # in the lab's own /run; a folder for each place
NODE_SETTINGS = """\
net.ipv4.ip_forward = 1
net.ipv4.conf.all.route_localnet = 1
net.ipv4.conf.all.rp_filter = 1
net.ipv6.conf.all.disable_ipv6 = 1
"""


@dataclass(frozen=True)
class Site:
    """One place: its id, its host name, the place whose network it shares (its own if ""), its files."""

    id: str
    hostname: str
    shares: str = ""
    files: dict[str, str] = field(default_factory=dict)


def sites(lab: Description) -> Iterator[Site]:
    """Every place but the host; those that share a network come last."""
    rules = ruleset(lab)
    for node in lab.nodes:
        files = {"up.ip": "\n".join(_node_up(lab, node)), "node.rules": rules, "sysctl.conf": NODE_SETTINGS,
                 "dnsmasq.conf": dns_servers.dockers_resolver(lab)}
        yield Site(f"node:{node.name}", node.name,
                   files=files | _own_files(f"node:{node.name}", node.address, node.name, node_resolv_conf(lab)))
    for container in lab.settings.get("containers", ()):
        name, address = container["name"], container["address"]
        files = {"up.ip": "\n".join(_machine_up(lab, address, container.get("routes", ())))}
        if name == lab.settings["upstream"]["container"]:
            files["dnsmasq.conf"] = dns_servers.upstream(lab)
        yield Site(f"container:{name}", name, files=files | _own_files(
            f"container:{name}", address, name, f"nameserver {dns_servers.upstream_address(lab)}\n"))
    yield from (_pod(lab, pod) for pod in sorted(lab.pods, key=lambda pod: pod.host_network))


def cables(lab: Description, pids: dict[str, str]) -> dict[str, str]:
    """The `ip -batch` of the host and of each node that lays their cables to the places with these process ids."""
    bridge, subnet = lab.network.bridge, lab.network.subnet
    host = ["link set lo up", f"link add {bridge} type bridge",
            f"addr add {lab.network.gateway}/{subnet.partition('/')[2]} brd + dev {bridge}", f"link set {bridge} up"]
    batches = {}
    for end in lab.network.attachments:
        place = next(place for place in pids if place in (f"node:{end.container}", f"container:{end.container}"))
        cable = f"veth{digest(end.container, 7)}"
        host += [f"link add {cable} type veth peer name eth0 address {mac(end.address)} netns {pids[place]}",
                 f"link set {cable} master {bridge} up"]
    for node in lab.nodes:
        batches[f"node:{node.name}"] = "\n".join(
            line for pod in _cabled(lab, node) for line in (
                f"netns attach {namespace(pod)} {pids[place_of(pod)]}",
                f"link add {veth(pod)} type veth peer name eth0 netns {pids[place_of(pod)]}"))
    return batches | {"host": "\n".join(host)}


def place_of(pod: kubectl.Pod) -> str:
    """The id of a pod's place."""
    return f"pod:{pod.namespace}/{pod.name}"


def veth(pod: kubectl.Pod) -> str:
    """The name of the node's end of a pod's cable, as CNI's ptp plugin makes them up."""
    return f"veth{digest(place_of(pod), 8)}"


def namespace(pod: kubectl.Pod) -> str:
    """The name of a pod's network namespace on its node."""
    return f"cni-{uuid.uuid5(uuid.NAMESPACE_URL, place_of(pod))}"


def node_resolv_conf(lab: Description) -> str:
    """The nodes' resolv.conf, as kind rewrites Docker's: the gateway instead of 127.0.0.11."""
    return f"nameserver {lab.network.gateway}\noptions ndots:0\n"


def _pod(lab: Description, pod: kubectl.Pod) -> Site:
    place, node = place_of(pod), f"node:{pod.node}"
    hostname = pod.node if pod.host_network else pod.name
    files = _own_files(place, pod.address, hostname, _pod_resolv_conf(lab, pod))
    if not pod.host_network:
        files["up.ip"] = "\n".join(_pod_up(lab, pod))
    if lab.answers_dns(pod):
        files["dnsmasq.conf"] = dns_servers.coredns(lab)
    return Site(place, hostname, node if pod.host_network else "", files)


def _own_files(place: str, address: str, hostname: str, resolv_conf: str) -> dict[str, str]:
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n"
    mounts = [f"{FILES}/{place}/{name} /etc/{name} none bind" for name in ("resolv.conf", "hosts", "nsswitch.conf")]
    mounts.append("lab-sys /sys sysfs defaults")
    if place.startswith("node:"):
        mounts.append("lab-netns /run/netns tmpfs defaults")
    return {"resolv.conf": resolv_conf, "hosts": hosts, "nsswitch.conf": "hosts: files dns\n",
            "fstab": "\n".join(mounts) + "\n"}


def _pod_resolv_conf(lab: Description, pod: kubectl.Pod) -> str:
    """What the kubelet writes for the pod's dnsPolicy (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/)."""
    if pod.dns_policy == "None":
        spec = next(item["spec"] for item in lab.objects["pods"] if item["metadata"]["name"] == pod.name)["dnsConfig"]
        options = [option["name"] + (f":{option['value']}" if "value" in option else "") for option in spec["options"]]
        servers, searches = spec["nameservers"], spec["searches"]
    elif pod.dns_policy == "Default" or (pod.dns_policy == "ClusterFirst" and pod.host_network):
        return node_resolv_conf(lab)
    else:
        domain = lab.settings["domain"]
        servers, options = [lab.dns_address], ["ndots:5"]
        searches = [f"{pod.namespace}.svc.{domain}", f"svc.{domain}", domain]
    lines = [f"search {' '.join(searches)}", *(f"nameserver {server}" for server in servers)]
    return "\n".join([*lines, f"options {' '.join(options)}"]) + "\n"


def _machine_up(lab: Description, address: str, routes: tuple | list = ()) -> list[str]:
    length = lab.network.subnet.partition("/")[2]
    return ["link set lo up", f"addr add {address}/{length} brd + dev eth0", "link set eth0 up",
            f"route add default via {lab.network.gateway}",
            *(f"route add {route['to']} via {route['via']}" for route in routes)]


def _node_up(lab: Description, node: kubectl.Node) -> list[str]:
    others = [{"to": other.pod_cidr, "via": other.address} for other in lab.nodes if other != node]
    return [*_machine_up(lab, node.address, others),
            *(line for pod in _cabled(lab, node) for line in (
                f"addr add {_first(node)}/32 dev {veth(pod)}", f"link set {veth(pod)} up",
                f"route add {pod.address} dev {veth(pod)} scope host"))]


def _pod_up(lab: Description, pod: kubectl.Pod) -> list[str]:
    """Addresses and routes as CNI's ptp plugin makes them: even the pod's own range goes by way of the node."""
    node = next(node for node in lab.nodes if node.name == pod.node)
    length, gateway = node.pod_cidr.partition("/")[2], _first(node)
    return ["link set lo up", f"addr add {pod.address}/{length} brd + dev eth0", "link set eth0 up",
            f"route del {node.pod_cidr} dev eth0", f"route add {gateway} dev eth0 scope link src {pod.address}",
            f"route add {node.pod_cidr} via {gateway} dev eth0 src {pod.address}", f"route add default via {gateway}"]


def _cabled(lab: Description, node: kubectl.Node) -> list[kubectl.Pod]:
    return [pod for pod in lab.pods if pod.node == node.name and not pod.host_network]


def _first(node: kubectl.Node) -> str:
    return str(ip_network(node.pod_cidr)[1])
