"""What captured frames carry: the UDP datagrams and TCP segments in them, fragments and streams put together.

Read by `struct`. Links: IEEE 802.3, 802.1Q and 802.1ad (VLAN tags), and tcpdump.org's pages of LINKTYPE_LINUX_SLL,
LINKTYPE_LINUX_SLL2, LINKTYPE_NULL, LINKTYPE_LOOP and LINKTYPE_RAW. Packets: RFC 791 (IPv4), 8200 (IPv6), 768 (UDP),
9293 (TCP), 7766 (DNS over TCP).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

from kitlib.errors import ParseError
from kitlib.sighting import Frame

ETHER_IPV4, ETHER_IPV6 = 0x0800, 0x86DD                                       # as Ethernet numbers what follows
VLAN_TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)                                  # the last two before 802.1ad had its own
HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, DESTINATION = 0, 6, 17, 43, 44, 60      # as IP does
# What rules call protocols: iptables and, where it finds no /etc/protocols, as in slim images, nft write their numbers.
PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": TCP, "udp": UDP, "dccp": 33, "icmpv6": 58, "ipv6-icmp": 58, "sctp": 132,
             "udplite": 136}
# Link type of pcap: size of the link header, and where in it the Ethernet type of what follows stands.
LINK_HEADERS = {1: (14, 12), 113: (16, 14), 276: (20, 0)}
RAW_LINKS, LOOPBACK_LINKS = (101, 228, 229), (0, 108)      # the packet at once; a 4-byte address family before it
LINK_TYPES = (*LINK_HEADERS, *RAW_LINKS, *LOOPBACK_LINKS)
BY_VERSION = {4: ETHER_IPV4, 6: ETHER_IPV6}
BY_FAMILY = {2: ETHER_IPV4, 10: ETHER_IPV6, 24: ETHER_IPV6, 28: ETHER_IPV6, 30: ETHER_IPV6}     # Linux, then the BSDs
IPV4_HEADER = struct.Struct("!BxHHHBBxx4s4s")
IPV6_HEADER = struct.Struct("!B3xHBB16s16s")


class Datagram(NamedTuple):
    """What an IP packet carries: `payload` is UDP's or TCP's header and data, `missing` the bytes not captured."""

    link: bytes                       # the link header: what sets apart two interfaces of one "any" capture
    source: str
    destination: str
    ttl: int
    ip_id: int
    protocol: int
    payload: bytes
    missing: int
    fragment: tuple[int, int, bool] | None = None      # id, byte offset, more to come


@lru_cache(maxsize=65536)
def address_text(raw: bytes) -> str:
    """Write the 4 or 16 bytes of an address as glibc's inet_ntop(3) does, and with it dig, tcpdump and ip.

    It writes the last 32 bits of ::1.2.3.4 and ::ffff:1.2.3.4 dotted; Python's `ipaddress` does so from 3.13 on, and
    only the second.
    """
    text = str(ip_address(raw))
    if len(raw) == 16 and raw[:12] in (bytes(12), bytes(10) + b"\xff\xff") and (raw[10] or raw[12:14] != b"\0\0"):
        return f"{'::ffff:' if raw[10] else '::'}{IPv4Address(raw[12:])}"
    return text


def packet_start(frame: Frame) -> tuple[int, int]:
    """Return the Ethernet type behind the link header and its VLAN tags, and the byte at which the packet starts."""
    if frame.link_type not in LINK_TYPES:
        raise ParseError("frame", "link type 1 (Ethernet), 113 or 276 (Linux cooked), 101, 228 or 229 (raw IP), 0 or "
                         "108 (loopback)", str(frame.link_type))
    if frame.link_type not in LINK_HEADERS:
        return _packet_without_ethernet(frame)
    (start, type_at), data = LINK_HEADERS[frame.link_type], frame.data
    if len(data) < start:
        raise ParseError("frame", f"a link header of {start} bytes", f"{len(data)} bytes")
    ether_type = int.from_bytes(data[type_at:type_at + 2])
    while ether_type in VLAN_TAGS:
        start += 4
        if len(data) < start:
            raise ParseError("frame", f"{start} bytes of link header and VLAN tags", f"{len(data)} bytes")
        ether_type = int.from_bytes(data[start - 2:start])
    return ether_type, start


def _packet_without_ethernet(frame: Frame) -> tuple[int, int]:
    """Do the same for raw IP (tun, WireGuard and IPIP devices) and for the loopback devices of BSD and macOS.

    A loopback header is in the byte order of the machine that captured it, whichever that was.
    """
    start = 0 if frame.link_type in RAW_LINKS else 4
    if len(frame.data) <= start:
        raise ParseError("frame", f"more than {start} bytes", f"{len(frame.data)} bytes")
    if frame.link_type in RAW_LINKS:
        return BY_VERSION.get(frame.data[0] >> 4, 0), start
    family = min(int.from_bytes(frame.data[:4], "little"), int.from_bytes(frame.data[:4]))
    return BY_FAMILY.get(family, 0), start


def interface_index(frame: Frame) -> int | None:
    """Return the index of the interface a frame was seen on; only Linux cooked v2 captures tell it."""
    return int.from_bytes(frame.data[4:8]) if frame.link_type == 276 else None


def datagram_of(frame: Frame) -> Datagram | None:
    """Return what the frame's outer IP packet carries; None if it is no IP packet (ARP)."""
    ether_type, start = packet_start(frame)
    if ether_type == ETHER_IPV4:
        return _ipv4(frame.data, start, frame.length)
    if ether_type == ETHER_IPV6:
        return _ipv6(frame.data, start, frame.length)
    return None


