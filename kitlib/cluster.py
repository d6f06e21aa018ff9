"""A cluster: which nodes, pods and containers it has, and in what it differs from the walkthrough's.

All of it is what docker, kubectl and the nodes themselves say; nothing is known beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kitlib.backends import Backend
from kitlib.errors import CommandFailed, KitError, NoAccess, NotFound, NotRecorded, PlaceGone, first_of
from kitlib.parsers import docker, ip, kubernetes
from kitlib.parsers.process_flags import flag
from kitlib.place import Host, Node, Place, Pod, past_rules
from kitlib.result import Result
from kitlib.sighting import DNS_PORT

if TYPE_CHECKING:
    from kitlib.journey.model import Journey

NETWORK = "kind"            # the Docker network that kind puts its nodes on
DNS_SERVICE = ("kube-system", "kube-dns")   # what most clusters call it; RKE2 and OpenShift have names of their own
SYSTEM = ("kube-system", "openshift-dns")
CONTROL_PLANE = {"control-plane", "controlplane", "master"}      # the role; RKE's, and what it was called before 1.20


@dataclass(frozen=True)
class Topology:
    """Everything that a map of the lab shows. A hostNetwork pod has no cable, and so is not on the map."""

    bridge: str                     # "br-13ebef48a9f1"
    subnet: str                     # "172.20.0.0/16"
    gateway: str                    # the host's address on the bridge
    nodes: tuple[Node, ...]
    veths: Mapping[Pod, str]        # each pod with a cable, and the node's end of it: "veth4b6923b0"
    containers: tuple[Place, ...]   # those on the bridge that are not nodes
    pod_range: str                  # "10.244.0.0/16"
    service_range: str              # "10.96.0.0/16"
    dns_service: str                # the ClusterIP of kube-dns: "10.96.0.10"

    def cables(self, node: Node) -> list[tuple[Pod, str]]:
        """Return the pods behind a cable of this node, each with the node's end of it."""
        return [(pod, veth) for pod, veth in self.veths.items() if pod.node == node]

    def along(self, journey: Journey) -> Topology:
        """Return only what the journey came by: places where it was seen, and those whose address it carried."""
        sightings = [hop.sighting for hop in journey.hops]
        places = {sighting.point.place for sighting in sightings if sighting.point}
        addresses = {end.address for sighting in sightings for end in (sighting.source, sighting.destination)}

        def passed(place: Place) -> bool:
            return place.id in places or place.address in addresses

        veths = {pod: veth for pod, veth in self.veths.items() if passed(pod)}
        nodes = tuple(node for node in self.nodes if passed(node) or any(pod.node == node for pod in veths))
        return replace(self, nodes=nodes, veths=veths, containers=tuple(filter(passed, self.containers)))


class Ranges(NamedTuple):
    """The address ranges that the cluster hands out."""

    pods: str
    services: str


