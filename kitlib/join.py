"""Journeys: every leg put under the leg that caused it.

A resolver that cannot answer asks another server, with a socket and mostly a DNS id of its own. Such a leg has the
question of the leg that caused it, starts after that query came and ends before that answer went. This alone does not
prove it (others may ask the same at the same time), so one of two signs must be seen:

- it starts where its parent ended: its client has the address that the parent's query was last seen addressed to;
- a proxy on a node (Docker's resolver): the parent's query was made on this machine and vanished there, and the leg
  starts on this machine with a fresh TTL; proven by the same DNS id, or else by its own answer within the parent's.

Where more than one parent is possible, an equal DNS id decides, if it is one candidate's only. What stays undecided is
not guessed: the leg begins a journey of its own, whose `ambiguous` names the candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, pairwise
from math import inf

from kitlib.journey import Journey, Leg
from kitlib.legs import FoundLeg, described, find_legs, in_order, interface
from kitlib.sighting import Sighting

FRESH_TTLS = (64, 128, 255)                 # what systems send with; anything else has passed a router
NOTHING, MACHINE, ADDRESS = range(3)        # what but time and question points to a parent


class _Cause:
    """A leg with all that decides about its parent; times in nanoseconds."""

    def __init__(self, found: FoundLeg) -> None:
        leg = self.leg = found.leg
        self.parent: _Cause | None = None
        self.doubts = list(found.doubts)
        self.first = leg.hops[0].sighting
        queries = [hop.sighting for hop in leg.queries]
        seen = [hop.sighting for hop in leg.hops]
        self.has_query, self.is_settled = bool(queries), not found.doubts
        self.clients, self.servers = {one.client.address for one in seen}, {one.server.address for one in seen}
        self.interfaces = {interface(one) for one in seen}
        self.start = self.first.time_ns if queries else -inf
        self.arrived = max((hop.sighting.time_ns for hop in leg.queries if hop.attempt == 1), default=-inf)
        last_sent = max((hop.attempt for hop in leg.responses), default=0)
        self.left = min((hop.sighting.time_ns for hop in leg.responses if hop.attempt == last_sent), default=inf)
        self.end = max((one.time_ns for one in seen if one.message.is_response), default=inf)
        self.is_untouched = len({(one.client, one.server) for one in queries}) < 2
        self.made_on = _machine(self.first) if self.is_untouched and self.first.ttl in FRESH_TTLS else None
        self.last_machine = _machine((queries or seen)[-1])
        local = {(_machine(one), one.ttl in FRESH_TTLS) for one in queries} == {(self.made_on, True)}
        self.vanished_on = self.made_on if local else None if queries else self.last_machine
        self.has_left_node = any(one.interface_index is None and _machine(one) == self.made_on and not _is_cable(one)
                                 for one in queries)

    @property
    def root(self) -> _Cause:
        return self if self.parent is None else self.parent.root


def join(sightings: Iterable[Sighting]) -> tuple[Journey, ...]:
    """The journeys that these sightings tell, in order of time; every sighting is in exactly one.

    The vantage points must share one clock. The sightings may come in any order and from any choice of points.
    """
    legs = [_Cause(found) for found in find_legs(sightings)]
    _find_parents(legs)
    families: dict[_Cause, list[_Cause]] = {}
    for leg in legs:
        families.setdefault(leg.root, []).append(leg)
    journeys = [_journey(root, family) for root, family in families.items()]
    return tuple(sorted(journeys, key=lambda journey: in_order(journey.hops[0].sighting)))


def _machine(seen: Sighting) -> str | None:
    return seen.point.machine if seen.point else None


def _is_cable(seen: Sighting) -> bool:
    """At the interface of a pod or container, or at the node's end of a pod's cable: all that it sends passes here."""
    return seen.point is not None and (seen.point.place.startswith(("pod:", "container:"))
                                       or seen.point.interface.startswith("veth"))


def _find_parents(legs: list[_Cause]) -> None:
    """Set the parent of each leg that has one, earlier legs first."""
    hosts = set(chain.from_iterable(leg.clients for leg in legs))
    hosts |= {leg.leg.endpoint.address for leg in legs if len(leg.servers) > 1}
    asking: dict[object, list[_Cause]] = {}
    for leg in legs:
        asking.setdefault(_folded(leg), []).append(leg)
    for same_question in asking.values():
        for leg in same_question:
            if leg.has_query and leg.is_settled:
                _find_parent(leg, [other for other in same_question if _may_cause(other, leg)], hosts)


def _folded(leg: _Cause) -> tuple[tuple[str, str], ...]:
    """The question without the case of its letters, which a resolver may change."""
    return tuple((question.name.lower(), question.type) for question in leg.first.message.questions)


def _may_cause(parent: _Cause, leg: _Cause) -> bool:
    """Do the times allow it, and what was seen of both? Equal questions are taken for granted."""
    in_time = parent.start < leg.start and parent.arrived <= leg.start < parent.left
    if not in_time or (leg.end < inf and leg.end > parent.left):
        return False
    if parent.servers & leg.servers or (parent.has_query and leg.first.client.address in parent.clients):
        return False      # both ask the same server, or one host asks both: neither caused the other
    # A query that starts on a cable was made behind it, so what caused it must have come over that cable.
    return not _is_cable(leg.first) or interface(leg.first) in parent.interfaces


def _sign(parent: _Cause, leg: _Cause) -> int:
    if parent.has_query and parent.leg.endpoint.address == leg.first.client.address:
        return ADDRESS
    if leg.made_on is None or parent.vanished_on != leg.made_on:
        return NOTHING
    answered = parent.has_query and leg.end <= parent.left < inf and leg.has_left_node
    return MACHINE if answered or (_same_id(parent, leg) and (parent.has_query or leg.end < inf)) else NOTHING


def _same_id(parent: _Cause, leg: _Cause) -> bool:
    return parent.first.message.id == leg.first.message.id


def _find_parent(leg: _Cause, candidates: list[_Cause], hosts: set[str]) -> None:
    signs = {parent: _sign(parent, leg) for parent in candidates}
    direct = [parent for parent, sign in signs.items() if sign == ADDRESS]
    if direct:
        signs = {parent: sign for parent, sign in signs.items() if sign == ADDRESS
                 or (parent.leg.endpoint.address not in hosts and not _is_below(parent, direct))}
    above = {parent.parent for parent, sign in signs.items() if sign}
    above |= {far for far in signs for near, sign in signs.items() if sign and _sign(far, near) == ADDRESS
              and _may_cause(far, near)}
    signs = {parent: sign for parent, sign in signs.items() if parent not in above}
    likely = [parent for parent, sign in signs.items() if sign]
    same_id = [parent for parent in likely if _same_id(parent, leg)]
    chosen = likely if len(signs) == 1 else same_id
    if len(chosen) == 1:
        leg.parent = chosen[0]
    elif likely or any(leg.made_on and parent.last_machine == leg.made_on for parent in signs):
        _doubt(leg, list(signs))


def _is_below(leg: _Cause, others: list[_Cause]) -> bool:
    return leg.parent is not None and (leg.parent in others or _is_below(leg.parent, others))


def _doubt(leg: _Cause, candidates: list[_Cause]) -> None:
    doubt = (f"the query {described(leg.first)} may have been caused by "
             + " or by ".join(described(parent.first) for parent in candidates))
    for one in (leg, *candidates):
        one.doubts.append(doubt)


def _journey(root: _Cause, family: list[_Cause]) -> Journey:
    causes = [root, *(leg for leg in family if leg is not root)]
    index = {leg: number for number, leg in enumerate(causes)}
    hops = sorted((hop.sighting for leg in causes for hop in leg.leg.hops), key=in_order)
    before = {id(seen): seen.time_ns - previous.time_ns for previous, seen in pairwise(hops)}
    legs = tuple(Leg(tuple(replace(hop, since_previous_ns=before.get(id(hop.sighting))) for hop in leg.leg.hops),
                     index.get(leg.parent)) for leg in causes)
    return Journey(legs, tuple(dict.fromkeys(doubt for leg in causes for doubt in leg.doubts)))
