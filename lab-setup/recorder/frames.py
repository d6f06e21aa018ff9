"""Captured frames in a scrubbed recording: DNS messages that parse, built anew field by field, and nothing else.

A frame keeps its time and its length. Checksums: RFC 1071, RFC 768, RFC 9293. A frame caught before the network card
has worked on it carries a partial checksum (the pseudo-header's sum alone, Linux skbuff.h: CHECKSUM_PARTIAL); that
stays a partial one. What was wrong otherwise stays as it is: it cannot be told what it should say.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from kitlib.errors import ParseError
from kitlib.parsers.dns import DATA, IN, ONLY_IN, TYPES, message, options, wire_records
from kitlib.parsers.header_fields import ones_sum
from kitlib.parsers.packets import TCP, UDP
from kitlib.sighting import DNS_PORT, Frame
from recorder.pseudonyms import WIRE_LABEL, Pseudonyms

CHECKSUM_AT = {TCP: 16, UDP: 6}
# By link type (Ethernet, Linux cooked, Linux cooked v2): the header's size, where the protocol, the MACs and bytes
# without a meaning stand.
LINKS = {1: (14, 12, (0, 6), ()), 113: (16, 14, (6,), (12, 13)), 276: (20, 0, (12,), (2, 3, 18, 19))}
# Kinds and sizes: maximum segment size, window scale, selective acknowledgement, timestamps (RFC 9293, 7323, 2018).
TCP_OPTIONS = {2: (4,), 3: (3,), 4: (2,), 5: (10, 18, 26, 34), 8: (10,)}


class Packet(NamedTuple):
    """A frame with UDP or TCP of a port of DNS in it: byte offsets of addresses, transport header, data, end."""

    frame: Frame
    ip: int
    addresses: int
    body: int
    data: int
    end: int
    protocol: int

    @property
    def payload(self) -> bytes:
        """Return the bytes that UDP or TCP carries."""
        return self.frame.data[self.data:self.end]

    @property
    def stream(self) -> tuple:
        """Return what tells one direction of a TCP connection from all others at all vantage points."""
        return self.frame.interface, self.frame.data[self.addresses:self.body], self.frame.data[self.body:self.body + 4]


def scrub_frames(frames: Sequence[Frame], names: Pseudonyms, ports: Collection[int] = (DNS_PORT,)
                 ) -> list[Frame | None]:
    """Return every frame with its message built anew; None for one without, or that holds anything else."""
    packets = [packet_in(frame, ports) for frame in frames]
    payloads = {at: scrub_message(packet.payload, names) for at, packet in enumerate(packets)
                if packet and packet.protocol == UDP}
    segments = {at: packet for at, packet in enumerate(packets) if packet and packet.protocol == TCP}
    payloads |= _scrub_streams(segments, names)
    return [None if packet is None or payloads[at] is None else _rebuild(packet, payloads[at], names)
            for at, packet in enumerate(packets)]


def packet_in(frame: Frame, ports: Collection[int]) -> Packet | None:
    """Find UDP or TCP of these ports in a frame; None if there is none, or it is cut, a fragment, or has IP options."""
    ip, protocol_at, *_ = LINKS.get(frame.link_type, (0, 0))
    data = frame.data
    if not ip or len(data) < ip + 28 or frame.length > len(data):
        return None
    ether_type = data[protocol_at:protocol_at + 2]
    if ether_type == b"\x08\x00" and data[ip] == 0x45 and not int.from_bytes(data[ip + 6:ip + 8]) & 0x3FFF:
        addresses, body, protocol, end = ip + 12, ip + 20, data[ip + 9], ip + int.from_bytes(data[ip + 2:ip + 4])
    elif ether_type == b"\x86\xdd" and data[ip] >> 4 == 6:
        addresses, body, protocol, end = ip + 8, ip + 40, data[ip + 6], ip + 40 + int.from_bytes(data[ip + 4:ip + 6])
    else:
        return None
    header = 8 if protocol == UDP else (data[body + 12] >> 4) * 4 if protocol == TCP and len(data) > body + 12 else 0
    fits = header >= 8 and body + header <= end <= len(data)
    if not fits or set(ports).isdisjoint(struct.unpack_from("!HH", data, body)):
        return None
    return Packet(frame, ip, addresses, body, body + header, end, protocol)


def _scrub_streams(packets: dict[int, Packet], names: Pseudonyms) -> dict[int, bytes | None]:
    """Return the payloads of TCP segments, cut out of the streams of messages that they belong to."""
    streams: dict[tuple, dict[int, bytes]] = {}
    for packet in packets.values():
        if packet.payload:
            parts = streams.setdefault(packet.stream, {})
            parts[_sequence(packet)] = max(packet.payload, parts.get(_sequence(packet), b""), key=len)
    rebuilt = {key: _scrub_stream(parts, names) for key, parts in streams.items()}
    found: dict[int, bytes | None] = {}
    for at, packet in packets.items():
        start, stream = rebuilt.get(packet.stream, (0, b""))
        offset = (_sequence(packet) - start) % 2**32
        whole = offset + len(packet.payload) <= len(stream)
        found[at] = stream[offset:offset + len(packet.payload)] if whole and packet.payload else None
        if not packet.payload:
            found[at] = b""
    return found


def _sequence(packet: Packet) -> int:
    return int.from_bytes(packet.frame.data[packet.body + 4:packet.body + 8])


def _scrub_stream(parts: dict[int, bytes], names: Pseudonyms) -> tuple[int, bytes]:
    """Put segments together; return the first sequence number and all whole messages from there on, built anew."""
    start = next(iter(parts))
    start = min(parts, key=lambda sequence: (sequence - start + 2**31) % 2**32)
    text = b""
    for sequence in sorted(parts, key=lambda sequence: (sequence - start) % 2**32):
        offset = (sequence - start) % 2**32
        if offset > len(text):
            break               # a segment is missing
        text += parts[sequence][len(text) - offset:]
    new = b""
    while len(text) >= len(new) + 2:
        begin = len(new) + 2
        size = int.from_bytes(text[len(new):begin])
        clean = scrub_message(text[begin:begin + size], names) if len(text) >= begin + size else None
        if clean is None:
            break
        new += size.to_bytes(2) + clean
    return start, new


def scrub_message(data: bytes, names: Pseudonyms) -> bytes | None:
    """Build a DNS message anew, as long as before, from nothing but what is known; None if it does not parse.

    Addresses and names get their pseudonyms, strings become x, EDNS options and the data of other types zeros.
    """
    try:
        message(data)
        new = bytearray(data[:12] + bytes(len(data) - 12))
        for record in wire_records(data):
            at = _copy_name(data, new, record.start, names)
            fixed = 4 if record.section == "question" else 10
            new[at:at + fixed] = data[at:at + fixed]
            kind = TYPES[record.type]
            if kind == "OPT":
                at = record.data
                for _, value in options(data, record):
                    new[at:at + 4] = data[at:at + 4]
                    at += 4 + len(value)
            elif kind in DATA and (record.rclass == IN or kind not in ONLY_IN):
                _copy_data(data, new, record.data, record.end, DATA[kind], names)
        message(bytes(new))
    except ParseError:
        return None
    return bytes(new)


def _copy_data(data: bytes, new: bytearray, at: int, end: int, parts: str, names: Pseudonyms) -> None:
    for part in parts if at < end else "":
        if part == "n":
            at = _copy_name(data, new, at, names)
        elif part == "s":
            while at < end:
                size = data[at]
                new[at:at + 1 + size] = bytes([size]) + b"x" * size
                at += 1 + size
        elif part in "46":
            new[at:end] = ip_address(names.address(str(ip_address(data[at:end])))).packed
            at = end
        else:
            size = struct.calcsize("!" + part)
            new[at:at + size] = data[at:at + size]
            at += size


def _copy_name(data: bytes, new: bytearray, at: int, names: Pseudonyms) -> int:
    """Write a name's pseudonym where the name stands; return the offset behind it. ParseError if a label is no word."""
    labels, behind = [], 0
    while data[at]:
        if data[at] >= 192:
            new[at:at + 2] = data[at:at + 2]
            behind = behind or at + 2
            at = int.from_bytes(data[at:at + 2]) & 0x3FFF
            continue
        labels.append((at + 1, data[at + 1:at + 1 + data[at]].decode("ascii", errors="replace")))
        new[at] = data[at]
        at += 1 + data[at]
    for start, label in labels:
        if not re.fullmatch(WIRE_LABEL, label):
            raise ParseError("DNS message", "a label that text shows as it is", label, f"byte {start}")
    for (start, _), label in zip(labels, names.name([label for _, label in labels]), strict=True):
        new[start:start + len(label)] = label.encode()
    return behind or at + 1


