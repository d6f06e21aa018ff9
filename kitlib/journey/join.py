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

from kitlib.journey.legs import find_legs
from kitlib.journey.model import Journey, Leg
from kitlib.journey.packets import describe_sighting, grouped, in_order
from kitlib.journey.parents import ADDRESS, LegFacts, folded, may_cause, same_id, sign_of
from kitlib.sighting import Sighting


def join(sightings: Iterable[Sighting]) -> tuple[Journey, ...]:
    """The journeys that these sightings tell, in order of time; every sighting is in exactly one.

    The vantage points must share one clock. The sightings may come in any order and from any choice of points.
    """
    legs = [LegFacts(*found) for found in find_legs(sightings)]
    hosts = set(chain.from_iterable(leg.clients for leg in legs))
    hosts |= {leg.leg.endpoint.address for leg in legs if len(leg.servers) > 1}
    for same_question in grouped(legs, folded).values():
        _find_parents(same_question, hosts)
    journeys = [_journey(root, family) for root, family in grouped(legs, lambda leg: leg.root).items()]
    return tuple(sorted(journeys, key=lambda journey: in_order(journey.hops[0].sighting)))


def _find_parents(legs: list[LegFacts], hosts: set[str]) -> None:
    """Set the parent of each leg that has one, earlier legs first. All ask the same question."""
    claims: dict[LegFacts, list[LegFacts]] = {}
    for leg in legs:
        signs = {parent: sign_of(parent, leg) for parent in legs if may_cause(parent, leg)}
        if ADDRESS not in signs.values():
            near = [parent for parent in signs if parent.vanished_on and parent.vanished_on == leg.first_machine]
            for parent in [parent for parent in near if same_id(parent, leg)] or near:
                claims.setdefault(parent, []).append(leg)
    for leg in legs:
        if leg.has_query and leg.is_settled:
            _find_parent(leg, [parent for parent in legs if may_cause(parent, leg)], hosts, claims)


def _find_parent(leg: LegFacts, candidates: list[LegFacts], hosts: set[str],
                 claims: dict[LegFacts, list[LegFacts]]) -> None:
    signs = {parent: sign_of(parent, leg) for parent in candidates}
    direct = [parent for parent, sign in signs.items() if sign == ADDRESS]
    if direct:
        signs = {parent: sign for parent, sign in signs.items() if sign == ADDRESS
                 or (parent.leg.endpoint.address not in hosts and not set(direct) & set(parent.line()))}
    above = {parent.parent for parent, sign in signs.items() if sign}
    above |= {far for far in signs for near, sign in signs.items() if sign and sign_of(far, near) == ADDRESS
              and may_cause(far, near)}
    signs = {parent: sign for parent, sign in signs.items() if parent not in above}
    likely = [parent for parent, sign in signs.items() if sign]
    with_same_id = [parent for parent in likely if same_id(parent, leg)]
    chosen = likely if len(signs) == 1 else with_same_id
    if len(chosen) == 1 and (chosen[0] in direct or claims[chosen[0]] == [leg]):
        leg.parent = chosen[0]
    elif likely or any(leg.made_on and parent.last_machine == leg.made_on for parent in signs):
        _doubt(leg, list(signs))


def _doubt(leg: LegFacts, candidates: list[LegFacts]) -> None:
    doubt = (f"the query {describe_sighting(leg.first)} may have been caused by "
             + " or by ".join(describe_sighting(parent.first) for parent in candidates))
    for one in (leg, *candidates):
        one.doubts.append(doubt)


def _journey(root: LegFacts, family: list[LegFacts]) -> Journey:
    causes = [root, *(leg for leg in family if leg is not root)]
    index = {leg: number for number, leg in enumerate(causes)}
    hops = sorted((hop.sighting for leg in causes for hop in leg.leg.hops), key=in_order)
    before = {id(seen): seen.time_ns - previous.time_ns for previous, seen in pairwise(hops)}
    legs = tuple(Leg(tuple(replace(hop, since_previous_ns=before.get(id(hop.sighting))) for hop in leg.leg.hops),
                     index.get(leg.parent)) for leg in causes)
    return Journey(legs, tuple(dict.fromkeys(doubt for leg in causes for doubt in leg.doubts)))
