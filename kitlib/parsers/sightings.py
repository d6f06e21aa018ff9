"""Captured frames to sightings: which DNS messages passed a vantage point, and which frames were left out, and why.

Every frame is a sighting, a part of one (a fragment, a segment of its TCP connection), or among what was left out.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from kitlib.bulk import collection_paused
from kitlib.errors import ParseError
from kitlib.parsers.dns import message
from kitlib.parsers.packets import (
    LINK_TYPES,
    TCP,
    UDP,
    Datagram,
    Stream,
    datagram_of,
    interface_index,
    packet_start,
    reassemble,
    tcp_data,
    tcp_messages,
    udp_data,
)
from kitlib.sighting import DNS_PORT, Frame, LeftOut, Reason, Sighting, Socket, VantagePoint

NAMES = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 89: "OSPF", 112: "VRRP", 132: "SCTP"}
# What carries packets in packets: by the number of Ethernet, of IP, and by the port of UDP (IANA; 8472 as Linux and
# 6784 as Weave has it).
ETHER_TUNNELS = {0x6558: "Ethernet", 0x8847: "MPLS", 0x8848: "MPLS", 0x8864: "PPPoE", 0x88E5: "MACsec",
                 0x88E7: "Ethernet", 0x894F: "NSH"}
TUNNELS = {4: "IPIP", 41: "IPv6 in IP", 47: "GRE", 50: "ESP", 51: "AH", 97: "Ethernet", 108: "IPComp", 115: "L2TP",
           137: "MPLS"}
TUNNEL_PORTS = {4789: "VXLAN", 8472: "VXLAN", 6784: "VXLAN", 6081: "Geneve", 4500: "IPsec", 51820: "WireGuard",
                51821: "WireGuard", 51871: "WireGuard"}
FRAGMENTS_WAIT_S = {4: 30, 6: 60}       # Linux, net.ipv4.ipfrag_time and net.ipv6.ip6frag_time
STEP_NS = 100_000_000       # frames of one interface are in order but for moments, unless its clock was set back


class Reading(NamedTuple):
    """What was read in a capture's frames."""

    sightings: tuple[Sighting, ...]
    left_out: tuple[LeftOut, ...]


def sightings(frames: Iterable[Frame], point: VantagePoint | None = None, ports: Collection[int] = (DNS_PORT,)
              ) -> tuple[Sighting, ...]:
    """Return every DNS message to or from these ports: see `read_frames`."""
    return read_frames(frames, point, ports).sightings


@collection_paused()
def read_frames(frames: Iterable[Frame], point: VantagePoint | None = None, ports: Collection[int] = (DNS_PORT,)
                ) -> Reading:
    """Read every DNS message to or from these ports, over UDP or TCP, IPv4 or IPv6, at the moment it was complete.

    Nothing is raised: a frame that is cut, malformed or of something else is left out, and is named there. So is one
    whose time puts it before those that it came after: it is read, but its place is not known. Where a capture begins
    within a TCP connection, its first data segment must begin a message; nothing in TCP could tell otherwise.
    """
    reader = _Reader(point, frozenset(ports))
    for frame in frames:
        reader.read(frame)
    reader.finish()
    return Reading(tuple(reader.found), tuple(sorted(reader.left, key=lambda one: one.frame)))


