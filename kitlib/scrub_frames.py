"""Other addresses, MACs and names in captured frames: the same lengths, and checksums that are right where they were.

Checksums: RFC 1071, RFC 768, RFC 9293. A frame caught before the network card has worked on it carries a partial
checksum (the pseudo-header's sum alone, Linux skbuff.h: CHECKSUM_PARTIAL); that stays a partial one. What was wrong
otherwise is left as it is: it cannot be told what it should say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from kitlib.parsers.datagrams import TCP, UDP, dissected
from kitlib.sighting import Frame

CHECKSUM_AT = {TCP: 16, UDP: 6}


class Swaps(NamedTuple):
    """What becomes what: addresses as text, MACs as text, names of equal length."""

    addresses: Mapping[str, str]
    macs: Mapping[str, str]
    names: Mapping[str, str]


def scrub_frame(frame: Frame, swaps: Swaps) -> Frame:
    """The frame with everything swapped; its length and its time stay."""
    packet = dissected(frame)
    ip = packet.getlayer("IP") or packet.getlayer("IPv6")
    start = len(frame.data) - len(ip.original) if ip else len(frame.data)
    link, rest = frame.data[:start], frame.data[start:]
    for old, new in swaps.macs.items():
        link = link.replace(bytes.fromhex(old.replace(":", "")), bytes.fromhex(new.replace(":", "")))
    return replace(frame, data=link + (_scrub_ip(rest, swaps) if ip else rest))


def _scrub_ip(old: bytes, swaps: Swaps) -> bytes:
    is_4 = old[0] >> 4 == 4
    first, size, body = (12, 4, (old[0] & 15) * 4) if is_4 else (8, 16, 40)
    ends = [old[at:at + size] for at in (first, first + size)]
    packed = {ip_address(old).packed: ip_address(new).packed for old, new in swaps.addresses.items()}
    new = old[:first] + b"".join(packed.get(end, end) for end in ends) + old[first + 2 * size:body]
    payload = old[body:]
    for before, after in packed.items():      # the data of A and AAAA records: its length, then the address
        payload = payload.replace(len(before).to_bytes(2) + before, len(after).to_bytes(2) + after)
    for before, after in swaps.names.items():
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