def _rebuild(packet: Packet, payload: bytes, names: Pseudonyms) -> Frame:
    """Return the frame with other addresses and this payload, and zeros behind it."""
    old, size = packet.frame.data, (packet.body - packet.addresses) // 2
    link = bytearray(old[:packet.ip])
    _, _, macs, unused = LINKS[packet.frame.link_type]
    for at in macs:
        link[at:at + 6] = bytes.fromhex(names.mac(link[at:at + 6].hex(":")).replace(":", ""))
    for at in unused:
        link[at] = 0
    ends = (str(ip_address(old[at:at + size])) for at in (packet.addresses, packet.addresses + size))
    addresses = b"".join(ip_address(names.address(end)).packed for end in ends)
    header = old[packet.body:packet.data]
    if packet.protocol == TCP:
        header = header[:20] + _known_options(header[20:])
    new = old[packet.ip:packet.addresses] + addresses + header + payload
    new = _repaired(old[packet.ip:packet.end], new, packet)
    return replace(packet.frame, data=bytes(link) + new + bytes(len(old) - packet.end))


def _known_options(old: bytes) -> bytes:
    """Return the options of a TCP header, with no-operations (1) for those that may hold anything."""
    new, at = bytearray(len(old)), 0
    while at < len(old) and old[at]:
        size = 1 if old[at] == 1 else max([2, *old[at + 1:at + 2]])
        new[at:at + size] = old[at:at + size] if size in TCP_OPTIONS.get(old[at], ()) else b"\1" * size
        at += size
    return bytes(new[:len(old)])


def _repaired(old: bytes, new: bytes, packet: Packet) -> bytes:
    """Return the new IP packet with right checksums where the old one's were right."""
    body, first = packet.body - packet.ip, packet.addresses - packet.ip
    if first == 12 and ones_sum(old[:body]) == 0xFFFF:
        new = new[:10] + _inverted(ones_sum(new[:10] + bytes(2) + new[12:body])) + new[12:]
    at = body + CHECKSUM_AT[packet.protocol]
    before, after = (_pseudo(text[first:body], packet.protocol, len(text) - body) for text in (old, new))
    if not any(old[at:at + 2]):
        return new
    if old[at:at + 2] == ones_sum(before).to_bytes(2):
        right = ones_sum(after).to_bytes(2)
    elif ones_sum(before + old[body:]) == 0xFFFF:
        right = _inverted(ones_sum(after + new[body:at] + bytes(2) + new[at + 2:]))
    else:
        return new
    return new[:at] + right + new[at + 2:]


def _pseudo(addresses: bytes, protocol: int, length: int) -> bytes:
    return addresses + length.to_bytes(4) + protocol.to_bytes(4)


def _inverted(total: int) -> bytes:
    return (0xFFFF - total or 0xFFFF).to_bytes(2)
