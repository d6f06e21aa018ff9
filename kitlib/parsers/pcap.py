"""Capture files: pcap and pcapng in, frames out; and frames back into one pcapng file.

Not read with scapy: its readers end without a word when a file is cut, and hand out the short last packet.
Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from kitlib.bulk import collection_paused
from kitlib.errors import ParseError, parse_context
from kitlib.sighting import Frame

# The first four bytes of a pcap file say its byte order, and how many nanoseconds its fractions of a second count.
PCAP_MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\xa1\xb2\xc3\xd4": (">", 1000),
              b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\x3c\x4d": (">", 1)}
# Blocks of pcapng, and options of an interface block.
SECTION, INTERFACE, OBSOLETE_PACKET, SIMPLE_PACKET, STATISTICS, PACKET = 0x0A0D0D0A, 1, 2, 3, 5, 6
IF_NAME, IF_TSRESOL, IF_TSOFFSET = 2, 9, 14
ISB_IFDROP, ISB_OSDROP, EPB_DROPCOUNT = 5, 7, 4     # of blocks of statistics, and of packets
MAGIC = (*PCAP_MAGIC, SECTION.to_bytes(4))     # how a capture begins, of either kind
BYTE_ORDER_MAGIC, UNKNOWN_LENGTH = 0x1A2B3C4D, 0xFFFFFFFFFFFFFFFF


class _Interface(NamedTuple):
    link_type: int
    name: str
    ticks_per_second: int
    offset_seconds: int


class _Block(NamedTuple):
    """A block of pcapng; `number` is that of the next frame, which a packet block holds."""

    kind: int
    body: bytes
    order: str
    at: int
    number: int


@collection_paused()
def frames(data: bytes, where: str = "") -> tuple[Frame, ...]:
    """Return the frames of a pcap or pcapng file, times in nanoseconds since the epoch, numbered from 1.

    ParseError if the file is of another kind, damaged, or cut; it says after how many whole frames. What cannot be
    noticed: a pcap cut exactly between two records, and a pcapng cut between two blocks whose section does not
    give its length (`write_pcapng` gives it, dumpcap does not).
    """
    with parse_context(where=where):
        return tuple(_read(data))


@collection_paused()
def frames_before_damage(data: bytes) -> tuple[tuple[Frame, ...], str]:
    """Return the frames as far as the file is whole, and what is wrong from there on; "" if nothing is.

    A capture whose writer was stopped is cut in the middle of a frame. ParseError, as `frames`, if none is whole.
    """
    found: list[Frame] = []
    try:
        found.extend(_read(data))
    except ParseError as error:
        if not found:
            raise
        return tuple(found), str(error)
    return tuple(found), ""


def dropped(data: bytes) -> int:
    """Return how many packets were dropped while this was captured, as a pcapng says itself; 0 if it says nothing."""
    counted, last = 0, {}
    with suppress(ParseError):          # what is damaged is told by who reads the frames
        for block in _blocks(data) if data[:4] == SECTION.to_bytes(4) else ():
            if block.kind == STATISTICS:
                options = dict(_options(block.body[12:], block.order))
                last[block.body[:4]] = sum(_count(options, code, block.order) for code in (ISB_IFDROP, ISB_OSDROP))
            elif block.kind == PACKET:
                size, = _unpack(block.order + "I", block.body, 12, "the header of a frame")
                options = dict(_options(block.body[20 + size + -size % 4:], block.order))
                counted += _count(options, EPB_DROPCOUNT, block.order)
    return max(counted, sum(last.values()))


def _count(options: dict[int, bytes], code: int, order: str) -> int:
    return _unpack(order + "Q", options[code], 0, f"option {code}")[0] if code in options else 0


def _read(data: bytes) -> Iterator[Frame]:
    if data[:4] in PCAP_MAGIC:
        return _pcap(data)
    if data[:4] == SECTION.to_bytes(4):
        return _pcapng(data)
    raise ParseError("capture", "the first four bytes of a pcap or pcapng file", data[:4].hex(" "))


def whole_records(data: bytes) -> bytes:
    """Return a pcap file without the last record if that is cut, as where tcpdump was stopped."""
    at, order = 24, PCAP_MAGIC[data[:4]][0] if data[:4] in PCAP_MAGIC else "<"
    while at + 16 <= len(data) and (end := at + 16 + struct.unpack_from(order + "I", data, at + 8)[0]) <= len(data):
        at = end
    return data[:at]


def _pcap(data: bytes) -> Iterator[Frame]:
    order, unit = PCAP_MAGIC[data[:4]]
    major, minor, _, _, _, link_type = _unpack(order + "HHiIII", data, 4, "the file header")
    if (major, minor) != (2, 4):
        raise ParseError("capture", "pcap version 2.4", f"version {major}.{minor}")
    at, number = 24, 1
    while at < len(data):
        seconds, fraction, captured, length = _unpack(order + "IIII", data, at, f"the record header of frame {number}")
        if fraction * unit >= 10**9 or captured > length:
            raise ParseError("capture", f"a record header of frame {number} at byte {at} (a fraction below one second, "
                             "no more bytes captured than were sent)", data[at:at + 16].hex(" "))
        packet = _take(data, at + 16, captured, f"frame {number}")
        # The upper half of the link type says whether a checksum follows each frame, not what the frame is.
        yield Frame(number, seconds * 10**9 + fraction * unit, link_type & 0xFFFF, packet, length=length)
        at, number = at + 16 + captured, number + 1


def _pcapng(data: bytes) -> Iterator[Frame]:
    interfaces: list[_Interface] = []
    for block in _blocks(data):
        if block.kind == SECTION:
            interfaces = []
        elif block.kind == INTERFACE:
            interfaces.append(_interface(block.body, block.order))
        elif block.kind == PACKET:
            yield _packet(block.body, block.order, interfaces, block.number)
        elif block.kind in (SIMPLE_PACKET, OBSOLETE_PACKET):
            raise ParseError("capture", "enhanced packet blocks (they carry time and interface)",
                             f"a packet block of type {block.kind} at byte {block.at}")


def _blocks(data: bytes) -> Iterator[_Block]:
    at, number, order, section_end = 0, 1, "<", None
    while at < len(data):
        if data[at:at + 4] == SECTION.to_bytes(4):
            _check_section_end(at, section_end, number)
            order = _byte_order(_take(data, at + 8, 4, "a section header"))
        kind, body, end = _block(data, at, order, number)
        if kind == SECTION:
            version, length = _unpack(order + "4xH2xQ", body, 0, "a section header")
            if version != 1:
                raise ParseError("capture", "pcapng version 1", f"version {version}")
            section_end = None if length == UNKNOWN_LENGTH else end + length
        yield _Block(kind, body, order, at, number)
        number += kind == PACKET
        at = end
    _check_section_end(at, section_end, number)


def _check_section_end(at: int, section_end: int | None, number: int) -> None:
    if section_end is not None and at != section_end:
        raise ParseError("capture", f"a section that ends at byte {section_end}, as its header says",
                         f"its end at byte {at}, after {number - 1} whole frames")


def _byte_order(magic: bytes) -> str:
    for order in "<>":
        if struct.pack(order + "I", BYTE_ORDER_MAGIC) == magic:
            return order
    raise ParseError("capture", "the byte-order magic 1a2b3c4d", magic.hex(" "))


def _block(data: bytes, at: int, order: str, number: int) -> tuple[int, bytes, int]:
    """Return type, body and end of the block at `at`; its length stands before and after the body."""
    what = f"a block (after {number - 1} whole frames)"
    kind, length = _unpack(order + "II", data, at, what)
    if length < 12 or length % 4:
        raise ParseError("capture", f"at byte {at} the length of {what}", str(length))
    block = _take(data, at, length, what)
    again, = struct.unpack(order + "I", block[-4:])
    if again != length:
        raise ParseError("capture", f"the length {length} again where the block at byte {at} ends", str(again))
    return kind, block[8:-4], at + length


def _interface(body: bytes, order: str) -> _Interface:
    link_type, = _unpack(order + "Hxxxxxx", body, 0, "an interface block")
    options = dict(_options(body[8:], order))
    resolution, = _unpack("B", options.get(IF_TSRESOL, b"\x06"), 0, "if_tsresol")
    ticks = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    offset, = _unpack(order + "q", options.get(IF_TSOFFSET, bytes(8)), 0, "if_tsoffset")
    name = options.get(IF_NAME, b"").rstrip(b"\0")
    try:
        return _Interface(link_type, name.decode(), ticks, offset)
    except UnicodeDecodeError:
        raise ParseError("capture", "an interface name in UTF-8", repr(name)) from None


def _options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        code, size = _unpack(order + "HH", body, at, "an option")
        if code == 0:
            return
        yield code, _take(body, at + 4, size, f"option {code}")
        at += 4 + size + -size % 4


def _packet(body: bytes, order: str, interfaces: list[_Interface], number: int) -> Frame:
    index, high, low, captured, length = _unpack(order + "IIIII", body, 0, f"the header of frame {number}")
    if index >= len(interfaces):
        raise ParseError("capture", f"frame {number} on one of the {len(interfaces)} interfaces described so far",
                         f"interface {index}")
    link_type, name, ticks, offset = interfaces[index]
    packet = _take(body, 20, captured, f"frame {number}")
    time_ns = offset * 10**9 + ((high << 32) + low) * 10**9 // ticks
    if not 0 <= time_ns < 2**64:
        raise ParseError("capture", f"for frame {number} a time from 1970 to 2554", f"{time_ns} ns since 1970")
    return Frame(number, time_ns, link_type, packet, name, length)


def _unpack(layout: str, data: bytes, at: int, what: str) -> tuple:
    return struct.unpack(layout, _take(data, at, struct.calcsize(layout), what))


def _take(data: bytes, at: int, size: int, what: str) -> bytes:
    """Return `size` bytes at `at`. ParseError where the file ends before: it is never read past its end."""
    found = data[at:at + size]
    if len(found) < size:
        raise ParseError("capture", f"{size} bytes of {what} at byte {at}",
                         f"{len(found)} bytes, then the end: the file was cut")
    return found


def write_pcapng(frames: Iterable[Frame]) -> bytes:
    """Return one pcapng file of all frames in the order given: one interface for each name and link type, nanoseconds.

    The frames are numbered anew when read back.
    """
    interfaces: dict[tuple[str, int], int] = {}
    blocks: list[bytes] = []
    for frame in frames:
        if (frame.interface, frame.link_type) not in interfaces:
            interfaces[frame.interface, frame.link_type] = len(interfaces)
            options = _option(IF_NAME, frame.interface.encode()) + _option(IF_TSRESOL, b"\x09") + bytes(4)
            blocks.append(_framed(INTERFACE, struct.pack("<HHI", frame.link_type, 0, 0) + options))
        index, size = interfaces[frame.interface, frame.link_type], len(frame.data)
        header = struct.pack("<IIIII", index, frame.time_ns >> 32, frame.time_ns & 0xFFFFFFFF, size,
                             max(size, frame.length))
        blocks.append(_framed(PACKET, header + frame.data + bytes(-size % 4)))
    body = b"".join(blocks)
    return _framed(SECTION, struct.pack("<IHHQ", BYTE_ORDER_MAGIC, 1, 0, len(body))) + body


def _option(code: int, value: bytes) -> bytes:
    """Return an option of a block, filled up to four bytes."""
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _framed(kind: int, body: bytes) -> bytes:
    """Return a block: its body between type and length, and the length again."""
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
