"""Capture files: pcap and pcapng in, frames out; and frames back into one pcapng file.

Not read with scapy: its readers end without a word when a file is cut, and hand out the short last packet.
Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from kitlib.errors import ParseError, told_of
from kitlib.parsers.pcapng import (
    BYTE_ORDER_MAGIC,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE,
    PACKET,
    SECTION,
    blocks_to_frames,
    framed,
    option,
    take,
)
from kitlib.sighting import Frame

PCAP_MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\xa1\xb2\xc3\xd4": (">", 1000),
              b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\x3c\x4d": (">", 1)}


def frames(data: bytes, where: str = "") -> tuple[Frame, ...]:
    """The frames of a pcap or pcapng file, times in nanoseconds since the epoch, numbered from 1.

    ParseError if the file is of another kind, damaged, or cut; it says after how many whole frames. What cannot be
    noticed: a pcap cut exactly between two records, and a pcapng cut between two blocks whose section does not
    give its length (`write_pcapng` gives it, dumpcap does not).
    """
    with told_of(where=where):
        if data[:4] in PCAP_MAGIC:
            return tuple(_pcap(data))
        if data[:4] == SECTION.to_bytes(4, "big"):
            return tuple(blocks_to_frames(data))
        raise ParseError("capture", "the first four bytes of a pcap or pcapng file", data[:4].hex(" "))


def _pcap(data: bytes) -> Iterator[Frame]:
    order, unit = PCAP_MAGIC[data[:4]]
    header = struct.unpack(order + "HHiIII", take(data, 4, 20, "the file header"))
    if header[:2] != (2, 4):
        raise ParseError("capture", "pcap version 2.4", f"version {header[0]}.{header[1]}")
    at, number = 24, 1
    while at < len(data):
        start = take(data, at, 16, f"the record header of frame {number}")
        seconds, fraction, captured, length = struct.unpack(order + "IIII", start)
        if fraction * unit >= 10**9 or captured > length:
            raise ParseError("capture", f"a record header of frame {number} at byte {at} (a fraction below one second, "
                             "no more bytes captured than were sent)", start.hex(" "))
        packet = take(data, at + 16, captured, f"frame {number}")
        # The upper half of the link type says whether a checksum follows each frame, not what the frame is.
        yield Frame(number, seconds * 10**9 + fraction * unit, header[5] & 0xFFFF, packet, length=length)
        at, number = at + 16 + captured, number + 1


def write_pcapng(frames: Iterable[Frame]) -> bytes:
    """One pcapng file of all frames in the order given: one interface for each name and link type, nanoseconds.

    The frames are numbered anew when read back.
    """
    interfaces: dict[tuple[str, int], int] = {}
    blocks: list[bytes] = []
    for frame in frames:
        if (frame.interface, frame.link_type) not in interfaces:
            interfaces[frame.interface, frame.link_type] = len(interfaces)
            options = option(IF_NAME, frame.interface.encode()) + option(IF_TSRESOL, b"\x09") + bytes(4)
            blocks.append(framed(INTERFACE, struct.pack("<HHI", frame.link_type, 0, 0) + options))
        index, size = interfaces[frame.interface, frame.link_type], len(frame.data)
        header = struct.pack("<IIIII", index, frame.time_ns >> 32, frame.time_ns & 0xFFFFFFFF, size,
                             max(size, frame.length))
        blocks.append(framed(PACKET, header + frame.data + bytes(-size % 4)))
    body = b"".join(blocks)
    return framed(SECTION, struct.pack("<IHHQ", BYTE_ORDER_MAGIC, 1, 0, len(body))) + body
