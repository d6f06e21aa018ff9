"""Places: the host, a node, a pod, a container. Each runs a command and has interfaces where one can listen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Protocol

from kitlib.backends import KUBE_PROXY
from kitlib.errors import CommandFailed, NotFound, NotRecorded
from kitlib.parsers import ip
from kitlib.result import Result
from kitlib.sighting import VantagePoint

# Interfaces of CNIs that carry packets past rules and routes, and by what. OVN-Kubernetes, OpenShift, Antrea and
# Kube-OVN have Open vSwitch.
PAST_RULES = {"cilium_host": "eBPF programs of Cilium", "bpfin.cali": "eBPF programs of Calico",
              "ovs-system": "flows of Open vSwitch"}
# What iptables, arptables and ebtables call theirs in nftables; of family inet they have none.
OWN_TABLES = {f"table {family} {name}" for family in ("ip", "ip6", "arp", "bridge")
              for name in ("raw", "mangle", "nat", "filter", "security", "broute")}

if TYPE_CHECKING:
    from kitlib.netfilter.state import Netfilter
    from kitlib.parsers import nft
    from kitlib.parsers.iptables_save import Ruleset
    from kitlib.parsers.resolv_conf import ResolvConf


class Runner(Protocol):
    """What a place needs of its lab: that commands reach it."""

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
        """Return the name that docker and kubectl know it by."""
        return self.id.rpartition("/")[2].rpartition(":")[2]

    def run(self, *argv: str) -> Result:
        """Run a command here, word by word: place.run("ip", "route")."""
        return self.runner.run(self.id, argv)

    def dig(self, name: str, *options: str) -> Result:
        """Ask for a name with dig, as typed: place.dig("www.example.com", "AAAA")."""
        return self.run("dig", name, *options)

    def resolv_conf(self) -> ResolvConf:
        """Read the resolver's settings here, from /etc/resolv.conf."""
        from kitlib.parsers import resolv_conf  # late: many a notebook never asks

        return resolv_conf.parse(self.run("cat", "/etc/resolv.conf").text)

    def interfaces(self) -> tuple[ip.Interface, ...]:
        """Read the network interfaces here, from `ip addr`."""
        return ip.interfaces(self.run("ip", "addr").text)

    def interface(self, name: str) -> ip.Interface:
        """Return one interface by its name."""
        found = {interface.name: interface for interface in self.interfaces()}
        if name not in found:
            raise NotFound(f"{self.title} has no interface {name!r}; it has {', '.join(found)}.")
        return found[name]

    def routes(self) -> tuple[ip.Route, ...]:
        """Read the main routing table here, from `ip route`."""
        return ip.routes(self.run("ip", "route").text)

    def at(self, interface: str) -> VantagePoint:
        """Return the vantage point at one of this place's interfaces, for lab.capture()."""
        return VantagePoint(self.id, interface, self.machine, self.kind, f"{self.title} {interface}")

    @property
    def eth0(self) -> VantagePoint:
        """Return the vantage point at this place's eth0."""
        return self.at("eth0")

    @property
    def default_point(self) -> VantagePoint:
        """Return where tcpdump listens when only the place is named."""
        return self.eth0


@dataclass(frozen=True)
class Host(Place):
    """The machine that Docker runs on; its bridge connects the nodes."""

    bridge_name: str = ""

    @property
    def bridge(self) -> VantagePoint:
        """Return the vantage point at Docker's bridge."""
        return self.at(self.bridge_name)

    default_point = bridge


