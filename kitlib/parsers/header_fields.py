"""Every header field of a captured frame, with its meaning in a phrase: what the packet view shows.

One table says which fields a header has, each with its name, its bits, how it is written and what it means.
Sources: IEEE 802.3 and 802.1Q, the LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 pages of tcpdump.org, RFC 791 (IPv4),
8200 (IPv6), 768 (UDP), 9293 (TCP), 1071 (checksums).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.dns_fields import Field, message_fields
from kitlib.parsers.packets import Datagram, address_text, datagram_of, packet_start, tcp_data, udp_data
from kitlib.sighting import DNS_PORT, Frame

MF, DF = 1, 2                              # IPv4's flags


@dataclass(frozen=True)
class Layer:
    """A header in a frame: its values by name, and the packet's bytes from it on; `size` counts options too."""

    title: str
    values: dict[str, int]
    data: bytes
    size: int
    below: Layer | None


class Part(NamedTuple):
    """A field of a header: how many bits it has, what it means there, and how its number is written."""

    name: str
    bits: int
    meaning: str | Callable[[int, Layer], str]
    written: str | Callable[[int, Layer], str] = "{}"


def ones_sum(data: bytes) -> int:
    """Return the ones' complement sum of the 16-bit words (RFC 1071); with a right checksum in them it is 0xFFFF."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _mac(value: int, layer: Layer) -> str:
    return value.to_bytes(6).hex(":")


def _link_address(value: int, layer: Layer) -> str:
    return value.to_bytes(8)[:layer.values["address length"]].hex(":")


def _ip_address(value: int, layer: Layer) -> str:
    return address_text(value.to_bytes(4 if layer.title == "IPv4" else 16))


def _ip_flags(value: int, layer: Layer) -> str:
    return "+".join(name for name, bit in (("MF", MF), ("DF", DF), ("reserved", 4)) if value & bit)


def _ip_flags_meaning(value: int, layer: Layer) -> str:
    meanings = ((DF, "do not fragment: a router must drop it rather than cut it"), (MF, "more fragments follow"))
    return "; ".join(text for bit, text in meanings if value & bit) or "routers may cut it into fragments"


def _tcp_flags(value: int, layer: Layer) -> str:
    return "".join(letter for place, letter in enumerate("FSRPAUECN") if value >> place & 1)


def _tcp_flags_meaning(value: int, layer: Layer) -> str:
    return "; ".join(TCP_FLAGS[letter] for letter in _tcp_flags(value, layer) if letter in TCP_FLAGS) or "none"


def _known(table: dict[int, str], other: str) -> Callable[[int, Layer], str]:
    return lambda value, layer: table.get(value, other)


def _port(value: int, layer: Layer) -> str:
    if value == DNS_PORT:
        return "the well-known port of DNS"
    return "a port the client picked for this flow; the answer goes back to it" if DNS_PORT in (
        layer.values["source port"], layer.values["destination port"]) else "the program's port"


def _ttl(value: int, layer: Layer) -> str:
    began = next(start for start in (64, 128, 255) if value <= start)
    return f"hop limit: every router takes one off; {began - value} so far, if the sender began with {began}"


def _fragment(value: int, layer: Layer) -> str:
    return "the packet is whole, or this is its first piece" if value == 0 else "where this piece belongs, in 8 bytes"


def _ip_checksum(value: int, layer: Layer) -> str:
    right = ones_sum(layer.data[:layer.size]) == 0xFFFF
    return f"over this header only: {'right' if right else 'wrong'}; every router computes it anew (it changes the TTL)"


def _checksum(value: int, layer: Layer) -> str:
    if value == 0 and layer.title == "UDP":
        return "0: the sender made none"
    ip = layer.below
    if ip.title == "IPv6 fragment" or ip.values.get("fragment offset") or ip.values.get("flags", 0) & MF:
        return "over the whole datagram, of which this is a fragment"
    size = ip.values["total length"] - ip.size if ip.title == "IPv4" else ip.values["payload length"]
    if size <= 0:           # left to the network card too
        size = len(layer.data)
    if len(layer.data) < size:
        return "over addresses, ports and data, which are not all captured"
    addresses = ip.data[12:20] if ip.title == "IPv4" else ip.data[8:40]
    pseudo_header = addresses + size.to_bytes(4) + ip.values["protocol"].to_bytes(4)
    if ones_sum(pseudo_header + layer.data) == 0xFFFF:
        return "over addresses, ports and data: right"
    # Linux puts the sum of the pseudo-header there for the network card to go on from (CHECKSUM_PARTIAL).
    return "unfinished: the kernel leaves the rest to a network card, and a veth has none" \
        if value == ones_sum(pseudo_header) else "wrong: the packet was damaged or rewritten"


TCP_FLAGS = {"S": "SYN opens the connection", "A": "ACK confirms what came", "P": "PSH: hand it to the program now",
             "F": "FIN: no more data from this side", "R": "RST breaks the connection",
             "U": "URG", "E": "ECE", "C": "CWR"}
# By kind: name and meaning (RFC 9293, 7323, 2018).
TCP_OPTIONS = {0: ("end of options", "the rest is padding"), 1: ("NOP", "padding between options"),
               2: ("maximum segment size", "the largest piece this side takes"),
               3: ("window scale", "the window counts in units of two to this power"),
               4: ("SACK permitted", "this side understands selective confirmation"),
               5: ("SACK", "pieces that arrived beyond a gap"),
               8: ("timestamps", "the sender's clock and the last one it heard: measures the round trip")}

_ETHER_TYPE = Part("type", 16, _known({
    0x0800: "an IPv4 packet follows", 0x86DD: "an IPv6 packet follows", 0x0806: "an ARP message follows",
    0x8100: "a VLAN tag follows"}, "what follows"), "{:#06x}")
_PROTOCOL = Part("protocol", 8, _known({
    1: "ICMP follows", 6: "a TCP segment follows", 17: "a UDP datagram follows", 58: "ICMPv6 follows",
    44: "a fragment header follows"}, "what follows"))
_PACKET_TYPE = Part("packet type", 8, _known({
    0: "came in, addressed to this machine", 1: "came in as a broadcast", 2: "came in as a multicast",
    3: "came in, addressed to another machine", 4: "went out from this machine"}, "which way it went"))
_LINK_KIND = Part("address type", 16, _known({1: "Ethernet", 772: "loopback"},
                                             "the kind of interface (ARPHRD_ number)"))
_LINK_LENGTH = Part("address length", 8, "how many bytes of the address count")
_LINK_SOURCE = Part("source", 64, "the link address of the sender; the destination's is not kept", _link_address)
_SOURCE = Part("source", 32, "the sender's address, as it stands here (NAT may rewrite it)", _ip_address)
_DESTINATION = Part("destination", 32, "the address it goes to, as it stands here (NAT may rewrite it)", _ip_address)
_PORTS = (Part("source port", 16, _port), Part("destination port", 16, _port))
_HEADER_END = "in units of 4 bytes: where the header ends"

HEADERS: dict[str, tuple[Part, ...]] = {
    "Loopback": (Part("address family", 32, "what follows, in the byte order of the machine", "{:#010x}"),),
    "Ethernet": (
        Part("destination", 48, "the MAC address of the next interface on this link, not of the final machine", _mac),
        Part("source", 48, "the MAC address of the interface that sent it on this link", _mac), _ETHER_TYPE),
    "VLAN": (
        Part("priority", 3, "0 lowest to 7 highest"), Part("drop eligible", 1, "1: may be dropped first"),
        Part("VLAN", 12, "the virtual network it belongs to"), _ETHER_TYPE),
    "Linux cooked v1": (
        _PACKET_TYPE._replace(bits=16), _LINK_KIND, _LINK_LENGTH._replace(bits=16), _LINK_SOURCE, _ETHER_TYPE),
    "Linux cooked v2": (
        _ETHER_TYPE, Part("reserved", 16, "must be 0"),
        Part("interface index", 32, "the interface it was seen on, as numbered by `ip link`"),
        _LINK_KIND, _PACKET_TYPE, _LINK_LENGTH, _LINK_SOURCE),
    "IPv4": (
        Part("version", 4, "IPv4"), Part("header length", 4, _HEADER_END),
        Part("DSCP and ECN", 8, "0: no special treatment asked; otherwise class of service and congestion", "{:#04x}"),
        Part("total length", 16, "bytes of header and all that follows"),
        Part("identification", 16, "the same in all fragments of a packet; routers and NAT keep it"),
        Part("flags", 3, _ip_flags_meaning, _ip_flags), Part("fragment offset", 13, _fragment),
        Part("TTL", 8, _ttl), _PROTOCOL, Part("header checksum", 16, _ip_checksum, "{:#06x}"),
        _SOURCE, _DESTINATION),
    "IPv6": (
        Part("version", 4, "IPv6"), Part("traffic class", 8, "class of service and congestion", "{:#04x}"),
        Part("flow label", 20, "the same for all packets of a flow", "{:#07x}"),
        Part("payload length", 16, "bytes of all that follows"), _PROTOCOL, Part("hop limit", 8, _ttl),
        _SOURCE._replace(bits=128), _DESTINATION._replace(bits=128)),
    "IPv6 fragment": (
        _PROTOCOL, Part("reserved", 8, "must be 0"), Part("fragment offset", 13, _fragment),
        Part("reserved bits", 2, "must be 0"), Part("more fragments", 1, "1: more follow; 0: the last piece"),
        Part("identification", 32, "the same in all fragments of a packet")),
    "UDP": (
        *_PORTS, Part("length", 16, "bytes of this header and the data"),
        Part("checksum", 16, _checksum, "{:#06x}")),
    "TCP": (
        *_PORTS, Part("sequence number", 32, "the place of the first byte here in the sender's stream"),
        Part("acknowledgment number", 32, "the next byte expected from the other side"),
        Part("data offset", 4, _HEADER_END), Part("reserved", 3, "must be 0"),
        Part("flags", 9, _tcp_flags_meaning, _tcp_flags),
        Part("window", 16, "how much more this side can take, before scaling"),
        Part("checksum", 16, _checksum, "{:#06x}"),
        Part("urgent pointer", 16, "counts only with the flag URG")),
}
LINKS = {0: "Loopback", 1: "Ethernet", 108: "Loopback", 113: "Linux cooked v1", 276: "Linux cooked v2"}
BY_TYPE = {0x0800: "IPv4", 0x86DD: "IPv6", 0x8100: "VLAN", 0x88A8: "VLAN"}
BY_PROTOCOL = {6: "TCP", 17: "UDP"}


def header_fields(frame: Frame, dns_port: int = DNS_PORT) -> tuple[Field, ...]:
    """Return every field from the link header to the last DNS record, in the order of the bytes.

    What is not taken apart (another protocol, a fragment, part of a TCP message, a cut frame) is one field "data".
    ParseError where a header or a whole DNS message is malformed.
    """
    with parse_context(where=f"frame {frame.number}"):
        return tuple(_fields(frame, dns_port))


def _fields(frame: Frame, dns_port: int) -> Iterator[Field]:
    datagram, layers = datagram_of(frame), list(_layers(frame))
    for layer in layers:
        yield from _layer_fields(layer)
    if not layers:
        yield Field("frame", "data", f"{len(frame.data)} bytes", "a protocol that is not taken apart here")
        return
    title, rest = layers[-1].title, layers[-1].data[layers[-1].size:]
    if datagram and title in ("UDP", "TCP") and not datagram.fragment and not datagram.missing:
        yield from _data_fields(datagram, title, dns_port)
    elif rest:
        yield Field(title, "data", f"{len(rest)} bytes", "a part, or a protocol that is not taken apart here")
    packet = next((layer.data for layer in layers if layer.title in ("IPv4", "IPv6")), None)
    fill = 0 if packet is None else len(frame.data) - packet_start(frame)[1] - len(packet)
    if fill:
        yield Field("Ethernet", "padding", f"{fill} bytes", "fills the frame to Ethernet's shortest length")


def _layers(frame: Frame) -> Iterator[Layer]:
    """Yield the headers from the link on, as far as they are whole and known."""
    layer, data, title = None, frame.data, LINKS.get(frame.link_type) or BY_TYPE.get(packet_start(frame)[0], "")
    while title and len(data) >= _size(title):
        layer = _layer(title, data, layer)
        yield layer
        data, title = layer.data[layer.size:], _next(layer)


def _size(title: str) -> int:
    return sum(part.bits for part in HEADERS[title]) // 8


def _layer(title: str, data: bytes, below: Layer | None) -> Layer:
    size = _size(title)
    number, left, values = int.from_bytes(data[:size]), size * 8, {}
    for part in HEADERS[title]:
        left -= part.bits
        values[part.name] = number >> left & (1 << part.bits) - 1
    # What lies behind an IP packet only fills the Ethernet frame.
    end = {"IPv4": values.get("total length"),
           "IPv6": values.get("payload length", 0) and 40 + values["payload length"]}.get(title) or None
    words = values.get("header length", values.get("data offset"))
    whole = size if words is None else words * 4
    if not size <= whole <= len(data):
        raise ParseError("frame", f"{size} to {len(data)} bytes of {title} header", f"{whole} bytes")
    return Layer(title, values, data[:end], whole, below)


def _next(layer: Layer) -> str:
    """Return the title of the header that follows; "" for one that is not known here, or is no header."""
    if layer.title == "Loopback":
        return {4: "IPv4", 6: "IPv6"}.get(layer.data[4] >> 4 if len(layer.data) > 4 else 0, "")
    if "type" in layer.values:
        return BY_TYPE.get(layer.values["type"], "")
    if "protocol" not in layer.values or layer.values.get("fragment offset"):
        return ""
    if layer.title == "IPv6" and layer.values["protocol"] == 44:
        return "IPv6 fragment"
    return BY_PROTOCOL.get(layer.values["protocol"], "")


def _layer_fields(layer: Layer) -> Iterator[Field]:
    for name, _, meaning, written in HEADERS[layer.title]:
        value = layer.values[name]
        text = written(value, layer) if callable(written) else written.format(value)
        yield Field(layer.title, name, text or "none", meaning(value, layer) if callable(meaning) else meaning)
    options = layer.data[_size(layer.title):layer.size]
    if layer.title == "TCP":
        yield from _tcp_options(options)
    elif options:
        yield Field(layer.title, "options", options.hex(" "), "IPv4 options: rare")


def _tcp_options(options: bytes) -> Iterator[Field]:
    while options:
        kind = options[0]
        size = len(options) if kind == 0 else 1 if kind == 1 else options[1] if len(options) > 1 else 0
        if size < 1 + (kind > 1) or size > len(options):
            raise ParseError("TCP header", "options within the header", options.hex(" "))
        name, meaning = TCP_OPTIONS.get(kind, (f"option {kind}", "not known here"))
        value = options[2:size]
        words = [value[start:start + 4] for start in range(0, len(value), 4)] if kind in (5, 8) else [value]
        text = " ".join(str(int.from_bytes(word)) for word in words if word) if kind in TCP_OPTIONS else value.hex(" ")
        yield Field("TCP", f"option: {name}", text, meaning)
        options = options[size:]


def _data_fields(datagram: Datagram, title: str, dns_port: int) -> Iterator[Field]:
    data = udp_data(datagram.payload) if title == "UDP" else tcp_data(datagram.payload)
    ports = struct.unpack_from("!HH", datagram.payload)
    if title == "UDP" and dns_port in ports:
        yield from message_fields(data)
        return
    while title == "TCP" and dns_port in ports and len(data) >= 2 + (size := int.from_bytes(data[:2])) > 13:
        try:
            fields = list(message_fields(data[2:2 + size]))
        except ParseError:                                # a segment may begin in the middle of a message
            break
        yield Field("DNS", "length", str(size), "over TCP each message says its length first")
        yield from fields
        data = data[2 + size:]
    if data:
        yield Field(title, "data", f"{len(data)} bytes", "part of a message, or of a protocol not taken apart here")
