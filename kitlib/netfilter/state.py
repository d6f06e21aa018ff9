"""What of a kernel decides about packets: rules, routes, addresses; and the route that a destination gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from kitlib.parsers.ip import Interface, Route
from kitlib.parsers.iptables_save import Ruleset

TABLES = ("local", "main", "default")     # in the order in which `ip rule` asks them, unless somebody changed it
NO_WAY = {"blackhole": "the packet is dropped without a word", "unreachable": "the sender is told: host unreachable",
          "prohibit": "the sender is told: prohibited", "": "no route leads there: the sender is told: net unreachable"}


@dataclass(frozen=True)
class Decision:
    """What the routes say of a destination: the chosen route (None: there is none), in words, and all that fit."""

    destination: str
    route: Route | None
    why: str
    fitting: tuple[Route, ...]

    @property
    def is_local(self) -> bool:
        """Is the packet for this machine itself (or for everybody)?"""
        return self.route is not None and self.route.type in ("local", "broadcast", "multicast")

    @property
    def device(self) -> str:
        """The interface that it leads out of: what is for this machine stays on the loopback."""
        return "lo" if self.is_local else self.route.device if self.route else ""

    @property
    def is_way(self) -> bool:
        """Does a route lead on?"""
        return self.route is not None and self.route.type == "unicast"


@dataclass(frozen=True)
class Netfilter:
    """What decides about packets on one kernel. `routes` are of all tables (`ip route show table all`).

    Not looked at: rules of `ip rule` beyond the usual three, rp_filter, route_localnet. Taken for granted: some rule
    needs conntrack (DNAT, `-m conntrack`, …); where none does, the kernel tracks nothing and does not look into nat.
    """

    ruleset: Ruleset
    routes: tuple[Route, ...]
    interfaces: tuple[Interface, ...] = ()
    forwards: bool = True                 # net.ipv4.ip_forward

    @cached_property
    def _networks(self) -> list[tuple[int, int, Route]]:
        """IPv4 routes as (address, mask, route), in the order in which the kernel prefers them."""
        def rank(entry: tuple[int, int, Route]) -> tuple[int, int]:
            return TABLES.index(entry[2].table), -entry[1]

        known = [route for route in self.routes if ":" not in route.destination and route.table in TABLES]
        networks = [(route, IPv4Network("0.0.0.0/0" if route.destination == "default" else route.destination))
                    for route in known]
        return sorted(((int(net.network_address), int(net.netmask), route) for route, net in networks), key=rank)

    def _fitting(self, destination: str) -> Iterator[Route]:
        address = int(IPv4Address(destination))
        return (route for network, mask, route in self._networks if address & mask == network)

    def route(self, destination: str) -> Decision:
        """The route for a destination: of the first table that has one, the longest prefix (ip-route(8), RFC 1812)."""
        fitting = tuple(self._fitting(destination))
        chosen = next((route for route in fitting if route.type != "throw"), None)
        if chosen is None:
            return Decision(destination, None, f"{destination}: {NO_WAY['']}", ())
        own = chosen.destination == destination
        words = f"{destination} has a route of its own" if own else f"{destination} fits {_named(chosen)}"
        longer = [_named(route) for route in fitting if route is not chosen and route.table == chosen.table]
        words += f", a longer prefix than {' and '.join(longer)}" if longer and not own else ""
        return Decision(destination, chosen, f"{words}: {_what_follows(chosen)}", fitting)

    def type_of(self, address: str) -> str:
        """What addrtype calls an address here: LOCAL, BROADCAST, MULTICAST or UNICAST (fib_frontend.c)."""
        if IPv4Address(address).is_multicast:
            return "MULTICAST"
        if address in ("0.0.0.0", "255.255.255.255"):
            return "BROADCAST"
        local = next((route for route in self._fitting(address) if route.table == "local"), None)
        return local.type.upper() if local else "UNICAST"

    def source_for(self, decision: Decision) -> str:
        """The address that this machine gives what it sends that way (`src` of `ip route get`)."""
        if decision.route is None:
            return ""
        return decision.route.source or self.address_of(decision.route.device, decision.route.via)

    def masquerade_address(self, interface: str, destination: str) -> str:
        """The address that MASQUERADE takes: the out-interface's, near the next hop; on lo, no loopback address.

        Source: net/ipv4/devinet.c, inet_select_addr.
        """
        route = self.route(destination).route
        near = route.via if route and route.via else destination
        others = (self.address_of(found.name) for found in self.interfaces if found.name != "lo")
        return self.address_of(interface, near, loopback=False) or next(filter(None, others), "")

    def address_of(self, interface: str, near: str = "", loopback: bool = True) -> str:
        """The first IPv4 address of an interface, one in the network of `near` if it has such; "" if it has none."""
        own = [address.split("/") for found in self.interfaces if found.name == interface
               for address in found.addresses if ":" not in address and (loopback or not address.startswith("127."))]
        fits = [address for address, length in own
                if near and IPv4Address(near) in IPv4Network(f"{address}/{length}", strict=False)]
        return next(iter([*fits, *(address for address, _ in own)]), "")


def _named(route: Route) -> str:
    return "the default route" if route.destination == "default" else route.destination


def _what_follows(route: Route) -> str:
    if route.type in NO_WAY:
        return f"{route.type}, {NO_WAY[route.type]}"
    if route.type != "unicast":
        return f"{route.type}, it is for this machine"
    return f"via {route.via}, out of {route.device}" if route.via else f"directly out of {route.device}"