class Cluster:
    """Asks a cluster about itself, for each fact once."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = backend.name

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place given by its id; most callers use Place.run."""
        try:
            return self.backend.run(place, argv)
        except PlaceGone:       # what was known about the cluster is no longer true: ask anew
            for known in vars(self).keys() - {"backend", "name"}:
                del vars(self)[known]
            raise

    def _ask(self, *argv: str) -> str:
        return self.run("host", argv).text

    @cached_property
    def network(self) -> docker.Network:
        """Read Docker's network that the nodes are on: subnet, gateway, bridge, and who is attached."""
        return docker.networks(self._ask("docker", "network", "inspect", NETWORK))[0]

    @cached_property
    def services(self) -> tuple[kubernetes.Service, ...]:
        """Read the cluster's Services, from `kubectl get services -A`."""
        return kubernetes.services(self._ask("kubectl", "get", "services", "-A", "-o", "json"))

    @cached_property
    def endpoints(self) -> tuple[kubernetes.Endpoints, ...]:
        """Read the addresses behind the Services, from `kubectl get endpointslices -A`."""
        return kubernetes.endpoints(self._ask("kubectl", "get", "endpointslices", "-A", "-o", "json"))

    @cached_property
    def dns_ports(self) -> tuple[int, ...]:
        """Return 53, and the ports of the endpoints behind every Service's port 53: CoreDNS may listen at another."""
        try:
            services, endpoints = self.services, self.endpoints
        except NotRecorded:
            return (DNS_PORT,)
        behind = {(service.namespace, service.name, port.name) for service in services for port in service.ports
                  if port.port == DNS_PORT}
        targets = {port.port for group in endpoints for port in group.ports
                   if (group.namespace, group.service, port.name) in behind}
        return (DNS_PORT, *sorted(targets - {DNS_PORT}))

    @property
    def dns_address(self) -> str:
        """Return the ClusterIP of the cluster's DNS Service; "" without one."""
        return next((service.cluster_ip for service in self.services
                     if (service.namespace, service.name) == self.dns_service_name), "")

    @cached_property
    def dns_service_name(self) -> tuple[str, str]:
        """Choose the DNS Service, by namespace and name; kube-dns where Services cannot be listed."""
        with suppress(KitError):
            return next(iter(dns_services(self.services)), DNS_SERVICE)
        return DNS_SERVICE

    @property
    def dns_endpoints(self) -> tuple[kubernetes.Endpoints, ...]:
        """Return the groups of addresses behind the DNS Service."""
        return tuple(group for group in self.endpoints if (group.namespace, group.service) == self.dns_service_name)

    @cached_property
    def host(self) -> Host:
        """Return the machine that Docker runs on, with the bridge of the nodes' network."""
        return Host("host", "host", "host", "host", self.network.gateway, self, self.network.bridge)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Read the cluster's nodes, by address."""
        found = kubernetes.nodes(self._ask("kubectl", "get", "nodes", "-o", "json"))
        prefix = _common_prefix([node.name for node in found])
        titles = {node.name: node.name.removeprefix(prefix) for node in found}
        return tuple(Node(f"node:{node.name}", titles[node.name], "node", titles[node.name], node.address, self,
                          "control plane" if CONTROL_PLANE & {*node.roles} else "worker", node.pod_cidr,
                          self._interface_name(f"node:{node.name}", node.address))
                     for node in sorted(found, key=lambda node: _by_address(node.address)))

    def _interface_name(self, node: str, address: str) -> str:
        """Find a node's interface with this address; eth0, as on kind, where the node cannot be asked."""
        with suppress(CommandFailed, NoAccess, NotRecorded):
            return next((interface.name for interface in ip.interfaces(self.run(node, ("ip", "addr")).text)
                         if address in (own.partition("/")[0] for own in interface.addresses)), "eth0")
        return "eth0"

    @cached_property
    def _listed_pods(self) -> tuple[kubernetes.Pod, ...]:
        return kubernetes.pods(self._ask("kubectl", "get", "pods", "-A", "-o", "json"))

    @property
    def pods_without_node(self) -> tuple[str, ...]:
        """Return the pods that cannot be entered, by name: not scheduled yet, ended, or on a node that is gone."""
        nodes = {node.name for node in self.nodes}
        return tuple(f"{pod.namespace}/{pod.name}" for pod in self._listed_pods if pod.node not in nodes)

    @cached_property
    def every_pod(self) -> tuple[Pod, ...]:
        """Read the cluster's pods that run on a node, by address. Those behind the DNS Service are of kind coredns."""
        nodes = {node.name: node for node in self.nodes}
        found = [pod for pod in self._listed_pods if pod.node in nodes]
        plain = [_plain_name(pod) for pod in found]
        count, answering = Counter(plain), self._answering
        pods = (Pod(f"pod:{pod.namespace}/{pod.name}", title if count[title] == 1 else f"{title} {pod.address}",
                    "coredns" if answering & {(pod.namespace, pod.name), pod.address} else "pod",
                    nodes[pod.node].title, pod.address, self, nodes[pod.node], pod.namespace, pod.host_network,
                    pod.dns_policy)
                for pod, title in zip(found, plain, strict=True))
        return tuple(sorted(pods, key=lambda pod: _by_address(pod.address)))

    @property
    def _answering(self) -> set[str | tuple[str, str]]:
        """Return who is behind the DNS Service: namespace and name of a pod, or an address where no pod is named."""
        return {(group.namespace, end.pod) if end.pod else end.address      # pods may share an address
                for group in self.dns_endpoints for end in group.endpoints}

    @property
    def coredns(self) -> tuple[Pod, ...]:
        """Return the pods behind the cluster's DNS Service, by address."""
        return tuple(pod for pod in self.every_pod if pod.kind == "coredns")

    @cached_property
    def containers(self) -> tuple[Place, ...]:
        """Return the containers on the nodes' network that are not nodes."""
        names = {node.name for node in self.nodes}
        return tuple(Place(f"container:{at.container}", at.container, "container", at.container, at.address, self)
                     for at in self.network.attachments if at.container not in names)

    @property
    def control_plane(self) -> Node:
        """Return the (first) node whose role is control plane."""
        return first_of((node for node in self.nodes if node.role == "control plane"),
                        "No node of this cluster has the role control-plane. Its nodes are: "
                        f"{', '.join(node.name for node in self.nodes) or 'none'}.")

    @cached_property
    def ranges(self) -> Ranges:
        """Read the pod range and the Service range, from the controller-manager's flags.

        Of a control plane that cannot be looked into, the nodes know which ranges their pods have, and nobody the rest.
        """
        try:
            processes = self.control_plane.run("ps", "-ef").text
        except (NotFound, NoAccess):
            return Ranges(",".join(dict.fromkeys(node.pod_range for node in self.nodes if node.pod_range)), "")
        return Ranges(flag(processes, "kube-controller-manager", "cluster-cidr"),
                      flag(processes, "kube-controller-manager", "service-cluster-ip-range"))

    @cached_property
    def topology(self) -> Topology:
        """Gather what a map of this lab shows: host, bridge, nodes, veth pairs, pods and their addresses."""
        network = self.network
        return Topology(network.bridge, network.subnet, network.gateway, self.nodes, self._veths(), self.containers,
                        *self.ranges, self.dns_address)

    def _veths(self) -> dict[Pod, str]:
        """Find the node's end of each pod's cable; a pod whose cable cannot be found is left out."""
        devices = {}
        for node in self.nodes:
            with suppress(NoAccess):
                devices |= {(node, route.destination): route.device for route in node.routes()}
        return {pod: veth for pod in self.every_pod if not pod.host_network
                and (veth := devices.get((pod.node, pod.address)) or _cable(pod))}