def _ipv4(data: bytes, start: int, length: int) -> Datagram:
    if len(data) < start + 20:
        raise ParseError("frame", "a whole IPv4 header", data[start:].hex(" "))
    first, size, id_, bits, ttl, protocol, source, destination = IPV4_HEADER.unpack_from(data, start)
    header, size = (first & 15) * 4, size or max(length, len(data)) - start     # 0: left to the network card (TSO)
    if first >> 4 != 4 or not 20 <= header <= size:
        raise ParseError("IPv4 header", "version 4 and a header within the packet",
                         f"version {first >> 4}, header {header} bytes, packet {size} bytes")
    fragment = (id_, (bits & 0x1FFF) * 8, bool(bits & 0x2000)) if bits & 0x3FFF else None
    return Datagram(data[:start], address_text(source), address_text(destination), ttl, id_, protocol,
                    data[start + header:start + size], max(start + size - len(data), 0), fragment)


def _ipv6(data: bytes, start: int, length: int) -> Datagram:
    if len(data) < start + 40:
        raise ParseError("frame", "a whole IPv6 header", data[start:].hex(" "))
    first, size, protocol, ttl, source, destination = IPV6_HEADER.unpack_from(data, start)
    if first >> 4 != 6:
        raise ParseError("IPv6 header", "version 6", f"version {first >> 4}")
    if size == 0 and protocol in (TCP, HOP_BY_HOP):         # left to the network card, or a jumbogram (RFC 2675)
        size = max(length, len(data)) - start - 40
    end = start + 40 + size
    body, fragment = data[start + 40:end], None
    while protocol in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION) and fragment is None:
        if len(body) < 8:
            raise ParseError("IPv6 packet", "an extension header of at least 8 bytes", f"{len(body)} bytes")
        header = body[1] * 8 + 8
        if protocol == FRAGMENT:
            offset, id_ = struct.unpack_from("!HI", body, 2)
            header, fragment = 8, (id_, offset & ~7, bool(offset & 1))
        protocol, body = body[0], body[header:]
    return Datagram(data[:start], address_text(source), address_text(destination), ttl, 0, protocol, body,
                    max(end - len(data), 0), fragment)


def reassemble(pieces: dict[int, Datagram]) -> Datagram | None:
    """Return the whole datagram of these fragments, by offset, as the last one came; None while one is missing."""
    whole, more = b"", True
    while more:
        piece = pieces.get(len(whole))
        if piece is None or not piece.payload:
            return None
        whole, more = whole + piece.payload, piece.fragment[2]
    return next(reversed(pieces.values()))._replace(payload=whole, fragment=None)


def udp_data(payload: bytes) -> bytes:
    """Return what follows the UDP header, by the length it gives."""
    if len(payload) < 8 or not 8 <= (size := int.from_bytes(payload[4:6])) <= len(payload):
        raise ParseError("UDP header", f"8 bytes and a length of 8 to {len(payload)}", payload[:8].hex(" "))
    return payload[8:size]


def tcp_data(payload: bytes) -> bytes:
    """Return what follows the TCP header and its options."""
    if len(payload) < 20 or not 20 <= (size := (payload[12] >> 4) * 4) <= len(payload):
        raise ParseError("TCP header", f"a header of 20 to {len(payload)} bytes", payload[:20].hex(" "))
    return payload[size:]


@dataclass
class Stream:
    """One direction of a TCP connection: what came early waits in `early`, by sequence number."""

    start: int
    next: int
    early: dict[int, bytes] = field(default_factory=dict)
    text: bytes = b""
    unfinished: list[tuple[int, int, Frame]] = field(default_factory=list)    # sequence numbers of its start and end

    def take_finished(self) -> list[Frame]:
        """Take out the frames that hold nothing but what was read, up to the last whole message, and return them."""
        done = self.next - len(self.text)
        finished = [part for part in self.unfinished
                    if _distance(part[0], self.start) >= 0 and _distance(part[1], done) <= 0]
        self.unfinished = [part for part in self.unfinished if part not in finished]
        return [frame for *_, frame in finished]


def _distance(sequence: int, start: int) -> int:
    """Return how far a sequence number lies behind another; they count modulo 2**32 (RFC 9293, 3.4)."""
    return (sequence - start + 2**31) % 2**32 - 2**31


def tcp_messages(payload: bytes, frame: Frame, streams: dict[tuple, Stream], key: tuple) -> list[bytes]:
    """Return the messages that this segment completes."""
    text = tcp_data(payload)
    sequence, = struct.unpack_from("!I", payload, 4)
    if payload[13] & 2:                                          # SYN takes one number itself
        sequence = (sequence + 1) % 2**32
        if key not in streams or streams[key].start != sequence:
            streams[key] = Stream(sequence, sequence)
    if not text:
        return []
    stream = streams.setdefault(key, Stream(sequence, sequence))
    stream.unfinished.append((sequence, sequence + len(text), frame))
    if len(text) > len(stream.early.get(sequence, b"")):
        stream.early[sequence] = text
    _append_in_order(stream)
    return list(_complete(stream))


def _append_in_order(stream: Stream) -> None:
    for sequence in sorted(stream.early, key=lambda sequence: _distance(sequence, stream.next)):
        ahead = _distance(sequence, stream.next)
        if ahead > 0:
            return
        new = stream.early.pop(sequence)[-ahead:]
        stream.text, stream.next = stream.text + new, (stream.next + len(new)) % 2**32


def _complete(stream: Stream) -> Iterator[bytes]:
    while len(stream.text) >= 2 and len(stream.text) >= (end := 2 + int.from_bytes(stream.text[:2])):
        yield stream.text[2:end]
        stream.text = stream.text[end:]
