"""Which legs may have caused a leg: by their times, machines and addresses, and by what was seen of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from kitlib.bulk import progress_bar
from kitlib.journey.model import Leg
from kitlib.journey.packets import grouped, interface
from kitlib.sighting import Sighting

FRESH_TTLS = (64, 128, 255)                 # what systems send with; anything else has passed a router
NOTHING, MACHINE, ADDRESS = range(3)        # what points to a parent, beside time and question
MOST_WAITING = 32                           # equal questions open at once at one server, seen at the same places


class LegFacts:
    """A leg with all that decides about its parent; times in nanoseconds."""

    def __init__(self, leg: Leg, doubts: list[str]) -> None:
        self.leg, self.doubts = leg, doubts
        self.parent: LegFacts | None = None
        self.first = leg.hops[0].sighting
        self.queries = [hop.sighting for hop in leg.queries]
        self.has_query, self.is_settled = bool(self.queries), not doubts
        seen = [hop.sighting for hop in leg.hops]
        self.clients = frozenset(one.client.address for one in seen)
        self.servers = frozenset(one.server.address for one in seen)
        self.interfaces = frozenset(interface(one) for one in seen)
        self._set_times()
        self._set_machines()

    def _set_times(self) -> None:
        """When the query began and arrived, when the answer left and ended; what was not seen lies infinitely far."""
        self.start = self.first.time_ns if self.queries else -inf
        self.arrived = max((hop.sighting.time_ns for hop in self.leg.queries if hop.attempt == 1), default=-inf)
        responses = self.leg.responses
        last_sent = max((hop.attempt for hop in responses), default=0)
        left = min((hop.sighting.time_ns for hop in responses if hop.attempt == last_sent), default=inf)
        self.left = inf if any(one.time_ns > left for one in self.queries) else left     # asked again: not over yet
        self.end = max((hop.sighting.time_ns for hop in responses), default=inf)
        self.opens, self.closes = self.start, self.left

    def _set_machines(self) -> None:
        """Where the query was made, where it vanished, and whether it was seen to leave that node."""
        self.first_machine, self.last_machine = _machine(self.first), _machine(self.leg.farthest.sighting)
        is_untouched = len({(one.client, one.server) for one in self.queries}) < 2
        ttls_there = {one.ttl for one in self.queries or [self.first] if _machine(one) == self.first_machine}
        is_fresh = len(ttls_there) == 1 and self.first.ttl in FRESH_TTLS      # a router counts the TTL down
        self.made_on = self.first_machine if is_untouched and is_fresh else None
        is_local = {(_machine(one), one.ttl in FRESH_TTLS) for one in self.queries} == {(self.made_on, True)}
        self.vanished_on = self.made_on if is_local else None if self.queries else self.last_machine
        self.has_left_node = any(one.interface_index is None and _machine(one) == self.made_on and not _is_cable(one)
                                 for one in self.queries)

    @property
    def line(self) -> Iterator[LegFacts]:
        """This leg, its parent, and so on."""
        yield self
        if self.parent:
            yield from self.parent.line

    @property
    def root(self) -> LegFacts:
        """The leg that caused this one in the end."""
        return list(self.line)[-1]


def _machine(seen: Sighting) -> str | None:
    """Return whose kernel made or took the packet; unknown at a bridge, which passes on what others send each other."""
    return seen.point.machine if seen.point and seen.point.kind != "host" else None


def _is_cable(seen: Sighting) -> bool:
    """At the interface of a pod or container, or at the node's end of a pod's cable: all that it sends passes here."""
    return seen.point is not None and (seen.point.place.startswith(("pod:", "container:"))
                                       or seen.point.interface.startswith("veth"))


def possible_parents(legs: list[LegFacts]) -> dict[LegFacts, dict[LegFacts, int]]:
    """Return for each leg which legs may have caused it, and what points to each (NOTHING, MACHINE or ADDRESS).

    The legs ask the same question and come in order of time. A sweep over time: only legs that wait for their answer
    are looked at, and of those none that ask the same server.
    """
    _bound(legs)
    order = {leg: number for number, leg in enumerate(legs)}
    upcoming = sorted(legs, key=lambda leg: leg.opens, reverse=True)
    waiting: dict[frozenset[str], list[LegFacts]] = defaultdict(list)      # by servers
    possible = {}
    for leg in progress_bar(legs, "Finding causes"):
        while upcoming and upcoming[-1].opens < leg.start:
            waiting[upcoming[-1].servers].append(upcoming.pop())
        near = []
        for servers in [servers for servers in waiting if servers.isdisjoint(leg.servers)]:
            waiting[servers] = [one for one in waiting[servers] if one.closes > leg.start]
            near += [one for one in waiting[servers] if may_cause(one, leg)]
        possible[leg] = {parent: sign_of(parent, leg) for parent in sorted(near, key=order.__getitem__)}
    return possible


def _bound(legs: list[LegFacts]) -> None:
    """Let no more than MOST_WAITING legs wait at once that differ in nothing but client, time and DNS id.

    So many were never answered: the oldest count as given up by their client. Where only responses were seen, the
    later ones count as not yet asked.
    """
    for alike in grouped((leg for leg in legs if leg.left == inf), _looks).values():
        for leg, later in zip(alike, alike[MOST_WAITING:], strict=False):
            leg.closes = later.start
    for alike in grouped((leg for leg in legs if not leg.has_query), _looks).values():
        for earlier, leg in zip(alike, alike[MOST_WAITING:], strict=False):
            leg.opens = earlier.left


def _looks(leg: LegFacts) -> tuple:
    return leg.servers, leg.interfaces, leg.leg.endpoint.address, leg.vanished_on, leg.last_machine


def may_cause(parent: LegFacts, leg: LegFacts) -> bool:
    """Do the times allow it, and what was seen of both? Equal questions are taken for granted."""
    in_time = parent.opens < leg.start and parent.arrived <= leg.start < parent.closes
    if not in_time or (leg.end < inf and leg.end > parent.left):
        return False
    if (parent.has_query and leg.first.client.address in parent.clients) or asks_back(parent, leg):
        return False      # one host asks both
    # A query that starts on a cable was made behind it, so what caused it must have come over that cable.
    return not _is_cable(leg.first) or interface(leg.first) in parent.interfaces


def asks_back(parent: LegFacts, leg: LegFacts) -> bool:
    """Would the leg ask somebody along the line of those who asked? Nobody does that."""
    return any(leg.servers & one.servers or leg.servers & one.clients for one in parent.line)


def sign_of(parent: LegFacts, leg: LegFacts) -> int:
    """Return what points to this parent, beside time and question: NOTHING, MACHINE or ADDRESS."""
    if parent.has_query and parent.leg.endpoint.address == leg.first.client.address:
        return ADDRESS
    if leg.made_on is None or parent.vanished_on != leg.made_on or leg.end < parent.left == inf:
        return NOTHING        # the last: a proxy that gets an answer gives one
    answered = parent.has_query and leg.end <= parent.left < inf and leg.has_left_node
    return MACHINE if answered or (same_id(parent, leg) and (parent.has_query or leg.end < inf)) else NOTHING


def same_id(parent: LegFacts, leg: LegFacts) -> bool:
    """Do both carry the same DNS id?"""
    return parent.first.message.id == leg.first.message.id