def dns_services(services: Iterable[kubernetes.Service]) -> list[tuple[str, str]]:
    """Return the Services that answer at UDP port 53, by namespace and name: kube-dns, the system's, others."""
    found = {(service.namespace, service.name) for service in services for port in service.ports
             if (port.port, port.protocol) == (DNS_PORT, "UDP") and service.cluster_ip not in ("", "None")}
    return sorted(found, key=lambda name: (name != DNS_SERVICE, name[0] not in SYSTEM, name))


def _cable(pod: Pod) -> str:
    try:
        return pod.veth.interface
    except KitError:      # it has no address yet, or its cable is what is broken
        return ""


def _common_prefix(names: list[str]) -> str:
    """Return what all names begin with, up to a dash: the cluster's name, as kind writes it before each node's."""
    first = names[0].split("-") if len(names) > 1 else []
    prefixes = ("-".join(first[:count]) + "-" for count in range(len(first) - 1, 0, -1))
    return next((prefix for prefix in prefixes if all(name.startswith(prefix) for name in names)), "")


def _plain_name(pod: kubernetes.Pod) -> str:
    template = pod.labels.get("pod-template-hash")
    return pod.name.partition(f"-{template}-")[0] if template else pod.name


def _by_address(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split(".")) if address.count(".") == 3 else ()


