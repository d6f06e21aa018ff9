"""TCP segments to the DNS messages in them (RFC 7766): out of order, repeated, several in one, one in several."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from kitlib.parsers.datagrams import tcp_data


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
