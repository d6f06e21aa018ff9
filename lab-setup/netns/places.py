"""The places of the netns lab, and the files that each is set up from: mounts, addresses, routes, rules, DNS server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from kitlib.parsers import kubernetes
from kitlib.sighting import DNS_PORT
from netns_lab.description import Description, cni_namespace, digest, fill, mac, place_of, veth
from netns_lab.rules import nft_ruleset, ruleset, without_kube_proxy

FILES = "/run/lab"          # in the lab's own /run; a folder for each place


def coredns(lab: Description) -> str:
    """Configure the dnsmasq that plays CoreDNS: a name for each Service, and one for each of its named ports."""
    names = []
    for service in lab.services:
        name = f"{service.name}.{service.namespace}.svc.{lab.settings['domain']}"
        names.append(f"host-record={name},{service.cluster_ip},30")
        names += [f"srv-host=_{port.name}._{port.protocol.lower()}.{name},{name},{port.port}"
                  for port in service.ports if port.name]
    targets = [end.rpartition(":")[2] for port in lab.service_ports() if (port.address, port.port) == (
        lab.dns_address, DNS_PORT) for end in port.endpoints]
    return fill("coredns.conf", port=next(iter(targets), DNS_PORT), domain=lab.settings["domain"],
                gateway=lab.network.gateway, names="\n".join(names))


def dockers_resolver(lab: Description) -> str:
    """Configure the dnsmasq that plays Docker's resolver on each node."""
    names = [f"host-record={end.container},{end.address}" for end in lab.network.attachments]
    return fill("docker-resolver.conf", port=lab.settings["network"]["resolver_port"],
                upstream=upstream_address(lab), names="\n".join(names))


def upstream(lab: Description) -> str:
    """Configure the dnsmasq that plays all the other servers of the world."""
    settings = lab.settings["upstream"]
    long = settings.get("long_text", {"strings": 0})
    texts = [f'txt-record={long["name"]},"{n:02d}-{"x" * (long["length"] - 3)}"' for n in range(long["strings"])]
    return fill("upstream.conf", names="\n".join([*settings["records"], *texts]))


def upstream_address(lab: Description) -> str:
    """Return the address of the machine that plays them."""
    name = lab.settings["upstream"]["container"]
    return next(end.address for end in lab.network.attachments if end.container == name)


@dataclass(frozen=True)
class Site:
    """One place: its id, its host name, the place whose network it shares (its own if ""), its files."""

    id: str
    hostname: str
    files: dict[str, str]
    shares: str = ""


def sites(lab: Description) -> Iterator[Site]:
    """Set up every place but the host; those that share a network come last."""
    rules, settings, resolver = ruleset(lab), fill("node.sysctl"), dockers_resolver(lab)
    is_nftables = lab.mode == "nftables"
    rules = without_kube_proxy(rules) if is_nftables else rules
    for node in lab.nodes:
        files = {"up.ip": _node_up(lab, node), "node.rules": rules, "node.sysctl": settings, "dnsmasq.conf": resolver}
        files |= {"node.nft": nft_ruleset(lab, node)} if is_nftables else {}
        yield _site(f"node:{node.name}", node.address, node.name, _node_resolv_conf(lab), files)
    for container in lab.settings.get("containers", ()):
        name, address = container["name"], container["address"]
        routes = [f"route add {route['to']} via {route['via']}" for route in container.get("routes", ())]
        files = {"up.ip": _machine_up(lab, address, routes)}
        if name == lab.settings["upstream"]["container"]:
            files["dnsmasq.conf"] = upstream(lab)
        yield _site(f"container:{name}", address, name, f"nameserver {upstream_address(lab)}\n", files)
    yield from (_pod(lab, pod) for pod in sorted(lab.pods, key=lambda pod: pod.host_network))


