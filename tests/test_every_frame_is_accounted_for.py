"""Every frame of a capture is a sighting, a part of one, or is counted and named among what was left out."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from conftest import captured_dig, fixture_text
from kitlib import ladder, open_lab
from kitlib.cluster import Cluster
from kitlib.journey.join import join
from kitlib.parsers.header_fields import header_fields
from kitlib.parsers.sightings import Reading, read_frames
from kitlib.result import Result
from kitlib.sighting import Frame, Reason, VantagePoint, left_out_lines
from live_labs.lab import _dropped, _note
from recorder.frames import scrub_frames
from recorder.pseudonyms import Pseudonyms

CLIENT, SERVER = "10.244.1.2", "10.96.0.10"
POINT = VantagePoint("pod:default/a", "eth0", "worker", "pod", "a eth0")
ETHERNET = bytes.fromhex("0200000000020200000000010800")


def query(id_: int = 7) -> bytes:
    return bytes(DNS(id=id_, rd=0, qd=DNSQR(qname="a.example")))


def answer(text: bytes = b"") -> bytes:
    """An answer with one TXT record of this text."""
    record = DNSRR(rrname="a.example", type="TXT", ttl=30, rdata=text)
    return bytes(DNS(id=7, qr=1, qd=DNSQR(qname="a.example", qtype="TXT"), an=record))


def ip(body: Packet | bytes = b"", **fields: int) -> bytes:
    return bytes(IP(src=CLIENT, dst=SERVER, **fields) / body)


def udp(data: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    return ip(UDP(sport=sport, dport=dport) / data)


def tcp(data: bytes, sequence: int = 1, flags: str = "PA", sport: int = 40000, dport: int = 53, **fields: int) -> bytes:
    return ip(TCP(sport=sport, dport=dport, seq=sequence, flags=flags) / data, **fields)


def captured(*packets: bytes, link_type: int = 1, link: bytes = ETHERNET) -> list[Frame]:
    return [Frame(number, number * 1000, link_type, link + packet, length=len(link) + len(packet))
            for number, packet in enumerate(packets, 1)]


def read(*packets: bytes) -> Reading:
    return read_frames(captured(*packets), POINT)


GOOD = udp(query())
FIRST, LAST = map(bytes, fragment(IP(src=SERVER, dst=CLIENT) / UDP(sport=53, dport=40000) / answer(b"x" * 1900), 1480))
ODD_OPTION = bytes.fromhex("0007010000010000000000000161076578616d706c65000001000100002904d0000000000004000a0008")
# Packets beside a good query: what is odd about them, and a word of what is told.
ODD = {
    "another port": (udp(b"hello", 4000, 8080), Reason.OTHER_PORT, "UDP 4000"),
    "CoreDNS's other port": (udp(query(), 4000, 5353), Reason.OTHER_PORT, "UDP 4000"),
    "ICMP": (ip(ICMP(type=3)), Reason.NO_PORTS, "ICMP"),
    **{f"{name}, port {port}": (udp(bytes(8) + ETHERNET + GOOD, 50000, port), Reason.ENCAPSULATED, name)
       for port, name in ((4789, "VXLAN"), (8472, "VXLAN"), (6081, "Geneve"), (51820, "WireGuard"), (4500, "IPsec"))},
    "AH": (ip(b"\x11\4" + bytes(22) + GOOD[20:], proto=51), Reason.ENCAPSULATED, "AH"),
    "IPIP": (ip(GOOD, proto=4), Reason.ENCAPSULATED, "IPIP"),
    "the first fragment": (FIRST, Reason.FRAGMENT, f"{SERVER}:53 → {CLIENT}:40000, DNS id 7"),
    "the last fragment": (LAST, Reason.FRAGMENT, f"{SERVER} → {CLIENT}, without the first"),
    "an answer cut within a record": (udp(answer(b"x" * 50)[:-9], 53, 40000), Reason.NO_MESSAGE,
                                      "bytes of the data of a.example. TXT"),
    "one byte": (udp(b"!"), Reason.NO_MESSAGE, "a header"),
    "junk": (udp(b"GET / HTTP/1.1\r\n\r\n"), Reason.NO_MESSAGE, "DNS message"),
    "a forward pointer": (udp(query()[:12] + b"\xc0\x20\0\1\0\1"), Reason.NO_MESSAGE, "a pointer to before"),
    "a long option": (udp(query()[:11] + b"\1" + ODD_OPTION[12:]), Reason.NO_MESSAGE, "COOKIE"),
    "IP version 1": (b"\x15" + bytes(60), Reason.DAMAGED, "version 1"),
    "an IP header of 16 bytes": (b"\x44\0\0\x30" + bytes(44), Reason.DAMAGED, "header 16 bytes"),
    "TCP without ports": (ip(proto=6), Reason.DAMAGED, "no ports"),
    "UDP with a wrong length": (ip(UDP(len=4) / query()), Reason.DAMAGED, "UDP header"),
    "TCP of total length 0": (tcp(b"abcd", dport=443, len=0), Reason.OTHER_PORT, "TCP 443"),
    "half a message over TCP": (tcp(b"\0\x1e" + query()[:9], sport=41000), Reason.SEGMENT, "the rest"),
    "a SYN that nobody answers": (tcp(b"", flags="S", sport=42000), Reason.SEGMENT, "without a message"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_frame_is_named_and_costs_no_other(odd: str) -> None:
    packet, reason, words = ODD[odd]
    for packets in ((GOOD, packet), (packet, GOOD)):
        found, left = read(*packets)
        assert [sighting.message.id for sighting in found] == [7]
        assert [(one.frame, one.reason) for one in left] == [(packets.index(packet) + 1, reason)]
        line, = left_out_lines(left)
        assert line.startswith(f"1 frame at a eth0: {reason} (") and words in line and f"frame {left[0].frame}" in line


def test_arp_and_a_link_type_that_is_not_read_are_named() -> None:
    good, odd = captured(GOOD, GOOD)
    arp = dataclasses.replace(odd, data=ETHERNET[:12] + b"\x08\6" + bytes(28))
    found, left = read_frames([good, arp, dataclasses.replace(odd, number=3, link_type=147)])
    assert len(found) == 1
    assert [(one.reason, one.detail) for one in left] == [(Reason.NO_PORTS, "ARP"),
                                                          (Reason.LINK_TYPE, "link type 147")]


@pytest.mark.parametrize("link_type, link", [(101, b""), (228, b""), (0, b"\2\0\0\0"), (0, b"\0\0\0\2"),
                                             (108, b"\0\0\0\2")])
def test_raw_ip_and_loopback_are_read(link_type: int, link: bytes) -> None:
    found, left = read_frames(captured(GOOD, link_type=link_type, link=link))
    assert [str(sighting.destination) for sighting in found] == [f"{SERVER}:53"] and left == ()


@pytest.mark.parametrize("link_type, link", [(101, b""), (229, b""), (0, b"\x1e\0\0\0")])
def test_raw_ipv6_is_read(link_type: int, link: bytes) -> None:
    packet = bytes(IPv6(dst="::1") / UDP(sport=40000, dport=53) / query())
    found, _ = read_frames(captured(packet, link_type=link_type, link=link))
    assert found[0].message.id == 7


def test_a_segment_that_left_its_length_to_the_network_card_is_read_to_the_frames_end() -> None:
    found, left = read(tcp(len(query()).to_bytes(2) + query(), len=0))
    assert found[0].message.id == 7 and left == ()


def test_bytes_behind_the_last_record_are_counted_and_the_message_counts() -> None:
    found, left = read(udp(bytes.fromhex("0007818000010000000000000161076578616d706c650000010001000000")))
    assert (str(found[0].message.question), found[0].message.extraneous) == ("a.example. A", 3)
    assert left_out_lines(left) == [f"1 frame at a eth0: {Reason.EXTRANEOUS} (3 bytes, frame 1)"]


def test_an_option_that_the_header_does_not_count_is_extraneous() -> None:
    found, (left,) = read(GOOD, udp(ODD_OPTION))
    assert len(found) == 2 and (left.frame, left.detail) == (2, "15 bytes")


def test_an_update_is_read() -> None:
    found, left = read(udp(bytes.fromhex(
        "000928000001000100000000076578616d706c6500000600010177076578616d706c6500000500fe000000000000")))
    message, (record,) = found[0].message, found[0].message.answers
    assert (message.opcode, str(message.question)) == ("UPDATE", "example. SOA") and left == ()
    assert (record.name, record.type, record.rclass, record.data) == ("w.example.", "CNAME", "NONE", "")


def tagged(*tags: int) -> bytes:
    """A link header with these VLAN tags, or other types behind which IPv4 follows."""
    return ETHERNET[:12] + b"".join(tag.to_bytes(2) + b"\0\5" for tag in tags) + ETHERNET[12:]


@pytest.mark.parametrize("tags", [(0x8100,), (0x88A8, 0x8100), (0x9100, 0x8100), (0x9200,)])
def test_vlan_tags_are_passed_over(tags: tuple[int, ...]) -> None:
    assert [one.message.id for one in read_frames(captured(GOOD, link=tagged(*tags)), POINT).sightings] == [7]


@pytest.mark.parametrize("ether_type, name", [(0x8864, "PPPoE"), (0x8847, "MPLS"), (0x88E5, "MACsec")])
def test_what_ethernet_carries_a_packet_in_is_encapsulated(ether_type: int, name: str) -> None:
    found, left = read_frames(captured(GOOD, link=tagged(ether_type)), POINT)
    assert not found and [(one.reason, one.detail) for one in left] == [(Reason.ENCAPSULATED, name)]
    assert left[0].may_be_dns


def test_fragments_of_an_id_that_comes_again_are_not_joined() -> None:
    """The kernel gives up after 30 s: what comes a minute later is of another datagram."""
    late = dataclasses.replace(captured(FIRST, LAST)[1], time_ns=60 * 10**9)
    found, left = read_frames([captured(FIRST)[0], late], POINT)
    assert not found and [(one.frame, one.reason) for one in left] == [(1, Reason.FRAGMENT), (2, Reason.FRAGMENT)]


def test_fragments_are_joined_and_dns_on_another_port_is_followed() -> None:
    found, left = read(GOOD, LAST, FIRST)
    assert [sighting.message.is_response for sighting in found] == [False, True] and left == ()
    found, left = read_frames(captured(udp(query(), 4000, 5353), GOOD), ports=(53, 5353))
    assert [sighting.destination.port for sighting in found] == [5353, 53] and left == ()


def test_the_ladder_does_not_say_that_there_was_no_answer_where_a_frame_could_not_be_read() -> None:
    reading = read(GOOD, FIRST)
    journey, = join(reading.sightings)
    assert ladder(journey).title.startswith("No response: ")
    drawing = ladder(dataclasses.replace(journey, left_out=reading.left_out))
    assert drawing.title == "No response that could be read: the query was last seen at a eth0"
    assert "no response could be read" in drawing.text
    for shown in (drawing.text, drawing.alt, drawing.svg, drawing.mermaid):
        assert "fragments that could not be joined" in shown.replace("\n", " ")


def at_times(frames: list[Frame], *times_ns: int) -> list[Frame]:
    return [dataclasses.replace(frame, time_ns=at) for frame, at in zip(frames, times_ns, strict=True)]


def test_where_the_clock_was_set_back_nothing_is_said_to_be_missing() -> None:
    """A query at 10 s, its answer at 8 s: by their times the answer came first."""
    query_first = captured(GOOD, bytes(IP(src=SERVER, dst=CLIENT) / UDP(sport=53, dport=40000) / answer()))
    found, left = read_frames(at_times(query_first, 10 * 10**9, 8 * 10**9), POINT)
    assert len(found) == 2 and [(one.frame, one.reason, one.detail) for one in left] == [
        (2, Reason.STEPPED_BACK, "by 2.0 s")]
    titles = [ladder(dataclasses.replace(one, left_out=left)).text.partition("\n")[0] for one in join(found)]
    assert [title for title in titles if "could be read" in title] == titles
    assert not read_frames(at_times(query_first, 10_000, 8_000)).left_out        # two processors, some moments apart


def test_other_traffic_does_not_make_the_ladder_unsure() -> None:
    reading = read(GOOD, udp(b"hello", 4000, 8080))
    journey, = join(reading.sightings)
    assert ladder(dataclasses.replace(journey, left_out=reading.left_out)).title.startswith("No response: ")


def test_a_capture_says_what_was_left_out_and_nothing_where_nothing_was() -> None:
    lab = open_lab(fault="no-endpoints")
    with lab.capture(lab.client) as seen:
        lab.client.dig("+tries=1", "+timeout=3", "www.example.com")
    assert "Left out:\n   1 frame at my-nginx eth0: neither UDP nor TCP (ICMP, frame 4)" in repr(seen)
    lab = open_lab()
    seen = captured_dig(lab, lab.client)
    assert "Left out" not in repr(seen) and seen.left_out == ()


def test_packets_that_tcpdump_could_not_take_are_told() -> None:
    words = "9 packets captured\n3 packets dropped by kernel\n0 packets dropped by interface"
    assert _dropped(SimpleNamespace(stderr=words)) == ["3 packets were dropped by the kernel and are not seen"]


def test_a_capture_has_an_end_and_says_so() -> None:
    ended = SimpleNamespace(is_full=False, is_running=False, stderr="listening on eth0\n100000 packets captured\n")
    assert _note(ended) == "live; what came after 100,000 packets was left out: capture for a shorter time"


def test_dns_behind_another_port_is_followed_by_what_kubectl_says() -> None:
    def backend(place: str, argv: tuple[str, ...]) -> Result:
        name = "services" if "services" in argv else "endpointslices"
        text = fixture_text(f"kubectl/{name}.json")
        return Result("", argv, 0, text.replace('"port": 53,', '"port": 15053,') if name == "endpointslices" else text)

    assert Cluster(SimpleNamespace(name="x", run=backend)).dns_ports == (53, 15053)
    over_tcp = len(query()).to_bytes(2) + query()
    behind = captured(udp(query(), dport=15053), tcp(over_tcp, dport=15053))
    assert [seen.server.port for seen in read_frames(behind, POINT, (53, 15053)).sightings] == [15053, 15053]
    assert all("DNS question" in {field.layer for field in header_fields(frame, 15053)} for frame in behind)
    assert all(scrub_frames(behind, Pseudonyms([], {}), (53, 15053))) and not any(scrub_frames(
        behind, Pseudonyms([], {})))


STREAM = len(query(5)).to_bytes(2) + query(5)
PARTS = [(GOOD, "whole"), (FIRST, "fragment"), (LAST, "fragment"), (tcp(b"", 100, "S"), "segment"),
         (tcp(STREAM[:9], 101), "segment"), (tcp(STREAM[9:], 110), "segment"),
         *((packet, "odd") for packet, _, _ in ODD.values() if packet not in (FIRST, LAST))]


@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_all_frames_add_up(chosen: list[tuple[bytes, str]]) -> None:
    """A part that is not left out stands for a sighting that other frames complete."""
    found, left = read(*(packet for packet, _ in chosen))
    seen, named = {sighting.link.number for sighting in found}, {one.frame for one in left}
    for number, (_, kind) in enumerate(chosen, 1):
        if kind in ("whole", "odd"):
            assert (number in seen) != (number in named)
    joined = sum(sighting.protocol == "UDP" and sighting.message.is_response for sighting in found)
    fragments = {number for number, (_, kind) in enumerate(chosen, 1) if kind == "fragment"}
    assert joined <= len(fragments - named) and (joined or fragments <= named)
    whole = any(sighting.protocol == "TCP" for sighting in found)
    segments = {number for number, (_, kind) in enumerate(chosen, 1) if kind == "segment"}
    assert whole or segments <= named
