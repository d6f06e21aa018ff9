"""What the fields of link, IP, UDP and TCP headers mean, by scapy's names for them.

Sources: IEEE 802.3, the LINUX_SLL and LINUX_SLL2 pages of tcpdump.org, RFC 791 (IPv4), 8200 (IPv6), 768 (UDP),
9293 (TCP).


Every header field of a captured frame, with its meaning in a phrase. Scapy finds the fields below DNS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.dns_fields import Field, message_fields
from kitlib.parsers.packets import Datagram, datagram_of, dissect, tcp_data, udp_data
from kitlib.sighting import Frame

if TYPE_CHECKING:
    from scapy.packet import Packet


DNS_PORT = 53
ETHER_TYPES = {0x0800: "an IPv4 packet follows", 0x86DD: "an IPv6 packet follows", 0x0806: "an ARP message follows",
               0x8100: "a VLAN tag follows"}
PROTOCOLS = {1: "ICMP follows", 6: "a TCP segment follows", 17: "a UDP datagram follows", 58: "ICMPv6 follows",
             44: "a fragment header follows"}
PACKET_TYPES = {0: "came in, addressed to this machine", 1: "came in as a broadcast", 2: "came in as a multicast",
                3: "came in, addressed to another machine", 4: "went out from this machine"}
TCP_FLAGS = {"S": "SYN opens the connection", "A": "ACK confirms what came", "P": "PSH: hand it to the program now",
             "F": "FIN: no more data from this side", "R": "RST breaks the connection",
             "U": "URG", "E": "ECE", "C": "CWR"}


def _known(table: dict, other: str) -> Callable[[object, Packet], str]:
    return lambda value, layer: table.get(value, other)


def _port(value: int, layer: Packet) -> str:
    return "the well-known port of DNS" if value == DNS_PORT else "a port the client picked for this flow; the answer" \
        " goes back to it" if DNS_PORT in (layer.sport, layer.dport) else "the program's port"


def _ttl(value: int, layer: Packet) -> str:
    began = next(start for start in (64, 128, 255) if value <= start)
    return f"hop limit: every router takes one off; {began - value} so far, if the sender began with {began}"


def _fragment(value: int, layer: Packet) -> str:
    return "the packet is whole, or this is its first piece" if value == 0 else "where this piece belongs, in 8 bytes"


def _flags(value: object, layer: Packet) -> str:
    said = {"DF": "do not fragment: a router must drop it rather than cut it", "MF": "more fragments follow"}
    return "; ".join(text for flag, text in said.items() if flag in str(value)) or "routers may cut it into fragments"


def _ip_checksum(value: int, layer: Packet) -> str:
    from scapy.utils import checksum

    right = checksum(layer.original[:layer.ihl * 4]) == 0
    return f"over this header only: {'right' if right else 'wrong'}; every router computes it anew (it changes the TTL)"


def _checksum(value: int, layer: Packet) -> str:
    from scapy.layers import inet, inet6

    ip = layer.underlayer
    if value == 0 and layer.name == "UDP":
        return "0: the sender made none"
    if ip.name not in ("IP", "IPv6") or (ip.name == "IP" and (ip.flags.MF or ip.frag)):
        return "over the whole datagram, of which this is a fragment"
    size = ip.len - ip.ihl * 4 if ip.name == "IP" else ip.plen
    text = layer.original[:size]
    if len(text) < size:
        return "over addresses, ports and data, which are not all captured"

    def total(text: bytes) -> int:
        return inet.in4_chksum(ip.proto, ip, text) if ip.name == "IP" else inet6.in6_chksum(ip.nh, ip, text)

    if total(text) == 0:
        return "over addresses, ports and data: right"
    # Linux puts the sum of the pseudo-header there for the network card to go on from (CHECKSUM_PARTIAL).
    return "of the addresses and the length only: the rest is left to the network card, and on veth there is none" \
        if value == 0xFFFF - total(bytes(size)) else "wrong: the packet was damaged or rewritten"


def _tcp_flags(value: object, layer: Packet) -> str:
    return "; ".join(TCP_FLAGS[flag] for flag in str(value) if flag in TCP_FLAGS) or "none"


def _link_address(value: bytes, layer: Packet) -> str:
    return value[:layer.lladdrlen].hex(":") or "none"


_LENGTH = "in units of 4 bytes: where the header ends"
_ETHER_TYPE = ("type", "{:#06x}", _known(ETHER_TYPES, "what follows"))
_PROTOCOL = ("protocol", "{}", _known(PROTOCOLS, "what follows"))
_LINK_KIND = ("address type", "{}", _known({1: "Ethernet", 772: "loopback"}, "the kind of interface (ARPHRD_ number)"))
_LINK_LENGTH = ("address length", "{}", "how many bytes of the address count")
_LINK_SOURCE = ("source", _link_address, "the link address of the sender; the destination's is not kept")
_PACKET_TYPE = ("packet type", "{}", _known(PACKET_TYPES, "which way it went"))
_PORTS = {"sport": ("source port", "{}", _port), "dport": ("destination port", "{}", _port)}
_ADDRESSES = {"src": ("source", "{}", "the sender's address, as it stands here (NAT may rewrite it)"),
              "dst": ("destination", "{}", "the address it goes to, as it stands here (NAT may rewrite it)")}
_VLAN = ("VLAN", {
    "prio": ("priority", "{}", "0 lowest to 7 highest"), "dei": ("drop eligible", "{}", "1: may be dropped first"),
    "vlan": ("VLAN", "{}", "the virtual network it belongs to"), "type": _ETHER_TYPE})
# scapy's layer name: our name, and for each of scapy's fields our name, how the value is written, what it means.
LAYERS: dict[str, tuple[str, dict[str, tuple]]] = {
    "Ethernet": ("Ethernet", {
        "dst": ("destination", "{}", "the MAC address of the next interface on this link, not of the final machine"),
        "src": ("source", "{}", "the MAC address of the interface that sent it on this link"), "type": _ETHER_TYPE}),
    "802.1Q": _VLAN, "802_1AD": _VLAN,
    "cooked linux": ("Linux cooked v1", {
        "pkttype": _PACKET_TYPE, "lladdrtype": _LINK_KIND, "lladdrlen": _LINK_LENGTH, "src": _LINK_SOURCE,
        "proto": _ETHER_TYPE}),
    "cooked linux v2": ("Linux cooked v2", {
        "proto": _ETHER_TYPE, "reserved": ("reserved", "{}", "must be 0"),
        "ifindex": ("interface index", "{}", "the interface it was seen on, as numbered by `ip link`"),
        "lladdrtype": _LINK_KIND, "pkttype": _PACKET_TYPE, "lladdrlen": _LINK_LENGTH, "src": _LINK_SOURCE}),
    "IP": ("IPv4", {
        "version": ("version", "{}", "IPv4"), "ihl": ("header length", "{}", _LENGTH),
        "tos": ("DSCP and ECN", "{:#04x}", "0: no special treatment asked; otherwise class of service and congestion"),
        "len": ("total length", "{}", "bytes of header and all that follows"),
        "id": ("identification", "{}", "the same in all fragments of a packet; routers and NAT keep it"),
        "flags": ("flags", "{}", _flags), "frag": ("fragment offset", "{}", _fragment), "ttl": ("TTL", "{}", _ttl),
        "proto": _PROTOCOL, "chksum": ("header checksum", "{:#06x}", _ip_checksum), **_ADDRESSES}),
    "IPv6": ("IPv6", {
        "version": ("version", "{}", "IPv6"), "tc": ("traffic class", "{:#04x}", "class of service and congestion"),
        "fl": ("flow label", "{:#07x}", "the same for all packets of a flow"),
        "plen": ("payload length", "{}", "bytes of all that follows"), "nh": _PROTOCOL,
        "hlim": ("hop limit", "{}", _ttl),
        **_ADDRESSES}),
    "IPv6 Extension Header - Fragmentation header": ("IPv6 fragment", {
        "nh": _PROTOCOL, "res1": ("reserved", "{}", "must be 0"), "offset": ("fragment offset", "{}", _fragment),
        "res2": ("reserved", "{}", "must be 0"), "m": ("more fragments", "{}", "1: more follow; 0: the last piece"),
        "id": ("identification", "{}", "the same in all fragments of a packet")}),
    "UDP": ("UDP", {
        **_PORTS, "len": ("length", "{}", "bytes of this header and the data"),
        "chksum": ("checksum", "{:#06x}", _checksum)}),
    "TCP": ("TCP", {
        **_PORTS, "seq": ("sequence number", "{}", "the place of the first byte here in the sender's stream"),
        "ack": ("acknowledgment number", "{}", "the next byte expected from the other side"),
        "dataofs": ("data offset", "{}", _LENGTH), "reserved": ("reserved", "{}", "must be 0"),
        "flags": ("flags", "{}", _tcp_flags),
        "window": ("window", "{}", "how much more this side can take, before scaling"),
        "chksum": ("checksum", "{:#06x}", _checksum),
        "urgptr": ("urgent pointer", "{}", "counts only with the flag URG")}),
}


# By kind: name and meaning (RFC 9293, 7323, 2018).
TCP_OPTIONS = {0: ("end of options", "the rest is padding"), 1: ("NOP", "padding between options"),
               2: ("maximum segment size", "the largest piece this side takes"),
               3: ("window scale", "the window counts in units of two to this power"),
               4: ("SACK permitted", "this side understands selective confirmation"),
               5: ("SACK", "pieces that arrived beyond a gap"),
               8: ("timestamps", "the sender's clock and the last one it heard: measures the round trip")}


def header_fields(frame: Frame) -> tuple[Field, ...]:
    """Every field from the link header to the last DNS record, in the order of the bytes.

    What is not taken apart (another protocol, a fragment, part of a TCP message, a cut frame) is one field "data".
    ParseError where a header or a whole DNS message is malformed.
    """
    with parse_context(where=f"frame {frame.number}"):
        return tuple(_headers(frame))


def _headers(frame: Frame) -> Iterator[Field]:
    layer, at = dissect(frame), 0
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
