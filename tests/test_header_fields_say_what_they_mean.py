"""The meaning of a header field speaks of its value: which way, what follows, is the checksum right."""

from __future__ import annotations

import dataclasses

import pytest

from conftest import PCAPS, captured_frames
from kitlib.errors import ParseError
from kitlib.parsers.header_fields import Field, header_fields
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Frame


def recorded(name: str, number: int) -> Frame:
    return captured_frames(name)[number - 1]


def field(frame: Frame, layer: str, name: str) -> Field:
    found, = [one for one in header_fields(frame) if (one.layer, one.name) == (layer, name)]
    return found


def changed(frame: Frame, at: int, value: int) -> Frame:
    return dataclasses.replace(frame, data=frame.data[:at] + bytes([value]) + frame.data[at + 1:])


QUERY, RESPONSE = (recorded("pod-dig-external-09-pod", number) for number in (1, 2))
CAME_IN, WENT_OUT = (recorded("pod-dig-external-09-cp-any", number) for number in (1, 2))
SYN, OVER_TCP = (recorded("pod-dig-tcp-01-pod", number) for number in (1, 4))
ICMP = recorded("no-endpoints-01-pod", 2)
PADDED = dataclasses.replace(QUERY, data=QUERY.data + bytes(6))
COOKED_V1 = Frame(1, 0, 113, b"\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x08\0" + QUERY.data[14:])
TAGGED = Frame(1, 0, 1, QUERY.data[:12] + b"\x81\0\x20\7\x08\0" + QUERY.data[14:])


@pytest.mark.parametrize("layer, name, query, response", [
    ("Ethernet", "type", "an IPv4 packet follows", "an IPv4 packet follows"),
    ("IPv4", "TTL", "0 so far", "2 so far"), ("IPv4", "flags", "routers may cut it", "do not fragment"),
    ("UDP", "source port", "a port the client picked", "the well-known port of DNS"),
    ("DNS", "qr", "a query", "a response"), ("DNS", "ra", "in responses only", "this server finds out"),
    ("DNS", "rcode", "counts in responses only", "no error"), ("DNS", "ad", "tell me whether", "not verified"),
    ("EDNS", "option: COOKIE", "proves", "proves")])
def test_query_and_response_of_dig(layer: str, name: str, query: str, response: str) -> None:
    assert query in field(QUERY, layer, name).meaning
    assert response in field(RESPONSE, layer, name).meaning


def test_fields_agree_with_the_sighting() -> None:
    seen, = sightings([RESPONSE])
    assert field(RESPONSE, "DNS", "id").value == str(seen.message.id)
    assert field(RESPONSE, "DNS answer", "data").value == seen.message.answers[0].data == "93.184.216.34"
    assert field(RESPONSE, "DNS answer", "TTL").value == str(seen.message.answers[0].ttl)
    assert field(RESPONSE, "EDNS", "option: COOKIE").value == seen.message.edns.options[0][1]
    assert field(RESPONSE, "IPv4", "TTL").value == str(seen.ttl)


@pytest.mark.parametrize("frame, layer, name, said", [
    (CAME_IN, "Linux cooked v2", "packet type", "came in, addressed to this machine"),
    (WENT_OUT, "Linux cooked v2", "packet type", "went out from this machine"),
    (COOKED_V1, "Linux cooked v1", "packet type", "went out from this machine"),
    (COOKED_V1, "Linux cooked v1", "source", "02:00:00:00:00:01"), (TAGGED, "VLAN", "VLAN", "7"),
    (TAGGED, "VLAN", "priority", "1"), (SYN, "TCP", "flags", "SYN opens the connection"),
    (SYN, "TCP", "option: maximum segment size", "1220"), (SYN, "TCP", "option: timestamps", "3153923388 0"),
    *((frame, "DNS question", "name", "www.example.com.") for frame in (COOKED_V1, TAGGED, OVER_TCP)),
    (OVER_TCP, "DNS", "length", "56"), (ICMP, "IPv4", "protocol", "ICMP follows"),
    (ICMP, "IPv4", "data", f"{len(ICMP.data) - 34} bytes"), (PADDED, "Ethernet", "padding", "6 bytes")])
def test_every_link_and_protocol_has_its_value_or_meaning(frame: Frame, layer: str, name: str, said: str) -> None:
    assert said in field(frame, layer, name)[2:]


def test_a_cooked_capture_says_at_which_interface() -> None:
    assert [field(frame, "Linux cooked v2", "interface index").value for frame in (CAME_IN, WENT_OUT)] == [
        str(one.interface_index) for one in sightings([CAME_IN, WENT_OUT])]


def packet(version: int = 4, checksum: bool = True) -> Frame:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    ip = IP(src="10.0.0.1", dst="10.0.0.2") if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    udp = UDP(sport=4000, dport=53) if checksum else UDP(sport=4000, dport=53, chksum=0)
    text = sightings([QUERY])[0].link.data[42:]
    return Frame(1, 0, 1, bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip / udp / text))


@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_checksum_is_right_left_to_the_card_or_wrong(version: int) -> None:
    made = packet(version)
    at = 40 if version == 4 else 60                           # where the checksum stands
    assert field(made, "UDP", "checksum").meaning.endswith("right")
    assert "wrong" in field(changed(made, at, made.data[at] ^ 1), "UDP", "checksum").meaning
    assert "wrong" in field(changed(made, -1 % len(made.data), 99), "UDP", "checksum").meaning
    start = 26 if version == 4 else 22                        # the pseudo-header: addresses, length, protocol
    words = made.data[start:at - 6] + made.data[at - 2:at] + b"\0\x11"
    total = sum(int.from_bytes(words[i:i + 2]) for i in range(0, len(words), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    partial = changed(changed(made, at, total >> 8), at + 1, total & 255)
    assert "leaves the rest to a network card" in field(partial, "UDP", "checksum").meaning


def test_recorded_checksums_are_left_to_the_card_and_none_is_wrong() -> None:
    every = [one for file in PCAPS for frame in captured_frames(file.stem)
             for one in header_fields(frame) if one.name == "checksum"]
    assert every and all("leaves the rest to a network card" in one.meaning for one in every)
    assert field(packet(checksum=False), "UDP", "checksum").meaning == "0: the sender made none"


def test_an_ip_checksum_is_right_or_wrong() -> None:
    assert ": right" in field(QUERY, "IPv4", "header checksum").meaning
    assert ": wrong" in field(changed(QUERY, 22, 63), "IPv4", "header checksum").meaning


def test_a_compressed_name_says_where_it_points() -> None:
    name = bytes([3]) + b"www" + bytes([7]) + b"example" + bytes([3]) + b"com" + bytes(1)
    at = RESPONSE.data.index(name, RESPONSE.data.index(name) + 1)
    short = bytearray(RESPONSE.data[:at] + b"\xc0\x0c" + RESPONSE.data[at + len(name):])
    for place in (16, 38):                                    # the lengths of IPv4 and UDP
        short[place:place + 2] = (int.from_bytes(short[place:place + 2]) - len(name) + 2).to_bytes(2)
    found = field(dataclasses.replace(RESPONSE, data=bytes(short)), "DNS answer", "name")
    assert found.value == "www.example.com." and "a pointer to byte 12" in found.meaning


def test_a_malformed_message_is_an_error_with_the_frame_s_number() -> None:
    with pytest.raises(ParseError, match="frame 1"):
        header_fields(changed(QUERY, 47, 9))                        # nine questions
