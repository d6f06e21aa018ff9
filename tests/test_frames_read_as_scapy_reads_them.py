"""Link, IP, UDP and TCP headers say what scapy says of them: recorded and made frames, whole and cut."""

from __future__ import annotations

import dataclasses
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet, inet6, l2
from scapy.packet import Packet

from conftest import REPO, captured_dig
from kitlib import open_lab
from kitlib.errors import KitError, ParseError
from kitlib.parsers.header_fields import header_fields
from kitlib.parsers.packets import TCP, UDP, address_text, datagram_of
from kitlib.parsers.pcap import frames
from kitlib.sighting import Frame

CAPTURES = sorted(file for folder in ("kitlib/recordings", "tests/fixtures")
                  for file in (REPO / folder).rglob("*.pcap*"))
LINKS = {1: l2.Ether, 113: l2.CookedLinux, 276: l2.CookedLinuxV2}
TITLES = {l2.Ether: "Ethernet", l2.Dot1Q: "VLAN", l2.Dot1AD: "VLAN", l2.CookedLinux: "Linux cooked v1",
          l2.CookedLinuxV2: "Linux cooked v2", inet.IP: "IPv4", inet6.IPv6: "IPv6",
          inet6.IPv6ExtHdrFragment: "IPv6 fragment", inet.UDP: "UDP", inet.TCP: "TCP"}


# --- what scapy says

def scapy_datagram(packet: Packet) -> tuple | None:
    """Addresses, TTL, id, protocol, what IP carries, how much of it is missing, and which fragment it is."""
    ip = packet.getlayer(inet.IP) or packet.getlayer(inet6.IPv6)
    if isinstance(ip, inet.IP):
        end, body, ttl, id_ = ip.len, ip.ihl * 4, ip.ttl, ip.id
        protocol, fragment = ip.proto, (ip.id, ip.frag * 8, bool(ip.flags.MF)) if ip.frag or ip.flags.MF else None
    else:
        last, fragment = ip, None
        while isinstance(last.payload, inet6._IPv6ExtHdr):
            last = last.payload
            if isinstance(last, inet6.IPv6ExtHdrFragment):
                fragment = (last.id, last.offset * 8, bool(last.m))
                break
        end, ttl, id_, protocol = 40 + ip.plen, ip.hlim, 0, last.nh
        body = 40 + ip.plen - len(last.payload.original)
    whole = (ip.src, ip.dst, ttl, id_, protocol, ip.original[body:end], max(end - len(ip.original), 0), fragment)
    return whole if protocol in (TCP, UDP) else None


def scapy_fields(packet: Packet) -> list[tuple[str, list[str | int]]]:
    """The layers that the packet view shows, each with the values of its fields in order."""
    found = []
    while type(packet) in TITLES:
        values = [packet.getfieldval(part.name) for part in packet.fields_desc if part.name != "options"]
        if "lladdrlen" in packet.fields:
            values = [value[:packet.lladdrlen].hex(":") if isinstance(value, bytes) else value for value in values]
        found.append((TITLES[type(packet)], values))
        packet = packet.payload
    return found


def our_fields(frame: Frame, like: list[tuple[str, list]]) -> list[tuple[str, list[str | int]]]:
    """Our values in the same form: a number where scapy has a number."""
    fields = [field for field in header_fields(frame) if field.layer in TITLES.values() and field.name not in (
        "data", "padding", "options") and not field.name.startswith("option: ")]
    found = []
    for title, values in like:
        texts = [fields.pop(0) for _ in values]
        assert {field.layer for field in texts} == {title}
        found.append((title, [int(field.value, 0) if type(value) is int else field.value.replace("none", "")
                              for field, value in zip(texts, values, strict=True)]))
    assert not fields
    return found


def assert_the_same(frame: Frame) -> None:
    packet = LINKS[frame.link_type](frame.data)
    ours, ip = datagram_of(frame), inet.IP in packet or inet6.IPv6 in packet
    ours = ours if ours and ours.protocol in (UDP, TCP) else None
    assert (ours and tuple(ours[1:])) == (scapy_datagram(packet) if ip else None)
    theirs = scapy_fields(packet)
    assert our_fields(frame, theirs) == [(title, [value if type(value) is int else str(value) for value in values])
                                         for title, values in theirs]


@pytest.mark.parametrize("file", CAPTURES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_recorded_frame(file: Path) -> None:
    for frame in frames(file.read_bytes()):
        assert_the_same(frame)


# --- made frames

V4, V6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)
U8, U16 = st.integers(0, 255), st.integers(0, 2**16 - 1)
MAC = "02:00:00:00:00:01"
OPTIONS = st.sampled_from([[], [inet.IPOption_RR(routers=["10.0.0.9"])], [inet.IPOption_NOP(), inet.IPOption_EOL()],
                           [inet.IPOption_Timestamp()]])
TCP_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 9)), ("NOP", None), ("WScale", 7)]


@st.composite
def links(draw: st.DrawFn) -> tuple[int, Packet]:
    link_type = draw(st.sampled_from([1, 1, 113, 276]))
    link = l2.Ether(src=MAC, dst=MAC) if link_type == 1 else LINKS[link_type](
        src=b"\2\0\0\0\0\1\0\0", lladdrlen=6, lladdrtype=1, pkttype=draw(st.integers(0, 4)))
    tags = draw(st.sampled_from([(), (l2.Dot1Q,), (l2.Dot1AD, l2.Dot1Q)])) if link_type == 1 else ()
    for tag in tags:
        link = link / tag(vlan=draw(st.integers(0, 4095)), prio=draw(st.integers(0, 7)))
    return link_type, link


