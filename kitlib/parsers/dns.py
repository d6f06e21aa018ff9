"""A DNS message as it lies on the wire: names, questions, records.

Read here, strictly, and not with scapy: its DNS layer accepts a record data length that does not fit (and cuts names
short by it), missing questions and pointer loops without an error.
Sources: RFC 1035 (messages), RFC 3597 (data of unknown types).


DNS: the bytes of a message to its meaning, and captured frames to sightings, in the words of BIND's dig."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.packets import (
    UDP,
    Datagram,
    Fragments,
    Stream,
    check_whole,
    datagram_of,
    dissect,
    reassemble,
    tcp_messages,
    udp_data,
)
from kitlib.sighting import Edns, Frame, Message, Question, Record, Sighting, Socket, VantagePoint

TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC",
         33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY",
         50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY",
         257: "CAA"}
SECTIONS = ("question", "answer", "authority", "additional")
# What the data of a type consists of: 4, 6 addresses; H, I numbers; n a name; s strings. The rest: RFC 3597.
DATA = {"A": "4", "AAAA": "6", "NS": "n", "CNAME": "n", "PTR": "n", "DNAME": "n", "MX": "Hn", "SRV": "HHHn",
        "SOA": "nnIIIII", "TXT": "s"}
IN = 1


class WireRecord(NamedTuple):
    """A question or record as it lies in a message: byte offsets of start, record data, and end."""

    section: str
    name: str
    type: int
    rclass: int
    ttl: int
    start: int
    data: int
    end: int


def type_name(code: int) -> str:
    """The record type as dig prints it; TYPE65280 for one without a name here (RFC 3597)."""
    return TYPES.get(code, f"TYPE{code}")


def wire_records(data: bytes) -> tuple[WireRecord, ...]:
    """Every question and record of a message in order, OPT included. ParseError unless they fill it exactly."""
    counts, at, found = struct.unpack_from("!4H", header_of(data), 4), 12, []
    for section, count in zip(SECTIONS, counts, strict=True):
        for _ in range(count):
            entry = _entry(data, at, section)
            found.append(entry)
            at = entry.end
    if at != len(data):
        raise ParseError("DNS message", f"its end at byte {at}, after the last record", f"{len(data)} bytes")
    return tuple(found)


def header_of(data: bytes) -> bytes:
    """The 12 bytes that every message begins with."""
    return take(data, 0, 12, "a header")


def _entry(data: bytes, start: int, section: str) -> WireRecord:
    name, at = name_at(data, start)
    code, rclass = struct.unpack("!HH", take(data, at, 4, "type and class"))
    if section == "question":
        return WireRecord(section, name, code, rclass, 0, start, at + 4, at + 4)
    ttl, size = struct.unpack("!IH", take(data, at + 4, 6, "TTL and data length"))
    take(data, at + 10, size, f"the data of {name} {type_name(code)}")
    return WireRecord(section, name, code, rclass, ttl, start, at + 10, at + 10 + size)


def take(data: bytes, at: int, size: int, what: str, end: int | None = None) -> bytes:
    """`size` bytes at `at`; ParseError if the message (or the record data, up to `end`) is shorter."""
    found = data[at:at + size if end is None else min(at + size, end)]
    if len(found) < size:
        raise ParseError("DNS message", f"{size} bytes of {what}", f"{len(found)} bytes", f"byte {at}")
    return found


def name_at(data: bytes, at: int) -> tuple[str, int]:
    """The name at a byte offset, as dig prints it (case kept, final dot), and the offset behind it.

    A compression pointer must lead to before the name it ends (RFC 1035, 4.1.4), so that reading always ends.
    """
    labels, size, behind, earliest = [], 1, None, at
    while True:
        length = take(data, at, 1, "a name")[0]
        if length == 0:
            return ".".join([*labels, ""]) or ".", at + 1 if behind is None else behind
        if length < 64:
            labels.append(_escaped(take(data, at + 1, length, "a label"), b'"().;\\@$'))
            at, size = at + 1 + length, size + 1 + length
        elif length >= 192:
            target = int.from_bytes(take(data, at, 2, "a compression pointer")) & 0x3FFF
            behind = at + 2 if behind is None else behind
            if target >= earliest:
                raise ParseError("DNS message", f"a pointer to before byte {earliest}", f"to byte {target}",
                                 f"byte {at}")
            at = earliest = target
        else:
            raise ParseError("DNS message", "a label or a pointer", f"label type {length >> 6:02b}", f"byte {at}")
        if size > 255:
            raise ParseError("DNS message", "a name of at most 255 bytes", ".".join(labels), f"byte {at}")


def _escaped(raw: bytes, special: bytes, space: str = "\\032") -> str:
    """Bytes as in a zone file: \\DDD for what cannot be printed (RFC 1035, 5.1)."""
    return "".join(f"\\{byte:c}" if byte in special else space if byte == 32
                   else chr(byte) if 32 < byte < 127 else f"\\{byte:03d}" for byte in raw)


def record_data(data: bytes, entry: WireRecord) -> str:
    """The record data as dig prints it; for types not known here `\\# 3 ABCDEF` (RFC 3597)."""
    kind = type_name(entry.type)
    if kind not in DATA or (entry.rclass != IN and DATA[kind] in "46"):
        return f"\\# {entry.end - entry.data} {data[entry.data:entry.end].hex().upper()}".rstrip()
    words, at = [], entry.data
    for part in DATA[kind]:
        word, at = _data_part(data, at, entry.end, part)
        words.append(word)
    if at != entry.end:
        raise ParseError("DNS message", f"{kind} data of {at - entry.data} bytes", f"a data length of "
                         f"{entry.end - entry.data}", f"byte {entry.data}")
    return " ".join(words)


def _data_part(data: bytes, at: int, end: int, part: str) -> tuple[str, int]:
    if part == "n":
        return name_at(data, at)
    if part == "s":
        return _strings(data, at, end)
    if part in "46":
        size, family = (4, socket.AF_INET) if part == "4" else (16, socket.AF_INET6)
        return socket.inet_ntop(family, take(data, at, size, "an address", end)), at + size
    size = struct.calcsize("!" + part)
    return str(int.from_bytes(take(data, at, size, "a number", end))), at + size


def _strings(data: bytes, at: int, end: int) -> tuple[str, int]:
    words = []
    while at < end or not words:
        size = take(data, at, 1, "a string", end)[0]
        text = _escaped(take(data, at + 1, size, "a string", end), b'"\\', " ")
        words.append(f'"{text}"')
        at += 1 + size
    return " ".join(words), at


OPCODES = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE"}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
          7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE"}
FLAGS = {"qr": 0x8000, "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "ad": 0x0020, "cd": 0x0010}
OPTIONS = {3: "NSID", 8: "CLIENT-SUBNET", 9: "EXPIRE", 10: "COOKIE", 11: "TCP-KEEPALIVE", 12: "PAD", 15: "EDE"}
PORT = 53


def message(data: bytes) -> Message:
    """One DNS message (without TCP's length prefix). ParseError at whatever is cut, too long, or inconsistent."""
    id_, bits = struct.unpack_from("!HH", header_of(data))
    parts = wire_records(data)
    opt = _opt(parts)
    rcode = (bits & 15) | (opt.ttl >> 24 << 4 if opt else 0)
    records = {name: tuple(Record(e.name, type_name(e.type), e.ttl, record_data(data, e))
                           for e in parts if e.section == name and e is not opt) for name in SECTIONS[1:]}
    return Message(
        id_, tuple(flag for flag, bit in FLAGS.items() if bits & bit), opcode_name(bits >> 11 & 15), rcode_name(rcode),
        tuple(Question(e.name, type_name(e.type)) for e in parts if e.section == "question"),
        records["answer"], records["authority"], records["additional"],
        Edns(opt.rclass, opt.ttl >> 16 & 255, tuple((option_name(code), data[at:end].hex())
                                                    for code, at, end in options(data, opt))) if opt else None,
        len(data))


def rcode_name(code: int) -> str:
    """The response code as dig prints it."""
    return RCODES.get(code) or (f"RESERVED{code}" if code < 16 else f"?{code}")


def opcode_name(code: int) -> str:
    """The operation as dig prints it."""
    return OPCODES.get(code, f"RESERVED{code}")


def _opt(parts: tuple[WireRecord, ...]) -> WireRecord | None:
    found = [entry for entry in parts if entry.section != "question" and TYPES.get(entry.type) == "OPT"]
    if len(found) > 1 or any(entry.section != "additional" or entry.name != "." for entry in found):
        raise ParseError("DNS message", "at most one OPT record, of the root, in the additional section",
                         ", ".join(f"{entry.section} {entry.name} OPT" for entry in found))
    return found[0] if found else None


def option_name(code: int) -> str:
    """The EDNS option's name; OPT=65001 for one without a name here."""
    return OPTIONS.get(code, f"OPT={code}")


def options(data: bytes, opt: WireRecord) -> Iterator[tuple[int, int, int]]:
    """The EDNS options of an OPT record: code, and byte offsets of the value's start and end."""
    at = opt.data
    while at < opt.end:
        code, size = struct.unpack("!HH", take(data, at, 4, "an EDNS option", opt.end))
        take(data, at + 4, size, f"EDNS option {option_name(code)}", opt.end)
        yield code, at + 4, at + 4 + size
        at += 4 + size


def sightings(frames: Iterable[Frame], point: VantagePoint | None = None) -> tuple[Sighting, ...]:
    """Every DNS message to or from port 53, over UDP or TCP, IPv4 or IPv6, at the moment it was complete.

    All else (ICMP, TCP segments without data, other ports) gives nothing. ParseError names the frame that is cut
    or malformed. A message whose last fragment or TCP segment was not captured gives nothing. Where a capture begins
    within a TCP connection, its first data segment must begin a message; nothing in TCP could tell otherwise.
    """
    found: list[Sighting] = []
    fragments: Fragments = {}
    streams: dict[tuple, Stream] = {}
    for frame in frames:
        with parse_context(where=f"frame {frame.number}"):
            packet = dissect(frame)
            datagram = datagram_of(packet)
            if datagram and datagram.fragment:
                datagram = reassemble(datagram, frame.interface, fragments)
            if datagram:
                index = packet.ifindex if frame.link_type == 276 else None
                found += _seen(datagram, frame, streams, point, index)
    return tuple(found)


def _seen(datagram: Datagram, frame: Frame, streams: dict[tuple, Stream], point: VantagePoint | None,
          index: int | None) -> list[Sighting]:
    """The sightings that this datagram completes."""
    if len(datagram.payload) < 4:
        raise ParseError("frame", "the ports", f"{len(datagram.payload)} bytes behind the IP header")
    ports = struct.unpack_from("!HH", datagram.payload)
    if PORT not in ports:
        return []
    check_whole(datagram)
    source, destination = Socket(datagram.source, ports[0]), Socket(datagram.destination, ports[1])
    if datagram.protocol == UDP:
        protocol, texts = "UDP", [udp_data(datagram.payload)]
    else:
        protocol, texts = "TCP", tcp_messages(datagram.payload, streams, (frame.interface, datagram.link, source,
                                                                          destination))
    return [Sighting(point, frame.time_ns, protocol, source, destination, datagram.ttl, datagram.ip_id, message(text),
                     index, frame) for text in texts]
