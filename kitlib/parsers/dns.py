"""DNS messages, from the wire to the words of BIND's dig.

Read strictly, and not by scapy: its DNS layer accepts a record data length that does not fit (and cuts names short by
it), missing questions and pointer loops without an error.
Sources: RFC 1035 (messages), RFC 2136 (UPDATE), RFC 3597 (data of unknown types), RFC 6891 (EDNS).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from kitlib.errors import ParseError
from kitlib.parsers.packets import address_text
from kitlib.sighting import Edns, Message, Question, Record


class Names(dict[int, str]):
    """What dig calls a number; one without a name here it calls TYPE65280, CLASS32769 and so on (RFC 3597)."""

    def __init__(self, names: dict[int, str], others: str) -> None:
        super().__init__(names)
        self.others = others

    def __missing__(self, number: int) -> str:
        return self.others.format(number)


TYPES = Names({
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC",
    33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY",
    50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY",
    257: "CAA"}, "TYPE{}")
OPT, IN = 41, 1
MOST_LABELS = 127
SECTIONS = ("question", "answer", "authority", "additional")
# What the data of a type consists of: 4, 6 addresses; H, I numbers; n a name; s strings. The rest: RFC 3597.
DATA = {"A": "4", "AAAA": "6", "NS": "n", "CNAME": "n", "PTR": "n", "DNAME": "n", "MX": "Hn", "SRV": "HHHn",
        "SOA": "nnIIIII", "TXT": "s"}
ONLY_IN = {"A", "AAAA", "SRV"}         # types that are defined for the internet's class alone
SIZES = {"4": 4, "6": 16, "H": 2, "I": 4}
WITHOUT_DATA = (254, 255)
CLASSES = Names({1: "IN", 3: "CH", 254: "NONE", 255: "ANY"}, "CLASS{}")
OPCODES = Names({0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE"}, "RESERVED{}")
RCODES = Names({
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET",
    8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", **{code: f"RESERVED{code}" for code in range(11, 16)}, 16: "BADVERS",
    23: "BADCOOKIE"}, "?{}")
FLAGS = {"qr": 0x8000, "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "ad": 0x0020, "cd": 0x0010}
OPTIONS = Names({
    3: "NSID", 8: "CLIENT-SUBNET", 9: "EXPIRE", 10: "COOKIE", 11: "TCP-KEEPALIVE", 12: "PAD", 15: "EDE"}, "OPT={}")


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


@lru_cache(maxsize=2**17)          # a message is seen at several vantage points; its meaning is kept once
def message(data: bytes) -> Message:
    """Read one DNS message (without TCP's length prefix). ParseError at whatever is cut or inconsistent.

    Bytes behind the last record belong to no part of the message (some servers fill up to 512): they are counted.
    """
    parts = wire_records(data)
    id_, bits = struct.unpack_from("!HH", data)
    opt = _opt(parts)
    questions: list[Question] = []
    records: dict[str, list[Record]] = {"answer": [], "authority": [], "additional": []}
    for part in parts:
        if part.section == "question":
            questions.append(Question(part.name, TYPES[part.type], CLASSES[part.rclass]))
        elif part is not opt:
            records[part.section].append(Record(part.name, TYPES[part.type], part.ttl, record_data(data, part),
                                                CLASSES[part.rclass]))
    edns = opt and Edns(opt.rclass, opt.ttl >> 16 & 255,
                        tuple((OPTIONS[code], value.hex()) for code, value in options(data, opt)))
    rcode = bits & 15 | (opt.ttl >> 24 << 4 if opt else 0)
    extraneous = len(data) - (parts[-1].end if parts else 12)
    return Message(id_, _flags(bits), OPCODES[bits >> 11 & 15], RCODES[rcode], tuple(questions),
                   *map(tuple, records.values()), edns, len(data), extraneous)


@cache
def _flags(bits: int) -> tuple[str, ...]:
    return tuple(flag for flag, bit in FLAGS.items() if bits & bit)


def wire_records(data: bytes) -> tuple[WireRecord, ...]:
    """Return every question and record of a message in order, OPT included. ParseError where it is cut."""
    counts, at, found = struct.unpack_from("!4H", take(data, 0, 12, "a header"), 4), 12, []
    for section, count in zip(SECTIONS, counts, strict=True):
        for _ in range(count):
            part = _wire_record(data, at, section)
            found.append(part)
            at = part.end
    return tuple(found)


def _wire_record(data: bytes, start: int, section: str) -> WireRecord:
    name, at = name_at(data, start)
    if section == "question":
        code, rclass = struct.unpack("!HH", take(data, at, 4, "type and class"))
        return WireRecord(section, name, code, rclass, 0, start, at + 4, at + 4)
    code, rclass, ttl, size = struct.unpack("!HHIH", take(data, at, 10, "type, class, TTL and data length"))
    take(data, at + 10, size, f"the data of {name} {TYPES[code]}")
    return WireRecord(section, name, code, rclass, ttl, start, at + 10, at + 10 + size)


def take(data: bytes, at: int, size: int, what: str, end: int | None = None) -> bytes:
    """Return `size` bytes at `at`; ParseError if the message (or the record data, up to `end`) is shorter."""
    found = data[at:at + size if end is None else min(at + size, end)]
    if len(found) < size:
        raise ParseError("DNS message", f"{size} bytes of {what}", f"{len(found)} bytes", f"byte {at}")
    return found


def name_at(data: bytes, at: int) -> tuple[str, int]:
    """Return the name at a byte offset, as dig prints it (case kept, final dot), and the offset behind it.

    A compression pointer must lead to before the name it ends (RFC 1035, 4.1.4), so that reading always ends; a name
    has at most 127 labels, so it needs no more pointers.
    """
    labels, size, behind, earliest, pointers = [], 1, 0, at, 0
    try:
        while length := data[at]:
            if length < 64:
                labels.append(_label(data[at + 1:at + 1 + length]))
                at, size = at + 1 + length, size + 1 + length
            elif length >= 192:
                behind, target = behind or at + 2, (length & 63) << 8 | data[at + 1]
                pointers += 1
                if pointers > MOST_LABELS:
                    raise ParseError("DNS message", f"a name of at most {MOST_LABELS} pointers", "more", f"byte {at}")
                if target >= earliest:
                    raise ParseError("DNS message", f"a pointer to before byte {earliest}", f"to byte {target}",
                                     f"byte {at}")
                at = earliest = target
            else:
                raise ParseError("DNS message", "a label or a pointer", f"label type {length >> 6:02b}", f"byte {at}")
            if size > 255:
                raise ParseError("DNS message", "a name of at most 255 bytes", ".".join(labels), f"byte {at}")
    except IndexError:      # a label that is cut shows at the byte that should follow it
        raise ParseError("DNS message", "the rest of a name", f"the end, after {len(data)} bytes") from None
    return ".".join([*labels, ""]) or ".", behind or at + 1


@lru_cache(maxsize=4096)
def _label(raw: bytes) -> str:
    return _escaped(raw, b'"().;\\@$')


def _escaped(raw: bytes, special: bytes, space: str = "\\032") -> str:
    """Return bytes as in a zone file: \\DDD for what cannot be printed (RFC 1035, 5.1)."""
    return "".join(f"\\{byte:c}" if byte in special else space if byte == 32
                   else chr(byte) if 32 < byte < 127 else f"\\{byte:03d}" for byte in raw)


def record_data(data: bytes, part: WireRecord) -> str:
    """Return the record data as dig prints it; for types not known here `\\# 3 ABCDEF` (RFC 3597).

    In an UPDATE, records of class NONE or ANY may have none (RFC 2136, 2.4 and 2.5).
    """
    kind = TYPES[part.type]
    if part.rclass in WITHOUT_DATA and part.data == part.end:
        return ""
    if kind not in DATA or (part.rclass != IN and kind in ONLY_IN):
        return f"\\# {part.end - part.data} {data[part.data:part.end].hex().upper()}".rstrip()
    words, at = [], part.data
    for piece in DATA[kind]:
        word, at = _data_piece(data, at, part.end, piece)
        words.append(word)
    if at != part.end:
        raise ParseError("DNS message", f"{kind} data of {at - part.data} bytes",
                         f"a data length of {part.end - part.data}", f"byte {part.data}")
    return " ".join(words)


def _data_piece(data: bytes, at: int, end: int, piece: str) -> tuple[str, int]:
    if piece == "n":
        return name_at(data, at)
    if piece == "s":
        return _strings(data, at, end)
    size = SIZES[piece]
    if piece in "46":
        return address_text(take(data, at, size, "an address", end)), at + size
    return str(int.from_bytes(take(data, at, size, "a number", end))), at + size


def _strings(data: bytes, at: int, end: int) -> tuple[str, int]:
    words = []
    while at < end or not words:
        size = take(data, at, 1, "a string", end)[0]
        text = _escaped(take(data, at + 1, size, "a string", end), b'"\\', " ")
        words.append(f'"{text}"')
        at += 1 + size
    return " ".join(words), at


def _opt(parts: tuple[WireRecord, ...]) -> WireRecord | None:
    found = [part for part in parts if part.type == OPT and part.section != "question"]
    if len(found) > 1 or any(part.section != "additional" or part.name != "." for part in found):
        raise ParseError("DNS message", "at most one OPT record, of the root, in the additional section",
                         ", ".join(f"{part.section} {part.name} OPT" for part in found))
    return found[0] if found else None


def options(data: bytes, opt: WireRecord) -> Iterator[tuple[int, bytes]]:
    """Yield the EDNS options of an OPT record: code and value."""
    at = opt.data
    while at < opt.end:
        code, size = struct.unpack("!HH", take(data, at, 4, "an EDNS option", opt.end))
        yield code, take(data, at + 4, size, f"EDNS option {OPTIONS[code]}", opt.end)
        at += 4 + size