@st.composite
def made_frames(draw: st.DrawFn) -> Frame:
    """A frame as scapy makes it: its link, IPv4 with options or IPv6 with extension headers, a fragment or whole."""
    link_type, link = draw(links())
    data = draw(st.binary(max_size=40))
    ports = {"sport": draw(st.integers(1024, 65535)), "dport": draw(st.integers(1024, 65535))}
    part = inet.UDP(**ports) if draw(st.booleans()) else inet.TCP(
        **ports, seq=draw(st.integers(0, 2**32 - 1)), flags=draw(st.integers(0, 511)), window=draw(U16),
        options=draw(st.lists(st.sampled_from(TCP_OPTIONS), max_size=2)))
    if draw(st.booleans()):
        ip = inet.IP(src=draw(V4), dst=draw(V4), ttl=draw(U8), id=draw(U16), tos=draw(U8),
                     flags=draw(st.sampled_from(["", "DF", "MF"])), frag=draw(st.sampled_from([0, 0, 0, 185])),
                     options=draw(OPTIONS))
    else:
        ip = inet6.IPv6(src=draw(V6), dst=draw(V6), hlim=draw(U8), fl=draw(st.integers(0, 2**20 - 1)))
        fragment = inet6.IPv6ExtHdrFragment(id=draw(U16), offset=draw(st.sampled_from([0, 185])), m=1)
        for extension in draw(st.sampled_from([(), (fragment,), (inet6.IPv6ExtHdrHopByHop(),)])):
            ip = ip / extension
    padding = bytes(draw(st.sampled_from([0, 6])) if link_type == 1 else 0)
    if link_type != 1:
        link.proto = 0x86DD if inet6.IPv6 in ip else 0x0800
    return Frame(1, 0, link_type, bytes(link / ip / part / data) + padding)


@given(made_frames())
def test_any_frame(frame: Frame) -> None:
    assert_the_same(frame)
    meanings = [field.meaning for field in header_fields(frame) if field.name.endswith("checksum")]
    assert all(": right" in meaning or "a fragment" in meaning for meaning in meanings)


@given(made_frames(), st.data())
def test_a_cut_frame_says_how_much_is_missing_or_is_an_error(frame: Frame, data: st.DataObject) -> None:
    cut = dataclasses.replace(frame, data=frame.data[:data.draw(st.integers(0, len(frame.data) - 1))])
    try:
        ours = datagram_of(cut)
    except ParseError as error:
        assert "header" in error.expected or "VLAN" in error.expected
        return
    whole = datagram_of(frame)
    lost = len(whole.payload) - len(ours.payload)
    assert lost == ours.missing or (not ours.payload and lost < ours.missing)        # IP options are missing too
    assert whole.payload.startswith(ours.payload)
    assert ours._replace(payload=whole.payload, missing=0) == whole


@pytest.mark.parametrize(("data", "expected"), [
    (b"\x45", "a whole IPv4 header"), (b"\x45\0\0\1" + bytes(16), "a header within the packet"),
    (b"\x65\0\0\x14" + bytes(16), "version 4"), (b"\x43\0\0\x14" + bytes(16), "a header within the packet")])
def test_a_malformed_ipv4_header_is_an_error(data: bytes, expected: str) -> None:
    with pytest.raises(ParseError) as raised:
        datagram_of(Frame(1, 0, 1, bytes(12) + b"\x08\0" + data))
    assert expected in raised.value.expected


@pytest.mark.parametrize("data", [b"\x08\6" + bytes(28), b"\0\x26" + bytes(38), b"\x88\xcc\2\7"])
def test_arp_8023_and_lldp_carry_no_datagram(data: bytes) -> None:
    assert datagram_of(Frame(1, 0, 1, bytes(12) + data)) is None


BYTES = {size: st.binary(min_size=size, max_size=size) for size in (4, 16)}


@given(BYTES[4] | BYTES[16] | BYTES[4].map(bytes(12).__add__) | BYTES[4].map((bytes(10) + b"\xff\xff").__add__))
def test_addresses_are_written_as_by_inet_ntop(raw: bytes) -> None:
    assert address_text(raw) == socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def test_an_ipv4_address_in_an_ipv6_one_is_dotted() -> None:
    assert address_text(bytes(10) + b"\xff\xff\1\2\3\4") == "::ffff:1.2.3.4"


def test_a_capture_is_handed_out_as_scapys_packets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = open_lab()
    pod = lab.pod("my-nginx")
    seen = captured_dig(lab, pod)
    packets = seen.packets(pod)
    assert [bytes(packet) for packet in packets] == [frame.data for frame in seen.frames(pod)]
    assert packets[0]["DNS"].qd[0].qname == b"www.example.com."
    assert int(packets[0].time) == seen.at(pod)[0].time_ns // 10**9
    monkeypatch.setitem(sys.modules, "scapy.layers", None)
    with pytest.raises(KitError, match="scapy is not installed"):
        seen.packets(pod)
