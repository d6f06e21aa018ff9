"""What decides about packets on one machine: rules, routes and addresses; and the route that a destination gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from kitlib.parsers.ip import IPVS, Interface, Route, unusual_rules
from kitlib.parsers.iptables_save import Ruleset

if TYPE_CHECKING:
    from kitlib.parsers import nft

TABLES = ("local", "main", "default")     # in the order in which `ip rule` asks them, unless somebody changed it
GETS = "the sender gets the error"
NO_WAY = {"blackhole": "the packet is dropped, and the sender hears nothing of it",
          "unreachable": f"{GETS}: host unreachable", "prohibit": f"{GETS}: prohibited",
          "": f"no route leads there: {GETS}: net unreachable"}
NOBODY = {"0.0.0.0": "0.0.0.0 stands for this machine where a program sends to it, and is nobody's address in a packet",
          "255.255.255.255": "255.255.255.255 is everybody on a link, and which link that is, no route says"}


@dataclass(frozen=True)
class Decision:
    """The routing decision for a destination: the chosen route (None: there is none), why, and all routes that fit.

    `unknown` says why the kernel may decide otherwise.
    """

    destination: str
    route: Route | None
    why: str
    fitting: tuple[Route, ...] = ()
    unknown: str = ""

    @property
    def is_local(self) -> bool:
        """True if the packet is for this machine itself (or for everybody)."""
        return self.route is not None and self.route.type in ("local", "broadcast", "multicast", "anycast")

    @property
    def is_unicast(self) -> bool:
        """True if a route leads on."""
        return self.route is not None and self.route.type == "unicast"

    @property
    def device(self) -> str:
        """The interface that it leads out of: what is for this machine stays on the loopback."""
        return "lo" if self.is_local else self.route.device if self.route else ""


@dataclass(frozen=True)
class Netfilter:
    """What decides about packets on one machine. `routes` are of all tables (`ip route show table all`).

    `unknown`: what else decides here, in words ("eBPF programs at eth0"): every packet's end is undecided then.
    `rules`: the lines of `ip rule`; None where they are not known. Those that are not on every machine are not applied:
    a packet that one of them may send to another table is undecided.
    `unknown_routes`, `unknown_addresses`: why these are not known, if so: what depends on them is undecided.
    `settings`: rp_filter and route_localnet as `sysctl -a` names them, as far as known; None: they let everything in.
    Taken for granted: some rule needs conntrack (DNAT, `-m conntrack`, …);
    where none does, the kernel tracks nothing and does not look into nat.
    """

    ruleset: Ruleset
    routes: tuple[Route, ...]
    interfaces: tuple[Interface, ...] = ()
    forwards: bool = True                 # net.ipv4.ip_forward
    unknown: tuple[str, ...] = ()
    nft: nft.Ruleset | None = None        # where nftables decides; `ruleset` then explains the tables of iptables-nft
    unknown_routes: str = ""
    unknown_addresses: str = ""
    rules: tuple[str, ...] | None = None
    settings: Mapping[str, int] | None = None
    ipv6: Callable[[], Netfilter] | None = field(default=None, repr=False, compare=False)

    def of(self, address: str) -> Netfilter:
        """Return what decides about packets from this address: IPv6 has rules of its own, read when first needed."""
        return self.ipv6() if self.ipv6 and ":" in address else self

    def way_in(self, interface: str) -> str:
        """Return the interface by which a packet comes in that was seen at this one: of a bridge's port, the bridge."""
        return next((found.master for found in self.interfaces if found.name == interface and found.master), interface)

    def may_be_bridge(self, interface: str) -> bool:
        """Tell whether an interface has ports, or may have, for no interfaces are known."""
        return bool(interface) and (not self.interfaces or any(found.master == interface for found in self.interfaces))

    @cached_property
    def _networks(self) -> list[tuple[int, int, int, Route]]:
        """Routes as (IP version, address, mask, route), in the order in which the kernel prefers them."""
        found = []
        for route in (route for route in self.routes if route.table in TABLES and not route.is_dead):
            everything = "::/0" if route.version == 6 else "0.0.0.0/0"
            network = ip_network(everything if route.destination == "default" else route.destination)
            found.append((route.version, int(network.network_address), int(network.netmask), route))
        return sorted(found, key=lambda entry: (TABLES.index(entry[3].table), -entry[2], entry[3].metric))

    def _fitting(self, destination: str) -> Iterator[Route]:
        address = ip_address(destination)
        return (route for version, network, mask, route in self._networks
                if version == address.version and int(address) & mask == network)

    def route(self, destination: str) -> Decision:
        """Find the route for a destination: of the first table that has one, the longest prefix (ip-route(8))."""
        if destination in NOBODY:
            return Decision(destination, None, NOBODY[destination], (), NOBODY[destination])
        fitting = tuple(self._fitting(destination))
        left = {}       # of each table the first that fits; `throw` goes on with the next table
        for route in fitting:
            left.setdefault(route.table, route)
        chosen = next((route for route in left.values() if route.type != "throw"), None)
        if chosen is None:
            why = f"{destination}: {self.unknown_routes or NO_WAY['']}"
            return Decision(destination, None, why, (), self._policy(""))
        own = chosen.destination == destination
        words = f"{destination} has a route of its own" if own else f"{destination} fits {_named(chosen)}"
        longer = [_named(route) for route in fitting if route is not chosen and route.table == chosen.table]
        words += f", a longer prefix than {' and '.join(longer)}" if longer and not own else ""
        return Decision(destination, chosen, f"{words}: {_consequence(chosen)}", fitting,
                        self._doubt(destination, chosen, fitting))

    def _doubt(self, destination: str, chosen: Route, fitting: tuple[Route, ...]) -> str:
        """Say why the kernel may not use the chosen route; "" if it does."""
        if chosen.unknown:
            return chosen.unknown
        if chosen.device in IPVS:
            return f"{destination} is an address of IPVS, which sends it to an endpoint by a table of its own"
        if hidden := self._hidden_by_local(chosen, fitting):
            return hidden
        twins = {route for route in fitting if (route.destination, route.table) == (chosen.destination, chosen.table)}
        if chosen.version == 6 and len(twins) > 1:
            return f"{_named(chosen)} is there {len(twins)} times, and which is taken is not known here"
        return self._policy(chosen.table)

    def _hidden_by_local(self, chosen: Route, fitting: tuple[Route, ...]) -> str:
        """Say that a longer prefix may come before a route of table local ("" if none does).

        IPv4 keeps local and main as one table until `ip rule` is changed for the first time (fib_unmerge).
        """
        if chosen.table != "local" or chosen.version == 6 or self._policy("main"):
            return ""
        longer = next((route for route in fitting if _length(route) > _length(chosen)), None)
        return f"{_named(longer)} of table {longer.table} is longer than {_named(chosen)} of table local: it comes " \
               "first as long as `ip rule` has never been changed, which is not known here" if longer else ""

    def _policy(self, table: str) -> str:
        """Say why a route of another table may be used before this one ("": no table has any); "" if none may be."""
        if self.unknown_routes and table != "local":
            return self.unknown_routes
        if self.rules is not None:
            found = ", ".join(f"“{rule}”" for rule in unusual_rules(self.rules, table))
            return found and f"`ip rule` has {found}, and which packets that is for is not known here"
        others = "" if table == "local" else ", ".join(sorted({route.table for route in self.routes} - {*TABLES}))
        return others and f"there are routes in table {others}, and which packets use them is not known here"

    def setting(self, name: str, interface: str) -> int | None:
        """Return a setting as it holds at an interface, the greater of its own and everybody's; None if not known."""
        names = ("all", interface.replace(".", "/"))
        everybody, own = (self.settings.get(f"net.ipv4.conf.{of}.{name}") for of in names)
        is_on = name == "route_localnet" and everybody == 1
        return everybody if is_on else None if None in (everybody, own) else max(everybody, own)

    def type_of(self, address: str) -> str:
        """Return what addrtype calls an address: LOCAL, BROADCAST, MULTICAST or UNICAST; "" if that is not known.

        Source: net/ipv4/fib_frontend.c, inet_addr_type.
        """
        if ip_address(address).is_multicast:
            return "MULTICAST"
        if address in ("0.0.0.0", "255.255.255.255"):
            return "BROADCAST"
        local = next((route for route in self._fitting(address) if route.table == "local"), None)
        if local is None:
            return "" if self.unknown_addresses else "UNICAST"
        return "" if local.unknown else local.type.upper()

    def source_for(self, decision: Decision) -> str:
        """Return the address that this machine gives what it sends that way (`src` of `ip route get`)."""
        if decision.route is None:
            return ""
        if ":" in decision.destination:
            return decision.route.source or self._source_by_rfc_6724(decision.device, decision.destination)
        if decision.route.source or decision.route.type == "local":
            return decision.route.source or decision.destination
        return self.address_of(decision.route.device, _next_hop(decision.route))

    def masquerade_address(self, interface: str, destination: str) -> str:
        """Return the address that MASQUERADE takes: the out-interface's, near the next hop; on lo, no loopback address.

        Source: net/ipv4/devinet.c, inet_select_addr; for IPv6 see below.
        """
        if ":" in destination:
            return self._source_by_rfc_6724(interface, destination)
        route = self.route(destination).route
        near = _next_hop(route) or destination
        others = (self.address_of(found.name, near) for found in self.interfaces if found.name != "lo")
        return self.address_of(interface, near, loopback=False) or next(filter(None, others), "")

    def _source_by_rfc_6724(self, interface: str, destination: str) -> str:
        """Choose among all IPv6 addresses: the same, a wide enough scope, the out-interface's, the longest prefix.

        Source: RFC 6724, section 5; net/ipv6/addrconf.c, ipv6_get_saddr_eval.
        """
        goal = ip_address(destination)

        def worth(found: tuple[str, IPv6Address, bool]) -> tuple:
            name, address, is_avoided = found
            is_wide = _is_global(address) >= _is_global(goal)
            common = 128 - (int(address) ^ int(goal)).bit_length()
            is_near = is_wide != _is_global(address)
            return address == goal, is_wide, is_near, not is_avoided, name == interface, common

        own = [(found.name, ip_interface(address).ip, address in found.avoided) for found in self.interfaces
               for address in found.addresses if ":" in address]
        return str(max(own, key=worth)[1]) if own else ""

    def address_of(self, interface: str, near: str, loopback: bool = True) -> str:
        """Return an interface's first address of the version of `near`, one in its network if possible; "" without."""
        goal = ip_address(near or "0.0.0.0")
        own = [address for found in self.interfaces if found.name == interface
               for address in map(ip_interface, found.addresses)
               if address.version == goal.version and (loopback or not address.is_loopback)]
        fits = [address for address in own if goal in address.network]
        return str(next(iter([*fits, *own])).ip) if own else ""


def _is_global(address: IPv6Address) -> bool:
    return not (address.is_link_local or address.is_loopback)


def _next_hop(route: Route | None) -> str:
    """Return the next hop's address if it is one of IPv4, which the choice of a source address looks at."""
    return route.via if route and ":" not in route.via else ""


def _length(route: Route) -> int:
    """Return the length of its prefix."""
    return 0 if route.destination == "default" else ip_network(route.destination).prefixlen


def _named(route: Route) -> str:
    return "the default route" if route.destination == "default" else route.destination


def _consequence(route: Route) -> str:
    if route.unknown:
        return route.unknown
    if route.type in NO_WAY:
        return f"{route.type}, {NO_WAY[route.type]}"
    if route.type != "unicast":
        return f"{route.type}, it is for this machine"
    return f"via {route.via}, out of {route.device}" if route.via else f"directly out of {route.device}"
