"""Every header field of a captured frame, with its meaning in a phrase. Scapy finds the fields below DNS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kitlib.errors import ParseError, told_of
from kitlib.parsers.datagrams import Datagram, datagram_of, dissected, tcp_data, udp_data
from kitlib.parsers.dns_headers import Field, message_fields
from kitlib.parsers.header_meanings import DNS_PORT, LAYERS
from kitlib.sighting import Frame

if TYPE_CHECKING:
    from scapy.packet import Packet

# By kind: name and meaning (RFC 9293, 7323, 2018).
TCP_OPTIONS = {0: ("end of options", "the rest is padding"), 1: ("NOP", "padding between options"),
               2: ("maximum segment size", "the largest piece this side takes"),
               3: ("window scale", "the window counts in units of two to this power"),
               4: ("SACK permitted", "this side understands selective confirmation"),
               5: ("SACK", "pieces that arrived beyond a gap"),
               8: ("timestamps", "the sender's clock and the last one it heard: measures the round trip")}


def headers(frame: Frame) -> tuple[Field, ...]:
    """Every field from the link header to the last DNS record, in the order of the bytes.

    What is not taken apart (another protocol, a fragment, part of a TCP message, a cut frame) is one field "data".
    ParseError where a header or a whole DNS message is malformed.
    """
    with told_of(where=f"frame {frame.number}"):
        return tuple(_headers(frame))


def _headers(frame: Frame) -> Iterator[Field]:
    layer, at = dissected(frame), 0
    datagram, title = datagram_of(layer), "frame"
    end = len(frame.data)
    while layer.name in LAYERS:
        title, size = LAYERS[layer.name][0], _header_length(layer)
        if layer.name in ("IP", "IPv6"):                  # what lies behind the packet only fills the Ethernet frame
            end = min(end, at + (layer.len if layer.name == "IP" else 40 + layer.plen))
        yield from _layer_fields(layer, at, size, frame.data)
        layer, at = layer.payload, at + size
    if datagram and title in ("UDP", "TCP") and not datagram.fragment and not datagram.missing:
        yield from _data(datagram, title, at, frame.data)
    elif at < end:
        yield Field(title, "data", f"{end - at} bytes", "a part, or a protocol that is not taken apart here", at,
                    end - at)
    if end < len(frame.data):
        fill = len(frame.data) - end
        yield Field("Ethernet", "padding", f"{fill} bytes", "fills the frame to Ethernet's shortest length", end, fill)


def _header_length(layer: Packet) -> int:
    words = {"IP": "ihl", "TCP": "dataofs"}.get(layer.name)
    return getattr(layer, words) * 4 if words else round(sum(part.sz for part in layer.fields_desc))


def _layer_fields(layer: Packet, start: int, size: int, data: bytes) -> Iterator[Field]:
    title, table = LAYERS[layer.name]
    if start + size > len(data):
        raise ParseError("frame", f"{size} bytes of {title} header", f"{len(data) - start} bytes", f"byte {start}")
    bits = start * 8
    for part in layer.fields_desc:
        if part.name not in table:
            continue
        name, write, meaning = table[part.name]
        value, first, bits = layer.getfieldval(part.name), bits // 8, bits + round(part.sz * 8)
        text = write(value, layer) if callable(write) else write.format(value)
        yield Field(title, name, text or "none", meaning(value, layer) if callable(meaning) else meaning, first,
                    (bits + 7) // 8 - first)
    at, end = bits // 8, start + size
    if layer.name == "TCP":
        yield from _tcp_options(data, at, end)
    elif at < end:
        yield Field(title, "options", data[at:end].hex(" "), "IPv4 options: rare", at, end - at)


def _tcp_options(data: bytes, at: int, end: int) -> Iterator[Field]:
    while at < end:
        kind = data[at]
        size = end - at if kind == 0 else 1 if kind == 1 else data[at + 1] if at + 1 < end else 0
        if size < 1 + (kind > 1) or at + size > end:
            raise ParseError("TCP header", "options within the header", data[at:end].hex(" "), f"byte {at}")
        name, meaning = TCP_OPTIONS.get(kind, (f"option {kind}", "not known here"))
        value = data[at + 2:at + size]
        words = [value[start:start + 4] for start in range(0, len(value), 4)] if kind in (5, 8) else [value]
        text = " ".join(str(int.from_bytes(word)) for word in words if word) if kind in TCP_OPTIONS else value.hex(" ")
        yield Field("TCP", f"option: {name}", text, meaning, at, size)
        at += size


def _data(datagram: Datagram, title: str, at: int, data: bytes) -> Iterator[Field]:
    text = udp_data(datagram.payload) if title == "UDP" else tcp_data(datagram.payload)
    ports = int.from_bytes(datagram.payload[:2]), int.from_bytes(datagram.payload[2:4])
    if title == "UDP" and DNS_PORT in ports:
        yield from message_fields(text, at)
        return
    while title == "TCP" and DNS_PORT in ports and len(text) >= 2 + (size := int.from_bytes(text[:2])) > 13:
        try:
            fields = list(message_fields(text[2:2 + size], at + 2))
        except ParseError:                                # a segment may begin in the middle of a message
            break
        yield Field("DNS", "length", str(size), "over TCP each message says its length first", at, 2)
        yield from fields
        text, at = text[2 + size:], at + 2 + size
    if text:
        yield Field(title, "data", f"{len(text)} bytes", "part of a message, or of a protocol not taken apart here", at,
                    len(text))
