"""From sightings to sendings: which sightings show one packet, and which packets are one query before and behind NAT.

NAT rewrites addresses and ports, and routers count the TTL down; the DNS message, the protocol and the IP id stay. A
proxy sends a packet of its own, with another IP id and a fresh TTL. So the sightings of one datagram at several
interfaces make a packet, and packets that differ in nothing but their addresses make a sending.

The IP id alone joins nothing (a sender may leave it 0, and it soon comes again), but packets with different IP ids are
different packets. Without IP ids one coincidence stays hidden: two clients that ask the same at once with the same
16-bit DNS id, one of them seen only before its masquerade and the other only behind it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import heappop, heappush

from kitlib.sighting import Question, Sighting, VantagePoint

FARTHEST = 32     # routers between two sightings; a TTL that is lower by more was not counted down but set anew

Packet = list[Sighting]
AnswerTimes = dict[Hashable, list[int]]     # when answers came: by sockets, and by interface and sockets


@dataclass(eq=False)
class Sending:
    """A query as sent once: all its sightings, before and behind NAT."""

    sightings: Packet
    doubts: list[str] = field(default_factory=list)

    @property
    def first(self) -> Sighting:
        """The first sighting."""
        return self.sightings[0]


def in_order(sighting: Sighting) -> tuple[int, bool, int]:
    """Return the sorting key of a journey: time; at the same time the query first, then the higher TTL."""
    return sighting.time_ns, sighting.message.is_response, -sighting.ttl


def interface(sighting: Sighting) -> tuple[VantagePoint | None, int | None, str]:
    """Return where this was seen: one capture is as many interfaces as it has indexes or names of them."""
    return sighting.point, sighting.interface_index, sighting.link.interface if sighting.link else ""


def flow(sighting: Sighting) -> Hashable:
    """Return what NAT never changes: protocol, DNS id and question."""
    return sighting.protocol, sighting.message.id, sighting.message.questions


@lru_cache(maxsize=4096)
def folded(questions: tuple[Question, ...]) -> tuple[Question, ...]:
    """Return the questions in small letters: names compare without case (RFC 4343)."""
    return tuple(replace(question, name=question.name.lower()) for question in questions)


def sockets(sighting: Sighting) -> Hashable:
    """Return the exchange as addressed here: protocol, DNS id, client and server."""
    return sighting.protocol, sighting.message.id, sighting.client, sighting.server


def describe_sighting(sighting: Sighting) -> str:
    """Return a sighting in words: sockets, DNS id, place."""
    place = f", seen at {sighting.point.title}" if sighting.point else ""
    return f"{sighting.source} → {sighting.destination} (DNS id {sighting.message.id}{place})"


def grouped(items: Iterable, key: Callable[..., Hashable]) -> dict[Hashable, list]:
    """Return the items by key; those with the same key in the order given."""
    groups: dict[Hashable, list] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def answer_times(responses: Iterable[Sighting]) -> AnswerTimes:
    """Return the times of the responses, which come in order of time, by sockets and by interface and sockets."""
    times: AnswerTimes = defaultdict(list)
    for seen in responses:
        times[sockets(seen)].append(seen.time_ns)
        times[interface(seen), sockets(seen)].append(seen.time_ns)
    return dict(times)


def is_answered(key: Hashable, start_ns: int, end_ns: int, answers: AnswerTimes) -> bool:
    """Did an answer come from the start on, and before the end?"""
    times = answers.get(key, ())
    return bisect_left(times, start_ns) < bisect_left(times, end_ns)


def find_packets(sightings: Iterable[Sighting]) -> list[Packet]:
    """Return sightings of equal messages, in order of time, as packets; the latest packet that fits takes each.

    Packets that passed the same interfaces with the same TTLs accept the same sightings, so that only the latest of
    them needs to be looked at.
    """
    packets: list[Packet] = []
    alike: dict[Hashable, dict[frozenset, list[int]]] = defaultdict(lambda: defaultdict(list))
    for seen in sightings:
        by_trail = alike[_ip_id(seen)]
        trail = max((trail for trail, numbers in by_trail.items() if numbers and _may_continue(trail, seen)),
                    key=lambda trail: -by_trail[trail][0], default=frozenset())
        if trail:
            number = -heappop(by_trail[trail])
        else:
            number = len(packets)
            packets.append([])
        packets[number].append(seen)
        heappush(by_trail[trail | {(interface(seen), seen.ttl)}], -number)
    return packets


def _ip_id(seen: Sighting) -> int | None:
    """Return what all sightings of one UDP datagram share; TCP segments may be cut anew on the way."""
    return seen.ip_id if seen.protocol == "UDP" else None


def _may_continue(trail: frozenset, seen: Sighting) -> bool:
    """Can a packet that passed these interfaces come by here?

    It passes an interface again only if it was routed back there, one TTL lower; else it was sent again.
    """
    here = interface(seen)
    return all(seen.ttl < ttl or (seen.ttl == ttl and passed != here) for passed, ttl in trail)


def find_sendings(queries: Iterable[Sighting], answers: AnswerTimes) -> list[Sending]:
    """Return equal queries as sendings: a packet belongs to the sending of the packet whose rewritten form it is."""
    packets = [packet for same in grouped(queries, sockets).values() for packet in find_packets(same)]
    sendings: list[Sending] = []
    origins, passing = _Origins(answers), []      # passing: (last time, number, packet, its sending), a heap
    for number, packet in enumerate(sorted(packets, key=lambda packet: in_order(packet[0]))):
        while passing and passing[0][0] <= packet[0].time_ns:
            origins.add(*heappop(passing)[1:])
        found = origins.find(packet)
        if len(found) == 1:
            found[0].sightings += packet
        else:
            found = [Sending(list(packet), _undecided(packet, found))]
            sendings += found
        heappush(passing, (packet[-1].time_ns, number, packet, found[0]))
    for sending in sendings:
        sending.sightings.sort(key=in_order)
    return sendings


class _Origins:
    """The packets of one flow that may turn up rewritten: not yet answered, and of those that look alike the latest."""

    def __init__(self, answers: AnswerTimes) -> None:
        self.answers = answers
        self.by_client: dict[Hashable, dict] = defaultdict(dict)
        self.by_ttl: dict[Hashable, dict] = defaultdict(lambda: defaultdict(dict))

    def add(self, number: int, packet: Packet, sending: Sending) -> None:
        """Take a packet that has passed its last interface."""
        ip_id, last = _ip_id(packet[0]), packet[-1]
        looks = sockets(last), last.ttl, sockets(sending.first)
        for alike in (self.by_client[ip_id, last.client], self.by_ttl[ip_id][last.ttl]):
            alike[looks] = max(alike.get(looks, (-1,)), (number, packet, sending), key=lambda entry: entry[0])

    def find(self, packet: Packet) -> list[Sending]:
        """Return the sendings that this packet may continue: those of its own client, if any, else all."""
        ip_id, first = _ip_id(packet[0]), packet[0]
        higher = (alike for ttl, alike in self.by_ttl.get(ip_id, {}).items() if _may_fall(ttl, first))
        found = self._find(packet, [self.by_client.get((ip_id, first.client), {})]) or self._find(packet, higher)
        latest = {sockets(sending.first): sending for _, _, sending in sorted(found, key=lambda entry: entry[0])}
        return sorted(latest.values(), key=lambda sending: in_order(sending.first))

    def _find(self, packet: Packet, groups: Iterable[dict]) -> list[tuple[int, Packet, Sending]]:
        found = []
        for alike in groups:
            for looks, entry in list(alike.items()):
                start = entry[1][0]
                if is_answered(sockets(start), start.time_ns, packet[0].time_ns, self.answers):
                    del alike[looks]
                elif _is_rewritten(entry[1][-1], packet[0]):
                    found.append(entry)
        return found


def _is_rewritten(last: Sighting, first: Sighting) -> bool:
    """Can the packet that was last seen there be the one that is first seen here, behind NAT?"""
    same_ip_id = last.ip_id == first.ip_id
    # TCP segments may be cut anew on the way; the client's socket is known by its connection then.
    if sockets(last) == sockets(first) or not (same_ip_id or (first.protocol == "TCP" and last.client == first.client)):
        return False
    if interface(last) == interface(first) and last.ttl == first.ttl and not _may_be_several(first):
        return False        # one packet passes an interface once: musl asks all its servers from one socket
    return _may_fall(last.ttl, first) and (last.ttl > first.ttl or same_ip_id)


def _may_be_several(seen: Sighting) -> bool:
    """Tell whether a capture of all interfaces does not say which of them this was seen at."""
    return seen.point is None or (seen.point.interface == "any" and seen.interface_index is None)


def _may_fall(ttl: int, first: Sighting) -> bool:
    """Can a packet with this TTL be the one that is first seen there? NAT on a bridge leaves the TTL as it is."""
    return 0 < ttl - first.ttl < FARTHEST or (ttl == first.ttl and first.ip_id != 0)


def _undecided(packet: Packet, origins: list[Sending]) -> list[str]:
    """Return the doubt about a packet with several origins, and add it to each of them."""
    if not origins:
        return []
    doubt = (f"the query {describe_sighting(packet[0])} may be the rewritten form of "
             + " or of ".join(describe_sighting(sending.first) for sending in origins))
    for sending in origins:
        sending.doubts.append(doubt)
    return [doubt]