def cables(lab: Description, pids: dict[str, str]) -> dict[str, str]:
    """Write the `ip -batch` of the host and of each node that lays the cables to the places with these process ids."""
    bridge, length = lab.network.bridge, lab.network.subnet.partition("/")[2]
    host = ["link set lo up", f"link add {bridge} type bridge",
            f"addr add {lab.network.gateway}/{length} brd + dev {bridge}", f"link set {bridge} up"]
    for end in lab.network.attachments:
        place = f"node:{end.container}" if f"node:{end.container}" in pids else f"container:{end.container}"
        cable = f"veth{digest(end.container, 7)}"
        host += [f"link add {cable} type veth peer name eth0 address {mac(end.address)} netns {pids[place]}",
                 f"link set {cable} master {bridge} up"]
    return {"host": "\n".join(host)} | {f"node:{node.name}": "\n".join(
        line for pod in _cabled(lab, node) for line in (
            f"netns attach {cni_namespace(pod)} {pids[place_of(pod)]}",
            f"link add {veth(pod)} type veth peer name eth0 netns {pids[place_of(pod)]}")) for node in lab.nodes}


def _site(place: str, address: str, hostname: str, resolv_conf: str, files: dict[str, str], shares: str = "") -> Site:
    mounts = fill("fstab", files=f"{FILES}/{place}")
    if place.startswith("node:"):
        mounts += "lab-netns /run/netns tmpfs defaults\n"
    own = {"fstab": mounts, "resolv.conf": resolv_conf, "nsswitch.conf": "hosts: files dns\n",
           "hosts": fill("hosts", address=address, hostname=hostname)}
    return Site(place, hostname, files | own, shares)


def _pod(lab: Description, pod: kubernetes.Pod) -> Site:
    node = next(node for node in lab.nodes if node.name == pod.node)
    files = {"dnsmasq.conf": coredns(lab)} if lab.answers_dns(pod) else {}
    conf = _pod_resolv_conf(lab, pod)
    if pod.host_network:
        return _site(place_of(pod), pod.address, pod.node, conf, files, f"node:{pod.node}")
    # As CNI's ptp plugin makes them: even to the pod's own range the way leads over the node.
    files["up.ip"] = fill("pod.ip", address=pod.address, range=node.pod_cidr, gateway=_first(node),
                          length=node.pod_cidr.partition("/")[2])
    return _site(place_of(pod), pod.address, pod.name, conf, files)


def _node_resolv_conf(lab: Description) -> str:
    """Write it as kind rewrites Docker's: the gateway instead of 127.0.0.11."""
    return f"nameserver {lab.network.gateway}\noptions ndots:0\n"


def _pod_resolv_conf(lab: Description, pod: kubernetes.Pod) -> str:
    """Write what the kubelet writes: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/."""
    if pod.dns_policy == "Default" or (pod.dns_policy == "ClusterFirst" and pod.host_network):
        return _node_resolv_conf(lab)
    domain = lab.settings["domain"]
    config = {"nameservers": [lab.dns_address], "options": [{"name": "ndots", "value": "5"}],
              "searches": [f"{pod.namespace}.svc.{domain}", f"svc.{domain}", domain]}
    if pod.dns_policy == "None":
        config = next(item["spec"] for item in lab.objects["pods"] if item["metadata"]["name"] == pod.name)["dnsConfig"]
    options = [option["name"] + (f":{option['value']}" if "value" in option else "") for option in config["options"]]
    return "\n".join([f"search {' '.join(config['searches'])}", *(f"nameserver {at}" for at in config["nameservers"]),
                      f"options {' '.join(options)}\n"])


def _machine_up(lab: Description, address: str, more: Iterable[str]) -> str:
    return fill("machine.ip", address=address, gateway=lab.network.gateway, more="\n".join(more),
                length=lab.network.subnet.partition("/")[2])


def _node_up(lab: Description, node: kubernetes.Node) -> str:
    more = [f"route add {other.pod_cidr} via {other.address}" for other in lab.nodes if other != node]
    for pod in _cabled(lab, node):
        more += [f"addr add {_first(node)}/32 dev {veth(pod)}", f"link set {veth(pod)} up",
                 f"route add {pod.address} dev {veth(pod)} scope host"]
    return _machine_up(lab, node.address, more)


def _cabled(lab: Description, node: kubernetes.Node) -> list[kubernetes.Pod]:
    return [pod for pod in lab.pods if pod.node == node.name and not pod.host_network]


def _first(node: kubernetes.Node) -> str:
    return str(ip_network(node.pod_cidr)[1])
