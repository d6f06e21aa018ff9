"""A case: a lab in which something is broken, the pod that complains, and what was seen of its queries.

Where the lab's rules, routes and settings would lead a new query is simulated, so that it can be asked again of a lab
that a command has fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.journey.model import Journey, Leg
from kitlib.lab import Lab
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import conntrack
from kitlib.place import Node, Pod
from kitlib.sighting import VantagePoint

CLIENT_PORT = 40000       # any that conntrack does not know yet
CIRCLE = "has had it already"


class QueryEnd(NamedTuple):
    """How far a query would come: the last node, its path through that node, and why it is lost there.

    `loss` is "" if the query arrives, or if a rule drops it: then the path says so.
    """

    node: Node
    path: PacketPath
    loss: str = ""


@dataclass(frozen=True)
class Case:
    """A lab in which something is broken, and the pod whose user complains."""

    lab: Lab
    pod: Pod
    label: str = ""                        # under which progress is kept: "case 3"
    journeys: tuple[Journey, ...] = ()
    points: tuple[VantagePoint, ...] = ()  # where there was listening
    looks: list[str] = field(default_factory=list, repr=False, compare=False)      # at which places, one at a time
    fault: str = field(default="", repr=False)     # what was broken for it

    def with_sight_of(self, seen: Capture) -> Case:
        """Return the case with the journeys that this capture shows."""
        journeys = seen.journeys()
        return self if journeys == self.journeys else replace(self, journeys=journeys, points=seen.points)

    @cached_property
    def service(self) -> str:
        """The ClusterIP of the DNS Service. Raises NotFound if it is not known here."""
        if not (address := self.lab.topology.dns_service):
            raise NotFound(f"The Service {self.lab.dns_service_name[1]} is not among those that can be listed here.")
        return address

    @cached_property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses behind the DNS Service, as the EndpointSlices list them. Raises NotFound if there is none."""
        if not (groups := self.lab.dns_endpoints):
            raise NotFound(f"No EndpointSlice of the Service {self.lab.dns_service_name[1]} is among those that can be "
                           "listed here.")
        return tuple(sorted(endpoint.address for group in groups for endpoint in group.endpoints if endpoint.ready))

    @cached_property
    def connections(self) -> tuple[conntrack.Connection, ...]:
        """What the pod's node remembers of the pod's queries to the DNS Service."""
        known = conntrack.connections(self.pod.node.run("conntrack", "-L", "-p", "udp").text)
        return tuple(entry for entry in known if entry.original.source.address == self.pod.address
                     and entry.original.destination.address == self.service)

    @property
    def own_journeys(self) -> tuple[Journey, ...]:
        """The journeys that the pod began."""
        return tuple(found for found in self.journeys if found.client_leg.client.address == self.pod.address)

    @property
    def waiting(self) -> Journey | None:
        """The pod's first journey that waits in vain, if there is one."""
        return next((journey for journey in self.own_journeys if not journey.answered), None)

    @property
    def served(self) -> Journey | None:
        """The pod's first journey that was answered, if there is one."""
        return next((journey for journey in self.own_journeys if journey.answered), None)

    @property
    def unanswered(self) -> Leg | None:
        """The leg that waits in vain: the last one without a response, of the first journey that has one."""
        waiting = [leg for journey in self.own_journeys for leg in journey.legs if leg.response is None]
        of_first = [leg for leg in waiting if leg.question == waiting[0].question]
        return of_first[-1] if of_first else None

    @cached_property
    def reached_servers(self) -> frozenset[str]:
        """The CoreDNS pods that queries of the pod were seen to reach."""
        homes = {pod.id for pod in self.lab.pods("coredns")}
        return frozenset(hop.sighting.server.address for journey in self.own_journeys
                         for hop in journey.client_leg.queries
                         if hop.sighting.point and hop.sighting.point.place in homes)

    @cached_property
    def silent_servers(self) -> frozenset[str]:
        """The CoreDNS pods that got queries of the pod and did nothing: no response, and nobody else was asked."""
        working = (found for found in self.own_journeys if found.answered or found.upstream_legs)
        busy = {hop.sighting.server.address for journey in working for hop in journey.client_leg.hops}
        return self.reached_servers - busy

    @cached_property
    def chosen_servers(self) -> frozenset[str]:
        """The addresses that the node's rules choose for a new query; the ClusterIP itself if they change nothing."""
        paths = simulate(self.netfilter(self.pod.node), self._query("udp"))
        return frozenset(path.after.destination for path in paths if path.end != "is undecided")

    @cached_property
    def udp_ends(self) -> tuple[QueryEnd, ...]:
        """Everywhere that a new query of the pod may end, over UDP."""
        return tuple(self._ends(self.pod.node, self._query("udp"), ()))

    @cached_property
    def tcp_ends(self) -> tuple[QueryEnd, ...]:
        """The same over TCP."""
        return tuple(self._ends(self.pod.node, self._query("tcp"), ()))

    def _query(self, protocol: str) -> Packet:
        way_in = "" if self.pod.host_network else self.pod.veth.interface       # "": made on the node itself
        return Packet(self.pod.address, self.service, protocol, CLIENT_PORT, 53, in_interface=way_in)

    def _ends(self, node: Node, packet: Packet, passed: tuple[Node, ...]) -> Iterator[QueryEnd]:
        """Follow the packet from here on, node by node; one that comes back to a node is lost."""
        netfilter = self.netfilter(node)
        for path in simulate(netfilter, packet):
            destination = path.after.destination
            decision = netfilter.route(destination)
            via = decision.route.via if decision.route and path.end.startswith("goes out") else ""
            beyond = next((other for other in self.lab.nodes if via and other.address == via), None)
            if beyond in passed:
                yield QueryEnd(node, path, f"{decision.why}: {beyond.title} {CIRCLE}")
            elif beyond:
                onward = path.after._replace(in_interface=beyond.interface_name, out_interface="", mark=0)
                yield from self._ends(beyond, onward, (*passed, node))
            elif via and destination in self.endpoints:
                yield QueryEnd(node, path, f"{decision.why}: that is no node of this lab with a way to it")
            else:
                yield QueryEnd(node, path, path.end.removeprefix("is lost: ") if path.end.startswith("is lost") else "")

    @cached_property
    def _netfilters(self) -> dict[str, Netfilter]:
        return {}

    def netfilter(self, node: Node) -> Netfilter:
        """Return what decides about packets on a node; the node is asked once, for a case is one moment."""
        if node.id not in self._netfilters:
            self._netfilters[node.id] = node.netfilter()
        return self._netfilters[node.id]
