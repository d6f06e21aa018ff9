"""What the IP packet in a captured frame carries: UDP and TCP, over IPv4 and IPv6, fragments put together.

Scapy takes link and IP headers apart. Sources: RFC 791, RFC 8200 (IP), RFC 768 (UDP), RFC 9293 (TCP).


TCP segments to the DNS messages in them (RFC 7766): out of order, repeated, several in one, one in several."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kitlib.errors import ParseError
from kitlib.sighting import Frame

if TYPE_CHECKING:
    from scapy.packet import Packet


TCP, UDP = 6, 17
Fragments = dict[tuple, dict[int, tuple[bytes, bool]]]           # for each datagram, by offset: bytes, more to come


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


def dissect(frame: Frame) -> Packet:
    """The frame as scapy's packet, from the link header on."""
    from scapy.layers import inet6, l2  # noqa: F401  (inet6 makes scapy know IPv4 and IPv6 as payloads)

    links = {1: (l2.Ether, 14), 113: (l2.CookedLinux, 16), 276: (l2.CookedLinuxV2, 20)}
    if frame.link_type not in links:
        raise ParseError("frame", "link type 1 (Ethernet), 113 or 276 (Linux cooked)", str(frame.link_type))
    layer, size = links[frame.link_type]
    if len(frame.data) < size:
        raise ParseError("frame", f"a link header of {size} bytes", f"{len(frame.data)} bytes")
    return layer(frame.data)


def datagram_of(packet: Packet) -> Datagram | None:
    """What the frame's outer IP packet carries if that is UDP or TCP; None for all else (ARP, ICMP)."""
    link = packet
    while link.payload.name in ("802.1Q", "802_1AD"):
        link = link.payload
    ether_type = link.fields.get("type", link.fields.get("proto"))
    names = {0x0800: ("IP", _ipv4), 0x86DD: ("IPv6", _ipv6)}
    if ether_type not in names:
        return None
    name, read = names[ether_type]
    if link.payload.name != name:
        raise ParseError("frame", f"a whole {name} header", bytes(link.payload).hex(" "))
    ip = link.payload
    datagram = read(ip, packet.original[:len(packet.original) - len(ip.original)])
    return datagram if datagram.protocol in (UDP, TCP) else None


def _ipv4(ip: Packet, link: bytes) -> Datagram:
    start = ip.ihl * 4
    if ip.version != 4 or not 20 <= start <= ip.len:
        raise ParseError("IPv4 header", "version 4 and a header within the packet",
                         f"version {ip.version}, header {start} bytes, packet {ip.len} bytes")
    fragment = (ip.id, ip.frag * 8, bool(ip.flags.MF))
    return Datagram(link, ip.src, ip.dst, ip.ttl, ip.id, ip.proto, ip.original[start:ip.len],
                    max(ip.len - len(ip.original), 0), fragment if ip.frag or ip.flags.MF else None)


def _ipv6(ip: Packet, link: bytes) -> Datagram:
    protocol, body, fragment = ip.nh, ip.original[40:40 + ip.plen], None
    missing = 40 + ip.plen - len(ip.original)
    while protocol in (0, 43, 44, 60) and fragment is None:      # hop-by-hop, routing, fragment, destination
        if len(body) < 8:
            raise ParseError("IPv6 packet", "an extension header of at least 8 bytes", f"{len(body)} bytes")
        size = body[1] * 8 + 8
        if protocol == 44:
            offset, id_ = struct.unpack_from("!HI", body, 2)
            size, fragment = 8, (id_, offset & ~7, bool(offset & 1))
        protocol, body = body[0], body[size:]
    return Datagram(link, ip.src, ip.dst, ip.hlim, 0, protocol, body, max(missing, 0), fragment)


def reassemble(part: Datagram, interface: str, fragments: Fragments) -> Datagram | None:
    """The whole datagram once its last missing fragment is there."""
    check_whole(part)
    id_, offset, more = part.fragment
    key = (interface, part.link, part.source, part.destination, part.protocol, id_)
    pieces, whole = fragments.setdefault(key, {}), b""
    pieces[offset] = part.payload, more
    more = True
    while more:
        text, more = pieces.get(len(whole), (b"", False))
        if not text:
            return None
        whole += text
    del fragments[key]
    return part._replace(payload=whole, fragment=None)


def check_whole(datagram: Datagram) -> None:
    """ParseError if the capture kept only the beginning of this packet (tcpdump's snapshot length)."""
    if datagram.missing:
        raise ParseError("frame", f"{datagram.missing} more bytes, as its IP header says",
                         "the end of what was captured")


def udp_data(payload: bytes) -> bytes:
    """What follows the UDP header, by the length it gives."""
    if len(payload) < 8 or not 8 <= (size := int.from_bytes(payload[4:6])) <= len(payload):
        raise ParseError("UDP header", f"8 bytes and a length of 8 to {len(payload)}", payload[:8].hex(" "))
    return payload[8:size]


def tcp_data(payload: bytes) -> bytes:
    """What follows the TCP header and its options."""
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


def tcp_messages(payload: bytes, streams: dict[tuple, Stream], key: tuple) -> list[bytes]:
    """The messages that this segment completes; sequence numbers count modulo 2**32 (RFC 9293, 3.4)."""
    text = tcp_data(payload)
    sequence, = struct.unpack_from("!I", payload, 4)
    if payload[13] & 2:                                          # SYN takes one number itself
        sequence = (sequence + 1) % 2**32
        if key not in streams or streams[key].start != sequence:
            streams[key] = Stream(sequence, sequence)
    if not text:
        return []
    stream = streams.setdefault(key, Stream(sequence, sequence))
    if len(text) > len(stream.early.get(sequence, b"")):
        stream.early[sequence] = text
    _append_in_order(stream)
    return list(_complete(stream))


def _append_in_order(stream: Stream) -> None:
    def ahead(sequence: int) -> int:
        return (sequence - stream.next + 2**31) % 2**32 - 2**31

    for sequence in sorted(stream.early, key=ahead):
        if ahead(sequence) > 0:
            return
        new = stream.early.pop(sequence)[-ahead(sequence):]
        stream.text, stream.next = stream.text + new, (stream.next + len(new)) % 2**32


def _complete(stream: Stream) -> Iterator[bytes]:
    while len(stream.text) >= 2 and len(stream.text) >= (end := 2 + int.from_bytes(stream.text[:2])):
        yield stream.text[2:end]
        stream.text = stream.text[end:]
