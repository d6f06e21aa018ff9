"""Places: the host, a node, a pod, a container. Each runs a command and has interfaces where one can listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kitlib.errors import NotFound, NotRecorded
from kitlib.parsers import ip, iptables_save, resolv_conf
from kitlib.result import Result
from kitlib.sighting import VantagePoint

if TYPE_CHECKING:
    from kitlib.netfilter.state import Netfilter


class Runner(Protocol):
    """What a place needs of a lab: that commands reach it."""

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at the place with this id."""


@dataclass(frozen=True)
class Place:
    """Somewhere a command can run. `id` is how recordings call it: "node:kind-test1-worker3"."""

    id: str
    title: str                # short, for pictures: "worker3"
    kind: str                 # pod, coredns, node, host or container
    machine: str              # the title of the node (or "host") whose kernel it lives in
    address: str
    runner: Runner = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name that docker and kubectl know it by."""
        return self.id.rpartition("/")[2].rpartition(":")[2]

    def run(self, *argv: str) -> Result:
        """Run a command here, word by word: place.run("ip", "route")."""
        return self.runner.run(self.id, argv)

    def dig(self, name: str, *options: str) -> Result:
        """Ask for a name with dig, as typed: place.dig("www.example.com", "AAAA")."""
        return self.run("dig", name, *options)

    def resolv_conf(self) -> resolv_conf.ResolvConf:
        """The resolver's settings here: /etc/resolv.conf, parsed."""
        return resolv_conf.parse(self.run("cat", "/etc/resolv.conf").stdout)

    def interfaces(self) -> tuple[ip.Interface, ...]:
        """The network interfaces here: `ip addr`, parsed."""
        return ip.interfaces(self.run("ip", "addr").stdout)

    def interface(self, name: str) -> ip.Interface:
        """One interface by its name."""
        found = {interface.name: interface for interface in self.interfaces()}
        if name not in found:
            raise NotFound(f"{self.title} has no interface {name!r}; it has {', '.join(found)}.")
        return found[name]

    def routes(self) -> tuple[ip.Route, ...]:
        """The routing table here: `ip route`, parsed."""
        return ip.routes(self.run("ip", "route").stdout)

    def at(self, interface: str) -> VantagePoint:
        """The vantage point at one of this place's interfaces, for lab.capture()."""
        return VantagePoint(self.id, interface, self.machine, self.kind, f"{self.title} {interface}")

    @property
    def eth0(self) -> VantagePoint:
        """The vantage point at this place's eth0."""
        return self.at("eth0")

    @property
    def default_point(self) -> VantagePoint:
        """Where tcpdump listens when only the place is named."""
        return self.eth0


@dataclass(frozen=True)
class Host(Place):
    """The machine that Docker runs on; its bridge connects the nodes."""

    bridge_name: str = ""

    @property
    def bridge(self) -> VantagePoint:
        """The vantage point at Docker's bridge."""
        return self.at(self.bridge_name)

    default_point = bridge


@dataclass(frozen=True)
class Node(Place):
    """A node of the cluster: a container of the host, a machine to Kubernetes."""

    role: str = ""
    pod_range: str = ""

    def netfilter(self, saved: Result | None = None) -> Netfilter:
        """What decides about packets here: rules (those `saved`, or as they stand), routes, addresses, ip_forward."""
        from kitlib.netfilter.state import Netfilter  # late: a first ladder needs no rules

        forwards = self.run("sysctl", "net.ipv4.ip_forward").stdout.strip().endswith("= 1")
        ruleset = iptables_save.parse((saved or self.run("iptables-save")).stdout)
        return Netfilter(ruleset, (*self._other_routes(), *self.routes()), self.interfaces(), forwards)

    def _other_routes(self) -> list[ip.Route]:
        """The routes of all tables but main; where they were not recorded, those to the node's own addresses."""
        try:
            every = ip.routes(self.run("ip", "route", "show", "table", "all").stdout)
            return [route for route in every if route.table != "main"]
        except NotRecorded:
            return [ip.Route(address.partition("/")[0], device=interface.name, type="local", table="local")
                    for interface in self.interfaces() for address in interface.addresses if ":" not in address]


@dataclass(frozen=True)
class Pod(Place):
    """A pod. With hostNetwork it has no network of its own: its address is the node's."""

    node: Node
    namespace: str = ""
    host_network: bool = False
    dns_policy: str = ""

    @property
    def veth(self) -> VantagePoint:
        """The node's end of the pod's cable: where the node's route to the pod leads, or what eth0 names as its peer.

        With a CNI that has a bridge there is no such route.
        """
        for route in self.node.routes():
            if route.destination == self.address and not route.via:
                return self.node.at(route.device)
        if self.host_network:
            raise NotFound(f"Pod {self.name} has no veth on {self.machine}: hostNetwork is the node's own network.")
        peer = self.interface("eth0").peer_index
        for interface in self.node.interfaces():
            if interface.index == peer:
                return self.node.at(interface.name)
        raise NotFound(f"Pod {self.name} has no veth on {self.machine}: no route leads there, none is its peer.")

    @property
    def netns(self) -> str:
        """The name of its network namespace on the node (`ip netns list`)."""
        return self.node.interface(self.veth.interface).peer_namespace
