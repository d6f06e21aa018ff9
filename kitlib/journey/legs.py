"""Legs: the sendings of a query and its responses put together; one query and its answer over one pair of sockets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from kitlib.journey.model import Hop, Leg, Rewrite
from kitlib.journey.packets import (
    Packet,
    Responses,
    Sending,
    find_sendings,
    flow,
    grouped,
    in_order,
    interface,
    packets_of,
    sockets,
)
from kitlib.sighting import Sighting


@dataclass(eq=False)
class _Draft:
    """A leg in the making: its sendings (several if the client asked again), and the responses to any of them."""

    trips: list[Sending] = field(default_factory=list)
    responses: Packet = field(default_factory=list)


def find_legs(sightings: Iterable[Sighting]) -> list[tuple[Leg, list[str]]]:
    """Every leg in these sightings, in order of time, and in words what about it could not be decided.

    Each sighting is in exactly one.
    """
    ordered = sorted(sightings, key=in_order)
    queries = [seen for seen in ordered if seen.direction == "query"]
    responses = [seen for seen in ordered if seen.direction == "response"]
    heard = grouped(responses, sockets)
    drafts: list[_Draft] = []
    for same_message in grouped(queries, flow).values():
        drafts += _drafts(find_sendings(same_message, heard), heard)
    drafts += _without_query(_hand_out(responses, drafts))
    found = [(Leg(_hops(draft)), [doubt for trip in draft.trips for doubt in trip.doubts]) for draft in drafts]
    return sorted(found, key=lambda one: in_order(one[0].hops[0].sighting))


def _drafts(trips: list[Sending], heard: Responses) -> list[_Draft]:
    """Trips from one socket are one leg until its answer came back to where the query was first seen."""
    drafts: list[_Draft] = []
    latest: dict[Hashable, _Draft] = {}
    for trip in trips:
        first = trip.sightings[0]
        draft = latest.get(sockets(first))
        if draft is None or _is_answered(draft, first, heard):
            draft = latest[sockets(first)] = _Draft()
            drafts.append(draft)
        draft.trips.append(trip)
    return drafts


def _is_answered(draft: _Draft, again: Sighting, heard: Responses) -> bool:
    start = draft.trips[0].sightings[0].time_ns
    return any(interface(answer) == interface(again) and start <= answer.time_ns < again.time_ns
               for answer in heard.get(sockets(again), ()))


def _hand_out(responses: list[Sighting], drafts: list[_Draft]) -> list[Sighting]:
    """Give each response to the leg that asked there, else to the only one with this client; return the others."""
    asked: dict[Hashable, list[tuple[Sighting, _Draft]]] = {}
    for draft in drafts:
        for query in (query for trip in draft.trips for query in trip.sightings):
            for key in (sockets(query), _client(query)):
                asked.setdefault(key, []).append((query, draft))
    left = []
    for response in responses:
        there = _asking(response, asked.get(sockets(response), ()))
        anywhere = there or _asking(response, asked.get(_client(response), ()))
        if there or len(set(anywhere)) == 1:
            anywhere[-1].responses.append(response)
        else:
            left.append(response)
    return left


def _client(seen: Sighting) -> Hashable:
    return seen.protocol, seen.message.id, seen.client


def _asking(response: Sighting, asked: Iterable[tuple[Sighting, _Draft]]) -> list[_Draft]:
    """The legs that asked before this response came, in order of time. A response may lack the question section."""
    fits = [(query, draft) for query, draft in asked if query.time_ns <= response.time_ns
            and response.message.questions in ((), query.message.questions)]
    return [draft for _, draft in sorted(fits, key=lambda one: one[0].time_ns)]


def _without_query(responses: list[Sighting]) -> list[_Draft]:
    groups = grouped(responses, lambda seen: (flow(seen), seen.client)).values()
    return [_Draft(responses=packet) for same in groups for packet in packets_of(same)]


def _hops(draft: _Draft) -> tuple[Hop, ...]:
    sendings = [*enumerate((trip.sightings for trip in draft.trips), 1), *enumerate(packets_of(draft.responses), 1)]
    hops = [hop for attempt, packet in sendings for hop in _followed(packet, attempt)]
    return tuple(sorted(hops, key=lambda hop: in_order(hop.sighting)))


def _followed(packet: Packet, attempt: int) -> Iterator[Hop]:
    for before, seen in zip([None, *packet], packet, strict=False):
        yield Hop(seen, tuple(_rewrites(before, seen)) if before else (), None, attempt)


def _rewrites(before: Sighting, seen: Sighting) -> Iterator[Rewrite]:
    for end in ("source", "destination"):
        old, new = getattr(before, end), getattr(seen, end)
        if old != new:
            yield Rewrite(end, old, new)