# Interfaces that give away how a cluster is set up.
NODE_CACHE = "nodelocaldns"
UNUSED_TUNNEL = "tunl0"           # is there as soon as the kernel knows IPIP; who uses it gives it an address
TUNNELS = {"flannel.1": "VXLAN", "flannel-v6.1": "VXLAN", "vxlan.calico": "VXLAN", "vxlan-v6.calico": "VXLAN",
           "cilium_vxlan": "VXLAN", "vxlan_sys_4789": "VXLAN", "vxlan-6784": "VXLAN", "cilium_geneve": "Geneve",
           "genev_sys_6081": "Geneve", "cilium_wg0": "WireGuard", "wireguard.cali": "WireGuard",
           "wg-v6.cali": "WireGuard", "flannel-wg": "WireGuard", "flannel-wg-v6": "WireGuard", "tunl0": "IPIP"}


def differences(cluster: Cluster) -> tuple[str, ...]:
    """Say each difference in a sentence, from what a node prints of its interfaces, routes, rules and tables.

    What was not recorded is passed over; what a command failed to tell is said to be unknown.
    """
    if not cluster.nodes:
        return ("This cluster has no nodes: there is nothing to follow a query through.",)
    node = cluster.coredns[0].node if cluster.coredns else cluster.nodes[-1]    # one with pods, for it has the bridge
    failures: list[str] = []

    def known(ask: Callable[[], Iterable[Any]]) -> list[Any]:
        try:
            return list(ask())
        except NotRecorded:
            return []
        except KitError as error:       # whatever it is, the other differences are told all the same
            failures.append(f"This may be a difference and is not known. {error}")
            return []

    interfaces = known(node.interfaces)
    names = {interface.name for interface in interfaces if interface.name != UNUSED_TUNNEL or interface.addresses}
    tables = known(node.nft_tables)
    proxy = [table for table in tables if table.endswith(" kube-proxy")]
    rules = known(node.ip_rules)
    found = {
        "The CNI has a bridge, {}: pods of one node meet there, not in its routes. Each still has its veth pair.":
            sorted({route.device for route in known(node.routes)
                    if route.destination == node.pod_range and not route.via}),
        "Services are in IPVS ({}): no KUBE-SVC chain rewrites the destination; `ipvsadm -Ln` shows what does. "
        "The ladder shows the same rewrite.": names & ip.IPVS,
        "kube-proxy is in nftables mode: its rules are in `nft list {}`, not in iptables. The ladder shows the same "
        "rewrite.": proxy[:1],
        "nftables has tables beside those of iptables ({}): the rule walk does not know what they do.":
            [] if proxy else tables,        # in nftables mode it reads them all
        "Packets may pass by rules and routes, through {}: the rule walk does not know what these do.":
            past_rules(names),
        "Traffic between nodes travels encapsulated ({}): a node's eth0 shows no DNS of pods; listen there instead.":
            [f"{TUNNELS[name]} at {name}" for name in sorted(names) if name in TUNNELS],
        "Policy routing is in use ({}): the rule walk does not know which packets take other routing tables.":
            ip.unusual_rules(rules) if rules else [],
        "Every node has a DNS cache of its own ({}): pods ask it first, and it asks CoreDNS.": names & {NODE_CACHE},
        "These pods run on no node, and are not looked into: {}.":
            known(lambda: cluster.pods_without_node),
        "Several Services answer at port 53 ({}): the first is taken for the cluster's DNS.":
            several if len(several := ["/".join(name) for name in dns_services(known(lambda: cluster.services))]) > 1
            else [],
        "The cluster has two address families, {}: the notebooks follow IPv4.":
            [pods for pods in known(lambda: [cluster.ranges.pods]) if "." in pods and ":" in pods],
    }
    return (*(sentence.format(", ".join(what)) for sentence, what in found.items() if what), *dict.fromkeys(failures))