@dataclass
class _Reader:
    """What was found so far, and what waits for its other parts."""

    point: VantagePoint | None
    ports: frozenset[int]
    found: list[Sighting] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    fragments: dict[tuple, tuple[dict[int, Datagram], list[Frame]]] = field(default_factory=dict)
    streams: dict[tuple, Stream] = field(default_factory=dict)
    replaced: list[Stream] = field(default_factory=list)            # by a new connection between the same sockets
    dataless: dict[frozenset, list[Frame]] = field(default_factory=dict)     # segments of connections without a message
    spoken: set[frozenset] = field(default_factory=set)             # connections in which a message was seen
    latest: dict[str, int] = field(default_factory=dict)            # the time of the frame before, by interface

    def read(self, frame: Frame) -> None:
        """Read one frame."""
        back = self.latest.get(frame.interface, frame.time_ns) - frame.time_ns
        self.latest[frame.interface] = frame.time_ns
        if back > STEP_NS:
            self._leave_out(frame, Reason.STEPPED_BACK, f"by {back / 10**9:.1f} s")
        if frame.link_type not in LINK_TYPES:
            self._leave_out(frame, Reason.LINK_TYPE, f"link type {frame.link_type}")
            return
        try:
            datagram = datagram_of(frame)
        except ParseError as error:
            self._leave_out_damaged(frame, str(error))
            return
        if datagram is None:
            self._leave_out_other(frame)
        elif datagram.missing and datagram.fragment:
            self._leave_out(frame, Reason.CUT, "a fragment")
        elif datagram.fragment:
            self._read_fragment(datagram, frame)
        else:
            self._read_datagram(datagram, [frame])

    def finish(self) -> None:
        """Leave out what still waits for its other parts."""
        for pieces, frames in self.fragments.values():
            self._leave_out_fragments(pieces, frames)
        sighted = {sighting.link.number for sighting in self.found}
        unfinished = [frame for stream in (*self.replaced, *self.streams.values()) for *_, frame in stream.unfinished]
        for frame in unfinished:
            if frame.number not in sighted:
                self._leave_out(frame, Reason.SEGMENT, "the rest of a message is missing")
        for frame in (frame for frames in self.dataless.values() for frame in frames):
            self._leave_out(frame, Reason.SEGMENT, "a connection without a message")

    def _read_fragment(self, part: Datagram, frame: Frame) -> None:
        id_, offset, _ = part.fragment
        key = (frame.interface, part.link, part.source, part.destination, part.protocol, id_)
        _, waiting = self.fragments.get(key, ({}, []))
        patience = FRAGMENTS_WAIT_S[6 if ":" in part.source else 4]
        if waiting and frame.time_ns - waiting[0].time_ns > patience * 10**9:      # the id has come again
            self._leave_out_fragments(*self.fragments.pop(key))
        pieces, frames = self.fragments.setdefault(key, ({}, []))
        pieces.pop(offset, None)        # the last one to come stands last
        pieces[offset] = part
        frames.append(frame)
        if whole := reassemble(pieces):
            del self.fragments[key]
            self._read_datagram(whole, frames)

    def _leave_out_fragments(self, pieces: dict[int, Datagram], frames: list[Frame]) -> None:
        reason, detail = self._fragment_reason(pieces)
        for frame in frames:
            self._leave_out(frame, reason, detail)

    def _read_datagram(self, datagram: Datagram, frames: list[Frame]) -> None:
        """Read a datagram that came in these frames, the last of which completed it."""
        reason, detail = self._reason(datagram)
        if reason == Reason.DAMAGED:
            self._leave_out_damaged(frames[-1], detail)
            return
        if reason:
            for frame in frames:
                self._leave_out(frame, reason, detail)
            return
        ports = struct.unpack_from("!HH", datagram.payload)
        ends = Socket(datagram.source, ports[0]), Socket(datagram.destination, ports[1])
        try:
            if datagram.protocol == UDP:
                self._add(datagram, ends, [udp_data(datagram.payload)], frames)
            else:
                self._read_segment(datagram, ends, frames)
        except ParseError as error:     # of the UDP or TCP header
            for frame in frames:
                self._leave_out_damaged(frame, str(error))

    def _reason(self, datagram: Datagram) -> tuple[str, str]:
        """Say why no DNS message is looked for in this datagram; "" if one is."""
        if datagram.protocol in TUNNELS:
            return Reason.ENCAPSULATED, TUNNELS[datagram.protocol]
        if datagram.protocol not in (UDP, TCP):
            return Reason.NO_PORTS, NAMES.get(datagram.protocol, f"protocol {datagram.protocol}")
        if len(datagram.payload) < 4:
            return Reason.DAMAGED, f"no ports, {len(datagram.payload)} bytes behind the IP header"
        ports = struct.unpack_from("!HH", datagram.payload)
        if self.ports.isdisjoint(ports):
            tunnel = next((TUNNEL_PORTS[port] for port in ports if port in TUNNEL_PORTS), "")
            if tunnel and datagram.protocol == UDP:
                return Reason.ENCAPSULATED, tunnel
            return Reason.OTHER_PORT, f"{NAMES[datagram.protocol]} {min(ports)}"
        if datagram.missing:
            return Reason.CUT, f"{datagram.source}:{ports[0]} → {datagram.destination}:{ports[1]}"
        return "", ""

    def _fragment_reason(self, pieces: dict[int, Datagram]) -> tuple[str, str]:
        """Say what is known of a datagram that is not whole; its first fragment has the ports and DNS's id."""
        first = pieces.get(0)
        if first is None:
            one = next(iter(pieces.values()))
            return Reason.FRAGMENT, f"{one.source} → {one.destination}, without the first"
        reason, detail = self._reason(first)
        if reason:
            return reason, detail
        ports, payload = struct.unpack_from("!HH", first.payload), first.payload
        id_ = f", DNS id {int.from_bytes(payload[8:10])}" if first.protocol == UDP and len(payload) >= 10 else ""
        return Reason.FRAGMENT, f"{first.source}:{ports[0]} → {first.destination}:{ports[1]}{id_}"

    def _read_segment(self, datagram: Datagram, ends: tuple[Socket, Socket], frames: list[Frame]) -> None:
        frame = frames[-1]
        key, connection = (frame.interface, datagram.link, *ends), frozenset((frame.interface, *ends))
        before = self.streams.get(key)
        texts = tcp_messages(datagram.payload, frame, self.streams, key)
        if before is not None and self.streams[key] is not before:
            self.replaced.append(before)
        if tcp_data(datagram.payload):
            finished = self.streams[key].take_finished()
            if self._add(datagram, ends, texts, [*finished, frame]):
                self.spoken.add(connection)
                self.dataless.pop(connection, None)
        elif connection not in self.spoken:
            self.dataless.setdefault(connection, []).extend(frames)

    def _add(self, datagram: Datagram, ends: tuple[Socket, Socket], texts: Iterable[bytes], frames: list[Frame]
             ) -> bool:
        """Add a sighting for each of the messages that these frames carried; say whether there was one."""
        frame, before = frames[-1], len(self.found)
        for text in texts:
            try:
                found = message(text)
            except ParseError as error:
                for part in {part.number: part for part in frames}.values():
                    self._leave_out(part, Reason.NO_MESSAGE, f"{ends[0]} → {ends[1]}: {error}")
                continue
            if found.extraneous:
                self._leave_out(frame, Reason.EXTRANEOUS, f"{found.extraneous} bytes")
            self.found.append(Sighting(self.point, frame.time_ns, NAMES[datagram.protocol], *ends, datagram.ttl,
                                       datagram.ip_id, found, interface_index(frame), frame))
        return len(self.found) > before

    def _leave_out_damaged(self, frame: Frame, detail: str) -> None:
        """Leave out a frame whose headers do not fit; if the capture cut it, that may be why."""
        is_cut = frame.length > len(frame.data)
        self._leave_out(frame, Reason.CUT if is_cut else Reason.DAMAGED, detail)

    def _leave_out_other(self, frame: Frame) -> None:
        """Leave out a frame that is no packet of IP; what it carries may be one."""
        ether_type = packet_start(frame)[0]
        if ether_type in ETHER_TUNNELS:
            self._leave_out(frame, Reason.ENCAPSULATED, ETHER_TUNNELS[ether_type])
        else:
            self._leave_out(frame, Reason.NO_PORTS,
                            "ARP" if ether_type == 0x0806 else f"Ethernet type {ether_type:#06x}")

    def _leave_out(self, frame: Frame, reason: str, detail: str) -> None:
        self.left.append(LeftOut(self.point, frame.number, reason, detail))
