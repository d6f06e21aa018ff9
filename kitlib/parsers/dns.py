"""DNS: the bytes of a message to its meaning, and captured frames to sightings, in the words of BIND's dig."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from kitlib.errors import ParseError, told_of
from kitlib.parsers.datagrams import (
    UDP,
    Datagram,
    Fragments,
    check_whole,
    datagram_of,
    dissected,
    reassembled,
    udp_data,
)
from kitlib.parsers.dns_wire import (
    SECTIONS,
    TYPES,
    Entry,
    entries,
    header_of,
    record_data,
    take,
    type_name,
)
from kitlib.parsers.tcp_streams import Stream, tcp_messages
from kitlib.sighting import Edns, Frame, Message, Question, Record, Sighting, Socket, VantagePoint

OPCODES = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE"}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
          7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE"}
FLAGS = {"qr": 0x8000, "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "ad": 0x0020, "cd": 0x0010}
OPTIONS = {3: "NSID", 8: "CLIENT-SUBNET", 9: "EXPIRE", 10: "COOKIE", 11: "TCP-KEEPALIVE", 12: "PAD", 15: "EDE"}
PORT = 53


def message(data: bytes) -> Message:
    """One DNS message (without TCP's length prefix). ParseError at whatever is cut, too long, or inconsistent."""
    id_, bits = struct.unpack_from("!HH", header_of(data))
    parts = entries(data)
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


def _opt(parts: tuple[Entry, ...]) -> Entry | None:
    found = [entry for entry in parts if entry.section != "question" and TYPES.get(entry.type) == "OPT"]
    if len(found) > 1 or any(entry.section != "additional" or entry.name != "." for entry in found):
        raise ParseError("DNS message", "at most one OPT record, of the root, in the additional section",
                         ", ".join(f"{entry.section} {entry.name} OPT" for entry in found))
    return found[0] if found else None


def option_name(code: int) -> str:
    """The EDNS option's name; OPT=65001 for one without a name here."""
    return OPTIONS.get(code, f"OPT={code}")


def options(data: bytes, opt: Entry) -> Iterator[tuple[int, int, int]]:
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
        with told_of(where=f"frame {frame.number}"):
            packet = dissected(frame)
            datagram = datagram_of(packet)
            if datagram and datagram.fragment:
                datagram = reassembled(datagram, frame.interface, fragments)
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
