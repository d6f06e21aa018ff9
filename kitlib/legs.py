"""Legs: every sighting of one query and its response put together, by what NAT leaves alone.

NAT rewrites addresses and ports and lets the TTL fall; the DNS message, the protocol and the IP id stay. A proxy sends
a packet of its own: another IP id, a fresh TTL. So sightings become packets (one datagram at several interfaces),
packets that differ only in addresses become one trip, and trips from one socket until its answer came are one leg.

The IP id alone joins nothing (a sender may leave it 0, and it comes again soon), but where it differs, the packet does.
Without IP ids one coincidence stays hidden: two clients at once with the same question and the same 16-bit DNS id, one
seen only before its masquerade, the other only behind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kitlib.journey import Hop, Leg, Rewrite
from kitlib.sighting import Sighting, VantagePoint

FARTHEST = 32     # routers between two sightings; a TTL that is lower by more was not counted down but set anew

Packet = list[Sighting]
Heard = dict[Hashable, list[Sighting]]     # responses by `sockets`


class FoundLeg(NamedTuple):
    """A leg, and in words what about it could not be decided."""

    leg: Leg
    doubts: tuple[str, ...]


@dataclass(eq=False)
class _Trip:
    """One sending of a query, NAT included."""

    sightings: Packet
    doubts: list[str] = field(default_factory=list)


@dataclass(eq=False)
class _Draft:
    """A leg in the making: its sendings (several if the client asked again), and the responses to any of them."""

    trips: list[_Trip] = field(default_factory=list)
    responses: Packet = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def in_order(sighting: Sighting) -> tuple[int, bool, int]:
    """The sorting key of a journey: time; at the same time the query first, then the higher TTL."""
    return sighting.time_ns, sighting.message.is_response, -sighting.ttl


def interface(sighting: Sighting) -> tuple[VantagePoint | None, int | None]:
    """Where this was seen: an "any" capture is as many interfaces as it has indexes."""
    return sighting.point, sighting.interface_index


def described(sighting: Sighting) -> str:
    """A sighting in words: sockets, DNS id, place."""
    place = f", seen at {sighting.point.title}" if sighting.point else ""
    return f"{sighting.source} → {sighting.destination} (DNS id {sighting.message.id}{place})"


def find_legs(sightings: Iterable[Sighting]) -> list[FoundLeg]:
    """Every leg in these sightings, in order of time; each sighting is in exactly one."""
    ordered = sorted(sightings, key=in_order)
    queries = [seen for seen in ordered if seen.direction == "query"]
    responses = [seen for seen in ordered if seen.direction == "response"]
    heard = _grouped(responses, _sockets)
    drafts: list[_Draft] = []
    for same_message in _grouped(queries, _flow).values():
        drafts += _drafts(_trips(same_message, heard), heard)
    drafts += _without_query(_hand_out(responses, drafts))
    found = [FoundLeg(Leg(_hops(draft)), _doubts(draft)) for draft in drafts]
    return sorted(found, key=lambda one: in_order(one.leg.hops[0].sighting))


def _grouped(items: Iterable[Sighting], key: Callable[[Sighting], Hashable]) -> dict[Hashable, list[Sighting]]:
    groups: dict[Hashable, list[Sighting]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _flow(seen: Sighting) -> Hashable:
    return seen.protocol, seen.message.id, seen.message.questions


def _sockets(seen: Sighting) -> Hashable:
    return seen.protocol, seen.message.id, seen.client, seen.server


def _packets(sightings: Iterable[Sighting]) -> list[Packet]:
    """Sightings of equal messages, in order of time, as packets. The latest packet that fits takes the sighting."""
    packets: list[Packet] = []
    for seen in sightings:
        packet = next((packet for packet in reversed(packets) if _continues(packet, seen)), None)
        if packet is None:
            packets.append([seen])
        else:
            packet.append(seen)
    return packets


def _continues(packet: Packet, seen: Sighting) -> bool:
    if seen.ttl > packet[-1].ttl or (seen.ip_id != packet[0].ip_id and seen.protocol == "UDP"):
        return False
    # A packet passes an interface again only if it was routed back there, one TTL lower; else it was sent again.
    return all(seen.ttl < before.ttl for before in packet if interface(before) == interface(seen))


def _trips(queries: list[Sighting], heard: Heard) -> list[_Trip]:
    """Equal queries as trips: a packet belongs to the trip of the packet that it is the rewritten form of."""
    packets = [packet for same in _grouped(queries, _sockets).values() for packet in _packets(same)]
    trips: list[_Trip] = []
    placed: list[tuple[Packet, _Trip]] = []
    for packet in sorted(packets, key=lambda packet: in_order(packet[0])):
        origins = _origins(packet, placed, heard)
        if len(origins) == 1:
            trip = origins[0]
            trip.sightings += packet
        else:
            trip = _Trip(list(packet), _undecided(packet, origins))
            trips.append(trip)
        placed.append((packet, trip))
    for trip in trips:
        trip.sightings.sort(key=in_order)
    return trips


def _origins(packet: Packet, placed: list[tuple[Packet, _Trip]], heard: Heard) -> list[_Trip]:
    """The trips that this packet may continue; of several sendings from one socket only the latest."""
    before = [(earlier, trip) for earlier, trip in placed if _is_rewritten(earlier, packet, heard)]
    kept_socket = [(earlier, trip) for earlier, trip in before if earlier[0].client == packet[0].client]
    return list({_sockets(trip.sightings[0]): trip for _, trip in kept_socket or before}.values())


def _is_rewritten(before: Packet, after: Packet, heard: Heard) -> bool:
    """Can `after` be `before` behind NAT? Yes if it came later, lower in TTL, and before the answer."""
    last, first = before[-1], after[0]
    same_ip_id = last.ip_id == first.ip_id
    # TCP segments may be cut anew on the way; the client's socket is known by its connection then.
    if not same_ip_id and (first.protocol == "UDP" or last.client != first.client):
        return False
    if _sockets(last) == _sockets(first) or last.time_ns > first.time_ns:
        return False
    fall = last.ttl - first.ttl
    if not (0 < fall < FARTHEST or (fall == 0 and same_ip_id and first.ip_id)):     # 0: NAT on a bridge
        return False
    return not any(before[0].time_ns <= answer.time_ns < first.time_ns for answer in heard.get(_sockets(last), ()))


def _undecided(packet: Packet, origins: list[_Trip]) -> list[str]:
    if not origins:
        return []
    doubt = (f"the query {described(packet[0])} may be the rewritten form of "
             + " or of ".join(described(trip.sightings[0]) for trip in origins))
    for trip in origins:
        trip.doubts.append(doubt)
    return [doubt]


def _drafts(trips: list[_Trip], heard: Heard) -> list[_Draft]:
    """Trips from one socket are one leg until its answer came back to where the query was first seen."""
    drafts: list[_Draft] = []
    latest: dict[Hashable, _Draft] = {}
    for trip in trips:
        first = trip.sightings[0]
        draft = latest.get(_sockets(first))
        if draft is None or _is_answered(draft, first, heard):
            draft = latest[_sockets(first)] = _Draft()
            drafts.append(draft)
        draft.trips.append(trip)
    return drafts


def _is_answered(draft: _Draft, again: Sighting, heard: Heard) -> bool:
    start = draft.trips[0].sightings[0].time_ns
    return any(interface(answer) == interface(again) and start <= answer.time_ns < again.time_ns
               for answer in heard.get(_sockets(again), ()))


def _hand_out(responses: list[Sighting], drafts: list[_Draft]) -> list[Sighting]:
    """Give each response to the leg that asked there, else to the only one with this client; return the others."""
    asked: dict[Hashable, list[tuple[Sighting, _Draft]]] = {}
    for draft in drafts:
        for query in (query for trip in draft.trips for query in trip.sightings):
            for key in (_sockets(query), _client(query)):
                asked.setdefault(key, []).append((query, draft))
    left = []
    for response in responses:
        there = _asking(response, asked.get(_sockets(response), ()))
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
    groups = _grouped(responses, lambda seen: (_flow(seen), seen.client)).values()
    return [_Draft(responses=packet) for same in groups for packet in _packets(same)]


def _doubts(draft: _Draft) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*draft.doubts, *(doubt for trip in draft.trips for doubt in trip.doubts)]))


def _hops(draft: _Draft) -> tuple[Hop, ...]:
    sendings = [*enumerate((trip.sightings for trip in draft.trips), 1), *enumerate(_packets(draft.responses), 1)]
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
