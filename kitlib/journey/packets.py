"""Trips: the sightings of one sending of a query put together, by what NAT leaves alone.

NAT rewrites addresses and ports and lets the TTL fall; the DNS message, the protocol and the IP id stay. A proxy sends
a packet of its own: another IP id, a fresh TTL. So sightings become packets (one datagram at several interfaces),
packets that differ only in addresses become one trip, and trips from one socket until its answer came are one leg.

The IP id alone joins nothing (a sender may leave it 0, and it comes again soon), but where it differs, the packet does.
Without IP ids one coincidence stays hidden: two clients at once with the same question and the same 16-bit DNS id, one
seen only before its masquerade, the other only behind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from kitlib.sighting import Sighting, VantagePoint

FARTHEST = 32     # routers between two sightings; a TTL that is lower by more was not counted down but set anew


Packet = list[Sighting]
Responses = dict[Hashable, list[Sighting]]     # responses by `sockets`


@dataclass(eq=False)
class Sending:
    """One sending of a query, NAT included."""

    sightings: Packet
    doubts: list[str] = field(default_factory=list)


def in_order(sighting: Sighting) -> tuple[int, bool, int]:
    """The sorting key of a journey: time; at the same time the query first, then the higher TTL."""
    return sighting.time_ns, sighting.message.is_response, -sighting.ttl


def interface(sighting: Sighting) -> tuple[VantagePoint | None, int | None]:
    """Where this was seen: an "any" capture is as many interfaces as it has indexes."""
    return sighting.point, sighting.interface_index


def describe_sighting(sighting: Sighting) -> str:
    """A sighting in words: sockets, DNS id, place."""
    place = f", seen at {sighting.point.title}" if sighting.point else ""
    return f"{sighting.source} → {sighting.destination} (DNS id {sighting.message.id}{place})"


def grouped(items: Iterable, key: Callable[..., Hashable]) -> dict[Hashable, list]:
    """Items with the same key together, in the order given."""
    groups: dict[Hashable, list] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def flow(seen: Sighting) -> Hashable:
    """What NAT never changes: protocol, DNS id and question."""
    return seen.protocol, seen.message.id, seen.message.questions


def sockets(seen: Sighting) -> Hashable:
    """The exchange as addressed here: protocol, DNS id, client and server."""
    return seen.protocol, seen.message.id, seen.client, seen.server


def packets_of(sightings: Iterable[Sighting]) -> list[Packet]:
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


def find_sendings(queries: list[Sighting], heard: Responses) -> list[Sending]:
    """Equal queries as trips: a packet belongs to the trip of the packet that it is the rewritten form of."""
    packets = [packet for same in grouped(queries, sockets).values() for packet in packets_of(same)]
    trips: list[Sending] = []
    placed: list[tuple[Packet, Sending]] = []
    for packet in sorted(packets, key=lambda packet: in_order(packet[0])):
        origins = _origins(packet, placed, heard)
        if len(origins) == 1:
            trip = origins[0]
            trip.sightings += packet
        else:
            trip = Sending(list(packet), _undecided(packet, origins))
            trips.append(trip)
        placed.append((packet, trip))
    for trip in trips:
        trip.sightings.sort(key=in_order)
    return trips


def _origins(packet: Packet, placed: list[tuple[Packet, Sending]], heard: Responses) -> list[Sending]:
    """The trips that this packet may continue; of several sendings from one socket only the latest."""
    before = [(earlier, trip) for earlier, trip in placed if _is_rewritten(earlier, packet, heard)]
    kept_socket = [(earlier, trip) for earlier, trip in before if earlier[0].client == packet[0].client]
    return list({sockets(trip.sightings[0]): trip for _, trip in kept_socket or before}.values())


def _is_rewritten(before: Packet, after: Packet, heard: Responses) -> bool:
    """Can `after` be `before` behind NAT? Yes if it came later, lower in TTL, and before the answer."""
    last, first = before[-1], after[0]
    same_ip_id = last.ip_id == first.ip_id
    # TCP segments may be cut anew on the way; the client's socket is known by its connection then.
    if not same_ip_id and (first.protocol == "UDP" or last.client != first.client):
        return False
    if sockets(last) == sockets(first) or last.time_ns > first.time_ns:
        return False
    fall = last.ttl - first.ttl
    if not (0 < fall < FARTHEST or (fall == 0 and same_ip_id and first.ip_id)):     # 0: NAT on a bridge
        return False
    return not any(before[0].time_ns <= answer.time_ns < first.time_ns for answer in heard.get(sockets(last), ()))


def _undecided(packet: Packet, origins: list[Sending]) -> list[str]:
    if not origins:
        return []
    doubt = (f"the query {describe_sighting(packet[0])} may be the rewritten form of "
             + " or of ".join(describe_sighting(trip.sightings[0]) for trip in origins))
    for trip in origins:
        trip.doubts.append(doubt)
    return [doubt]
