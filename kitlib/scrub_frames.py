"""Other addresses, MACs and names in captured frames: the same lengths, and checksums that are right where they were.

Checksums: RFC 1071, RFC 768, RFC 9293. A frame caught before the network card has worked on it carries a partial
checksum (the pseudo-header's sum alone, Linux skbuff.h: CHECKSUM_PARTIAL); that stays a partial one. What was wrong
otherwise is left as it is: it cannot be told what it should say.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from kitlib.parsers.datagrams import TCP, UDP, dissected
from kitlib.sighting import Frame
from kitlib.stand_ins import StandIns

CHECKSUM_AT = {TCP: 16, UDP: 6}
MAC_AT = {1: (0, 6), 113: (6,), 276: (12,)}       # by link type: Ethernet, Linux cooked, Linux cooked v2


def scrub_frame(frame: Frame, stand_ins: StandIns) -> Frame:
    """The frame with everything replaced; its length and its time stay. Beyond IP only MACs are known."""
    packet = dissected(frame)
    ip = packet.getlayer("IP") or packet.getlayer("IPv6")
    start = len(frame.data) - len(ip.original) if ip else len(frame.data)
    link, rest = frame.data[:start], frame.data[start:]
    for at in MAC_AT[frame.link_type]:
        mac = bytes.fromhex(stand_ins.mac(link[at:at + 6].hex(":")).replace(":", ""))
        link = link[:at] + mac + link[at + 6:]
    return replace(frame, data=link + (_scrub_ip(rest, stand_ins) if ip else rest))


def _scrub_ip(old: bytes, stand_ins: StandIns) -> bytes:
    first, size, body = (12, 4, (old[0] & 15) * 4) if old[0] >> 4 == 4 else (8, 16, 40)
    ends = [str(ip_address(old[at:at + size])) for at in (first, first + size)]
    new = old[:first] + b"".join(ip_address(stand_ins.address(end)).packed for end in ends) + old[first + 2 * size:body]
    payload = old[body:]
    for before, after in stand_ins.addresses.items():      # the data of A and AAAA records: its length, the address
        packed = ip_address(before).packed, ip_address(after).packed
        payload = payload.replace(*(len(address).to_bytes(2) + address for address in packed))
    for before, after in stand_ins.names.items():
        payload = payload.replace(before.encode(), after.encode())
    return _repaired(old, new + payload, first, body)


def _repaired(old: bytes, new: bytes, first: int, body: int) -> bytes:
    """The new packet with the checksums of IP, UDP and TCP made right where the old packet's were."""
    fragment = first == 12 and int.from_bytes(old[6:8]) & 0x3FFF
    if first == 12 and ones_sum(old[:body]) == 0xFFFF:
        new = new[:10] + _inverted(ones_sum(new[:10] + bytes(2) + new[12:body])) + new[12:]
    protocol = old[9] if first == 12 else old[6]
    end = int.from_bytes(old[2:4]) if first == 12 else 40 + int.from_bytes(old[4:6])
    at = body + CHECKSUM_AT.get(protocol, len(old))
    if fragment or at + 2 > len(old) or end > len(old) or not any(old[at:at + 2]):
        return new
    before, after = (_pseudo(packet[first:body if first == 8 else 20], protocol, end - body) for packet in (old, new))
    if old[at:at + 2] == ones_sum(before).to_bytes(2):
        right = ones_sum(after).to_bytes(2)
    elif ones_sum(before + old[body:end]) == 0xFFFF:
        right = _inverted(ones_sum(after + new[body:at] + bytes(2) + new[at + 2:end]))
    else:
        return new
    return new[:at] + right + new[at + 2:]


def _pseudo(addresses: bytes, protocol: int, length: int) -> bytes:
    return addresses + length.to_bytes(4) + protocol.to_bytes(4)


def _inverted(total: int) -> bytes:
    return (0xFFFF - total or 0xFFFF).to_bytes(2)


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    total = sum(int.from_bytes(data[at:at + 2].ljust(2, b"\0")) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
