"""From legs to journeys: every leg put under the leg that caused it.

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

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, pairwise

from kitlib.bulk import collection_paused, progress_bar
from kitlib.journey.legs import find_legs
from kitlib.journey.model import Hop, Journey, Leg
from kitlib.journey.packets import describe_sighting, folded, grouped, in_order
from kitlib.journey.parents import ADDRESS, LegFacts, asks_back, possible_parents, same_id
from kitlib.sighting import Sighting

MOST_NAMED = 8            # candidates that a doubt names; the rest it counts

Signs = dict[LegFacts, int]         # candidates for a parent, and what points to each


@collection_paused()
def join(sightings: Iterable[Sighting]) -> tuple[Journey, ...]:
    """Return the journeys that these sightings tell, in order of time; every sighting is in exactly one.

    The vantage points must share one clock. The sightings may come in any order and from any choice of points.
    """
    legs = [LegFacts(leg, doubts) for leg, doubts in progress_bar(find_legs(sightings), "Comparing legs")]
    hosts = set(chain.from_iterable(leg.clients for leg in legs))
    hosts |= {leg.leg.endpoint.address for leg in legs if len(leg.servers) > 1}
    for same_question in grouped(legs, lambda leg: folded(leg.first.message.questions)).values():
        _find_parents(same_question, hosts)
    families = grouped(legs, lambda leg: leg.root).items()
    journeys = [_journey(root, family) for root, family in progress_bar(families, "Joining")]
    return tuple(sorted(journeys, key=lambda journey: in_order(journey.hops[0].sighting)))


def _find_parents(legs: list[LegFacts], hosts: set[str]) -> None:
    """Set the parent of each leg that has one, earlier legs first. All ask the same question."""
    possible = possible_parents(legs)
    claims = _claims(possible)
    for leg in legs:
        if leg.has_query and leg.is_settled:
            _find_parent(leg, possible, hosts, claims)


def _claims(possible: dict[LegFacts, Signs]) -> dict[LegFacts, list[LegFacts]]:
    """Return for each leg that vanished on a machine the legs from there that it may be the only cause of."""
    claims = defaultdict(list)
    for leg, signs in possible.items():
        if ADDRESS not in signs.values():
            near = [parent for parent in signs if parent.vanished_on and parent.vanished_on == leg.first_machine]
            for parent in [parent for parent in near if same_id(parent, leg)] or near:
                claims[parent].append(leg)
    return claims


def _find_parent(leg: LegFacts, possible: dict[LegFacts, Signs], hosts: set[str],
                 claims: dict[LegFacts, list[LegFacts]]) -> None:
    signs = {parent: sign for parent, sign in possible[leg].items() if not asks_back(parent, leg)}
    signs = _nearest(_unseen_or_direct(signs, hosts), possible)
    likely = [parent for parent, sign in signs.items() if sign]
    chosen = likely if len(signs) == 1 else [parent for parent in likely if same_id(parent, leg)]
    if len(chosen) == 1 and (signs[chosen[0]] == ADDRESS or claims[chosen[0]] == [leg]):
        leg.parent = chosen[0]
    elif likely or any(leg.made_on and parent.last_machine == leg.made_on for parent in signs):
        _doubt(leg, list(signs))


def _unseen_or_direct(signs: Signs, hosts: set[str]) -> Signs:
    """Return the candidates that an address points to, if any, and those that ended at a host that was not seen."""
    direct = {parent for parent, sign in signs.items() if sign == ADDRESS}
    return {parent: sign for parent, sign in signs.items() if not direct or parent in direct
            or (parent.leg.endpoint.address not in hosts and direct.isdisjoint(parent.line))}


def _nearest(signs: Signs, possible: dict[LegFacts, Signs]) -> Signs:
    """Return the candidates without those that caused a likely one: they are its grandparents."""
    likely = [parent for parent, sign in signs.items() if sign]
    above = {parent.parent for parent in likely}
    above |= {far for near in likely for far, sign in possible[near].items() if sign == ADDRESS
              and not asks_back(far, near)}
    return {parent: sign for parent, sign in signs.items() if parent not in above}


def _doubt(leg: LegFacts, candidates: list[LegFacts]) -> None:
    named = [describe_sighting(parent.first) for parent in candidates[:MOST_NAMED]]
    if len(candidates) > MOST_NAMED:
        named.append(f"{len(candidates) - MOST_NAMED} more")
    doubt = f"the query {describe_sighting(leg.first)} may have been caused by {' or by '.join(named)}"
    for one in (leg, *candidates):
        one.doubts.append(doubt)


def _journey(root: LegFacts, family: list[LegFacts]) -> Journey:
    legs = [root, *(leg for leg in family if leg is not root)]
    index = {leg: number for number, leg in enumerate(legs)}
    seen = sorted((hop.sighting for leg in legs for hop in leg.leg.hops), key=in_order)
    since = {id(later): later.time_ns - earlier.time_ns for earlier, later in pairwise(seen)}
    return Journey(
        tuple(Leg(tuple(Hop(hop.sighting, hop.rewrites, since.get(id(hop.sighting)), hop.attempt)
                        for hop in leg.leg.hops), index.get(leg.parent)) for leg in legs),
        tuple(dict.fromkeys(doubt for leg in legs for doubt in leg.doubts)))