@dataclass(frozen=True)
class Node(Place):
    """A node of the cluster: a container of the host, a machine to Kubernetes."""

    role: str = ""
    pod_range: str = ""
    interface_name: str = "eth0"

    @property
    def eth0(self) -> VantagePoint:
        """Return the vantage point at the interface with the node's address: eth0 on kind, ens5 elsewhere."""
        return self.at(self.interface_name)

    def netfilter(self, saved: Result | None = None, listed: Result | None = None) -> Netfilter:
        """Read what decides about packets here: rules, routes, addresses, ip_forward.

        The rules are today's, or those `saved` by iptables-save and, in nftables mode, `listed` by nft -j.
        """
        from kitlib.netfilter.state import Netfilter  # late: a first ladder needs no rules
        from kitlib.parsers import iptables_save

        forwards = self._is_on("net.ipv4.ip_forward")
        saved, interfaces = saved or self.run("iptables-save"), self.interfaces()
        ruleset = iptables_save.parse(saved.text, saved.stderr)
        native, unknown = self._nftables(listed, ruleset)
        unknown += past_rules(interface.name for interface in interfaces)
        here = Netfilter(ruleset, (*self._other_routes(), *self.routes()), interfaces, forwards, tuple(unknown), native,
                         rules=self._known_rules(), settings=self._settings())
        return replace(here, ipv6=cache(lambda: self._ipv6(here)))

    def _ipv6(self, ipv4: Netfilter) -> Netfilter:
        """Read what decides about packets of IPv6; where that is not known, nothing about them is decided."""
        from kitlib.parsers import iptables_save

        try:
            saved = self.run("ip6tables-save")
            ruleset = iptables_save.parse(saved.text, saved.stderr)
            routes = ip.routes(self.run("ip", "-6", "route", "show", "table", "all").text, version=6)
            forwards = self._is_on("net.ipv6.conf.all.forwarding")
        except (NotRecorded, CommandFailed) as error:
            lacking = f"the rules and routes of IPv6 ({str(error).splitlines()[0]})"
            return replace(ipv4, ruleset=iptables_save.parse(""), routes=(), ipv6=None, unknown_routes=lacking,
                           unknown_addresses=lacking, unknown=(*ipv4.unknown, lacking))
        return replace(ipv4, ruleset=ruleset, routes=routes, forwards=forwards, ipv6=None,
                       rules=self._known_rules("-6"))

    def ip_rules(self, *options: str) -> tuple[str, ...]:
        """Read who looks up which routing table here, from `ip rule`; IPv6's with the option -6."""
        return ip.rules(self.run("ip", *options, "rule").text)

    def _known_rules(self, *options: str) -> tuple[str, ...] | None:
        try:
            return self.ip_rules(*options)
        except (NotRecorded, CommandFailed):
            return None

    def _is_on(self, setting: str) -> bool:
        return self.run("sysctl", setting).text.strip().endswith("= 1")

    def _settings(self) -> dict[str, int]:
        """Read what lets packets in or not, rp_filter and route_localnet, as far as that is known."""
        found = {}
        for name in ("rp_filter", "route_localnet"):
            with suppress(NotRecorded, CommandFailed):
                lines = self.run("sysctl", "-a", "-r", name).text.splitlines()
                found |= {key: int(value) for key, _, value in (line.partition(" = ") for line in lines)
                          if value.isdecimal()}
        return found

    def _nftables(self, listed: Result | None, saved: Ruleset) -> tuple[nft.Ruleset | None, list[str]]:
        """Read the rules of nftables if kube-proxy's are among them; else say whose are there and are not read.

        Where nft cannot be asked, kube-proxy may be there all the same, unless its rules are in iptables.
        """
        try:
            tables = self._all_nft_tables()
        except (NotRecorded, CommandFailed) as error:
            is_in_iptables = saved.chain("nat", "KUBE-SERVICES") is not None
            return None, [] if is_in_iptables else [f"the rules of nftables ({str(error).splitlines()[0]})"]
        if KUBE_PROXY not in tables:
            return None, [f"the rules of nftables in {table}" for table in _unread(tables, saved)]
        from kitlib.parsers import nft  # late: only a cluster in nftables mode has them

        try:
            return nft.ruleset((listed or self.run("nft", "-j", "list", "ruleset")).text), []
        except (NotRecorded, CommandFailed) as error:
            return None, [f"the rules of nftables in {KUBE_PROXY} ({str(error).splitlines()[0]})"]

    def nft_tables(self) -> list[str]:
        """Read the nftables tables here that are not iptables' own: "table ip kube-proxy"."""
        return [table for table in self._all_nft_tables() if table not in OWN_TABLES]

    def _all_nft_tables(self) -> list[str]:
        return self.run("nft", "list", "tables").text.splitlines()

    def _other_routes(self) -> list[ip.Route]:
        """Read the routes of all tables but main; where they were not recorded, work out the table local."""
        try:
            every = ip.routes(self.run("ip", "route", "show", "table", "all").text)
            return [route for route in every if route.table != "main"]
        except NotRecorded:
            return [route for route in local_table(self.interfaces()) if route.version == 4]


def _unread(tables: Iterable[str], saved: Ruleset) -> Iterator[str]:
    """Yield the tables of nftables that iptables-save does not print: it may be that of iptables-legacy."""
    for table in tables:
        family, _, name = table.rpartition(" ")
        if table not in OWN_TABLES:
            yield table
        elif family == "table ip" and name not in saved.tables:
            yield f"{table}, which iptables-save does not print"


def past_rules(interfaces: Iterable[str]) -> list[str]:
    """Say what may carry packets past rules and routes, where these are the interfaces."""
    return [f"{PAST_RULES[name]} at {name}" for name in sorted(interfaces) if name in PAST_RULES]


def local_table(interfaces: Iterable[ip.Interface]) -> Iterator[ip.Route]:
    """Yield what the kernel puts into its table local for these addresses (net/ipv4/fib_frontend.c, fib_add_ifaddr)."""
    for device, address in ((each.name, ip_interface(address)) for each in interfaces for address in each.addresses):
        destinations = {address.ip: "local"}
        if address.version == 4 and device == "lo" and address.network.prefixlen < 32:
            destinations[address.network] = "local"
        if address.version == 4 and address.network.prefixlen < 31:
            destinations[address.network.broadcast_address] = "broadcast"
        for destination, kind in destinations.items():
            source = str(address.ip) if address.version == 4 else ""
            yield ip.Route(str(destination), device=device, source=source, type=kind, table="local",
                           version=address.version)


@dataclass(frozen=True)
class Pod(Place):
    """A pod. With hostNetwork it has no network of its own: its address is the node's."""

    node: Node
    namespace: str = ""
    host_network: bool = False
    dns_policy: str = ""

    @property
    def veth(self) -> VantagePoint:
        """Return the node's end of the pod's cable: where the node's route to the pod leads, or eth0's own peer.

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
        """Return the name of its network namespace on the node (`ip netns list`)."""
        return self.node.interface(self.veth.interface).peer_namespace
