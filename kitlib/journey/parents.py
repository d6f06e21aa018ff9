"""What decides whether one leg caused another: times, machines, addresses, and what was seen of both."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from kitlib.journey.model import Leg
from kitlib.journey.packets import interface
from kitlib.sighting import Sighting

FRESH_TTLS = (64, 128, 255)                 # what systems send with; anything else has passed a router
NOTHING, MACHINE, ADDRESS = range(3)        # what but time and question points to a parent


class LegFacts:
    """A leg with all that decides about its parent; times in nanoseconds."""

    def __init__(self, leg: Leg, doubts: list[str]) -> None:
        self.leg, self.doubts = leg, doubts
        self.parent: LegFacts | None = None
        self.first = leg.hops[0].sighting
        queries = [hop.sighting for hop in leg.queries]
        seen = [hop.sighting for hop in leg.hops]
        self.has_query, self.is_settled = bool(queries), not doubts
        self.clients, self.servers = {one.client.address for one in seen}, {one.server.address for one in seen}
        self.interfaces = {interface(one) for one in seen}
        self.start = self.first.time_ns if queries else -inf
        self.arrived = max((hop.sighting.time_ns for hop in leg.queries if hop.attempt == 1), default=-inf)
        last_sent = max((hop.attempt for hop in leg.responses), default=0)
        left = min((hop.sighting.time_ns for hop in leg.responses if hop.attempt == last_sent), default=inf)
        self.left = inf if any(one.time_ns > left for one in queries) else left      # asked again: not over yet
        self.end = max((one.time_ns for one in seen if one.message.is_response), default=inf)
        is_untouched = len({(one.client, one.server) for one in queries}) < 2
        self.first_machine, self.last_machine = _machine(self.first), _machine(leg.farthest.sighting)
        ttls_there = {one.ttl for one in queries or seen if _machine(one) == self.first_machine}
        fresh = len(ttls_there) == 1 and self.first.ttl in FRESH_TTLS      # a router counts the TTL down
        self.made_on = self.first_machine if is_untouched and fresh else None
        local = {(_machine(one), one.ttl in FRESH_TTLS) for one in queries} == {(self.made_on, True)}
        self.vanished_on = self.made_on if local else None if queries else self.last_machine
        self.has_left_node = any(one.interface_index is None and _machine(one) == self.made_on and not _is_cable(one)
                                 for one in queries)

    def line(self) -> Iterator[LegFacts]:
        """This leg, its parent, and so on."""
        yield self
        if self.parent:
            yield from self.parent.line()

    @property
    def root(self) -> LegFacts:
        """The leg that caused this one in the end."""
        return list(self.line())[-1]


def _machine(seen: Sighting) -> str | None:
    """Whose kernel made or took the packet; unknown at a bridge, which passes on what others send each other."""
    return seen.point.machine if seen.point and seen.point.kind != "host" else None


def _is_cable(seen: Sighting) -> bool:
    """At the interface of a pod or container, or at the node's end of a pod's cable: all that it sends passes here."""
    return seen.point is not None and (seen.point.place.startswith(("pod:", "container:"))
                                       or seen.point.interface.startswith("veth"))


def folded(leg: LegFacts) -> tuple[tuple[str, str], ...]:
    """The question without the case of its letters, which a resolver may change."""
    return tuple((question.name.lower(), question.type) for question in leg.first.message.questions)


def may_cause(parent: LegFacts, leg: LegFacts) -> bool:
    """Do the times allow it, and what was seen of both? Equal questions are taken for granted."""
    in_time = parent.start < leg.start and parent.arrived <= leg.start < parent.left
    if not in_time or (leg.end < inf and leg.end > parent.left):
        return False
    if any((one.servers | one.clients) & leg.servers for one in parent.line()):
        return False      # nobody asks back along the line of those who asked
    if parent.has_query and leg.first.client.address in parent.clients:
        return False      # one host asks both
    # A query that starts on a cable was made behind it, so what caused it must have come over that cable.
    return not _is_cable(leg.first) or interface(leg.first) in parent.interfaces


def sign_of(parent: LegFacts, leg: LegFacts) -> int:
    """What but time and question points to this parent: NOTHING, MACHINE or ADDRESS."""
    if parent.has_query and parent.leg.endpoint.address == leg.first.client.address:
        return ADDRESS
    if leg.made_on is None or parent.vanished_on != leg.made_on or leg.end < parent.left == inf:
        return NOTHING        # the last: a proxy that gets an answer gives one
    answered = parent.has_query and leg.end <= parent.left < inf and leg.has_left_node
    return MACHINE if answered or (same_id(parent, leg) and (parent.has_query or leg.end < inf)) else NOTHING


def same_id(parent: LegFacts, leg: LegFacts) -> bool:
    """Do both carry the same DNS id?"""
    return parent.first.message.id == leg.first.message.id
