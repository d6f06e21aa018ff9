"""What the fields of link, IP, UDP and TCP headers mean, by scapy's names for them.

Sources: IEEE 802.3, the LINUX_SLL and LINUX_SLL2 pages of tcpdump.org, RFC 791 (IPv4), 8200 (IPv6), 768 (UDP),
9293 (TCP).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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
