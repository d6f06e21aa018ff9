"""Which places a cluster has, from what docker, kubectl and the nodes themselves say. Nothing is known beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kitlib.errors import KitError, NotFound
from kitlib.parsers import docker, kubectl, kubectl_services
from kitlib.parsers.process_flags import flag
from kitlib.place import Host, Node, Place, Pod
from kitlib.sighting import VantagePoint
from kitlib.topology import MachineBox, NodeBox, PodBox, Topology

if TYPE_CHECKING:
    from kitlib.lab import Lab

NETWORK = "kind"                          # the Docker network that kind puts its nodes on
DNS_SERVICE = ("kube-system", "kube-dns")   # the name that every cluster gives its DNS Service


class Ranges(NamedTuple):
    """The address ranges that the cluster hands out."""
    pods: str
    services: str


def ask(lab: Lab, *argv: str) -> str:
    """What a command on the host printed."""
    return lab.run("host", argv).stdout


def network(lab: Lab) -> docker.Network:
    """Docker's network that the nodes are on."""
    return docker.networks(ask(lab, "docker", "network", "inspect", NETWORK))[0]


def services(lab: Lab) -> tuple[kubectl_services.Service, ...]:
    """The cluster's Services."""
    return kubectl_services.services(ask(lab, "kubectl", "get", "services", "-A", "-o", "json"))


def endpoints(lab: Lab) -> tuple[kubectl_services.Endpoints, ...]:
    """The addresses behind the cluster's Services."""
    return kubectl_services.endpoints(ask(lab, "kubectl", "get", "endpointslices", "-A", "-o", "json"))


def host(lab: Lab) -> Host:
    """The machine that Docker runs on, with the bridge of the nodes' network."""
    found = lab.network
    return Host("host", "host", "host", "host", found.gateway, lab, found.bridge)


def nodes(lab: Lab) -> tuple[Node, ...]:
    """The cluster's nodes, by address."""
    found = kubectl.nodes(ask(lab, "kubectl", "get", "nodes", "-o", "json"))
    prefix = _common_prefix([node.name for node in found])
    titles = {node.name: node.name.removeprefix(prefix) for node in found}
    return tuple(Node(f"node:{node.name}", titles[node.name], "node", titles[node.name], node.address, lab,
                      "control plane" if "control-plane" in node.roles else "worker", node.pod_cidr)
                 for node in sorted(found, key=lambda node: _by_address(node.address)))


def pods(lab: Lab) -> tuple[Pod, ...]:
    """The cluster's pods. Those behind the DNS Service are of kind coredns."""
    found = kubectl.pods(ask(lab, "kubectl", "get", "pods", "-A", "-o", "json"))
    answering = {endpoint.address for group in lab.endpoints if (group.namespace, group.service) == DNS_SERVICE
                 for endpoint in group.endpoints}
    plain = [_plain_name(pod) for pod in found]
    machines = {node.name: node.title for node in lab.nodes}
    return tuple(Pod(f"pod:{pod.namespace}/{pod.name}",
                     title if plain.count(title) == 1 else f"{title} {pod.address}",
                     "coredns" if pod.address in answering else "pod", machines[pod.node], pod.address, lab,
                     pod.namespace, pod.host_network, pod.dns_policy)
                 for pod, title in sorted(zip(found, plain, strict=True), key=lambda one: _by_address(one[0].address)))


def containers(lab: Lab) -> tuple[Place, ...]:
    """The containers on the nodes' network that are no nodes."""
    names = {node.name for node in lab.nodes}
    return tuple(Place(f"container:{at.container}", at.container, "container", at.container, at.address, lab)
                 for at in lab.network.attachments if at.container not in names)


def ranges(lab: Lab) -> Ranges:
    """The pod range and the Service range, from the controller-manager's flags."""
    control = next((node for node in lab.nodes if node.role == "control plane"), None)
    if control is None:
        raise NotFound("No node of this cluster has the role control-plane, so its address ranges cannot be read.")
    processes = control.run("ps", "-ef").stdout
    return Ranges(flag(processes, "kube-controller-manager", "cluster-cidr"),
                  flag(processes, "kube-controller-manager", "service-cluster-ip-range"))


def topology(lab: Lab) -> Topology:
    """What a picture of the lab shows."""
    wires = lab.network
    dns = next((service for service in lab.services if (service.namespace, service.name) == DNS_SERVICE), None)
    boxes = tuple(NodeBox(node.id, node.title, node.address, node.role, "eth0", _pod_boxes(node))
                  for node in lab.nodes)
    machines = tuple(MachineBox(at.id, at.title, at.address, at.kind) for at in lab.containers)
    return Topology(wires.bridge, wires.subnet, wires.gateway, boxes, machines, *lab.ranges,
                    dns.cluster_ip if dns else "")


def vantage_points(lab: Lab) -> tuple[VantagePoint, ...]:
    """Where a live lab listens if no point is named: both ends of every pod's cable, nodes, bridge, containers."""
    cabled = sorted((pod for pod in lab.pods() if not pod.host_network), key=lambda pod: pod.kind == "coredns")
    cables = [point for pod in cabled for point in (pod.eth0, pod.veth)]
    return (*cables, *(place.default_point for place in (*lab.nodes, lab.host, *lab.containers)))


def one_of(what: str, name: str, places: tuple, matching: tuple):
    """The place called `name`, or the single one that matches; a NotFound that lists the others if there is none."""
    exact = [place for place in places if place.name == name]
    found = exact or list(matching)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(place.name for place in (found or places))
    problem = f"{len(found)} {what}s are called {name!r}: {listed}. Give more of the name." if found else \
        f"There is no {what} {name!r}. There are: {listed}."
    raise NotFound(problem)


def _pod_boxes(node: Node) -> tuple[PodBox, ...]:
    devices = {route.destination: route.device for route in node.routes()}
    return tuple(PodBox(pod.id, pod.title, pod.address, device, pod.kind) for pod in node.pods()
                 if not pod.host_network and (device := devices.get(pod.address) or _cable(pod)))


def _cable(pod: Pod) -> str:
    try:
        return pod.veth.interface
    except KitError:      # it has no address yet, or its cable is what is broken
        return ""


def _common_prefix(names: list[str]) -> str:
    """What all names begin with, up to a dash: the cluster's name, as kind writes it before each node's."""
    first = names[0].split("-") if len(names) > 1 else []
    prefixes = ("-".join(first[:count]) + "-" for count in range(len(first) - 1, 0, -1))
    return next((prefix for prefix in prefixes if all(name.startswith(prefix) for name in names)), "")


def _plain_name(pod: kubectl.Pod) -> str:
    template = pod.labels.get("pod-template-hash")
    return pod.name.partition(f"-{template}-")[0] if template else pod.name


def _by_address(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split(".")) if address.count(".") == 3 else ()
