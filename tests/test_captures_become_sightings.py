"""A capture becomes DNS sightings that say what tcpdump and dnspython say."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import FIXTURES, PCAPS, captured_frames
from kitlib.errors import ParseError
from kitlib.parsers.dns import RCODES, TYPES, message
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.parsers.sightings import read_frames, sightings
from kitlib.sighting import Frame, Message, Reason, Sighting

TCPDUMP = re.compile(
    r"^(\d\d:\d\d:\d\d\.\d{6}) .*ttl (\d+), id (\d+), .*proto (UDP|TCP) .*\n +(\S+) > (\S+): (.*)$", re.M)


def wire(sighting: Sighting) -> bytes:
    """The message's bytes, cut out of its frame (all recorded messages came in one segment)."""
    return sighting.link.data[-sighting.message.size:]


# --- what tcpdump says

def as_tcpdump(seen: Sighting) -> tuple[str, ...]:
    at = datetime.fromtimestamp(seen.time_ns // 10**9, UTC).strftime("%H:%M:%S")
    ends = [f"{end.address}.{end.port}" for end in (seen.source, seen.destination)]
    return (f"{at}.{seen.time_ns % 10**9 // 1000:06d}", str(seen.ttl), str(seen.ip_id), seen.protocol, *ends,
            message_as_tcpdump(seen.message))


def message_as_tcpdump(said: Message) -> str:
    extra = len(said.additionals) + (said.edns is not None)
    if not said.is_response:
        flags = "+" * ("rd" in said.flags) + "%" * ("cd" in said.flags)
        additional = f"[{extra}au] " if extra else ""
        return f"{said.id}{flags} {additional}{said.question.type}? {said.question.name} ({said.size})"
    rcode = {"NOERROR": "", "NXDOMAIN": " NXDomain"}[said.rcode]
    marks = "*" * ("aa" in said.flags) + "-" * ("ra" not in said.flags) + "|" * ("tc" in said.flags)
    answers = ", ".join(f"{record.name} {record.type} {record.data}" for record in said.answers)
    counts = f"{len(said.answers)}/{len(said.authorities)}/{extra}"
    return f"{said.id}{rcode}{marks} {counts} {answers}{' ' * bool(answers)}({said.size})"


@pytest.mark.parametrize("file", PCAPS, ids=lambda file: file.stem)
def test_sightings_say_what_tcpdump_says(file: Path) -> None:
    expected = []
    for *head, protocol, source, destination, rest in TCPDUMP.findall(file.with_suffix(".txt").read_text()):
        text = re.sub(r"^Flags.* length (\d+) ?", "", rest)
        if text:                                            # a TCP segment without data gives no sighting
            expected.append((*head, protocol, source, destination, text))
    assert expected
    assert [as_tcpdump(seen) for seen in sightings(frames(file.read_bytes()))] == expected


def test_cooked_captures_know_the_interface_and_keep_every_passage() -> None:
    seen = sightings(captured_frames("pod-dig-tcp-01-cp-any"))
    assert all(one.protocol == "TCP" and one.interface_index for one in seen)
    first, second = seen[:2]                                # the same segment, coming in and going out
    assert first.message == second.message
    assert (first.ttl, second.ttl) == (63, 62) and first.interface_index != second.interface_index
    assert all(one.interface_index is None for one in sightings(captured_frames("pod-dig-external-09-pod")))


def test_icmp_that_quotes_a_query_is_no_sighting() -> None:
    packets = captured_frames("no-endpoints-01-pod")
    assert len(packets) == 2
    assert [seen.link.number for seen in sightings(packets)] == [1]


def test_edns_cookie_and_ad_flag_of_dig() -> None:
    query, response = sightings(captured_frames("pod-dig-external-09-pod"))
    assert query.message.flags == ("rd", "ad") and query.message.edns.udp_size == 1232
    (name, value), = query.message.edns.options
    assert name == "COOKIE" and value == "b144c97462891586" and response.message.edns.options == ((name, value),)
    assert response.message.answers[0].ttl == 30


# --- what dnspython says

def as_dnspython(data: bytes) -> Message:
    said = dns.message.from_wire(data, one_rr_per_rrset=True, raise_on_truncation=False)

    def records(section: list) -> tuple:
        return tuple((rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype), rrset.ttl,
                      rrset[0].to_text().lower().rstrip()) for rrset in section)

    edns = None if said.edns < 0 else (said.payload, said.edns, tuple((int(o.otype), o.to_wire().hex())
                                                                      for o in said.options))
    flags = dns.flags.to_text(said.flags).lower().split()
    return (said.id, sorted(flags), dns.opcode.to_text(said.opcode()), dns.rcode.to_text(said.rcode()),
            tuple((rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)) for rrset in said.question),
            records(said.answer), records(said.authority), records(said.additional), edns)


def ours(data: bytes) -> tuple:
    """Our reading, in the form of `as_dnspython`."""
    said = message(data)
    numbers = {"COOKIE": 10, "NSID": 3, "PAD": 12, "EXPIRE": 9, "CLIENT-SUBNET": 8, "TCP-KEEPALIVE": 11, "EDE": 15}

    def records(section: tuple) -> tuple:
        return tuple((record.name, record.type, record.ttl, record.data.lower()) for record in section)

    edns = said.edns and (said.edns.udp_size, said.edns.version, tuple(
        (numbers.get(name) or int(name.removeprefix("OPT=")), value) for name, value in said.edns.options))
    return (said.id, sorted(said.flags), said.opcode, said.rcode, tuple((q.name, q.type) for q in said.questions),
            records(said.answers), records(said.authorities), records(said.additionals), edns)


@pytest.mark.parametrize("file", PCAPS, ids=lambda file: file.stem)
def test_recorded_messages_read_as_by_dnspython(file: Path) -> None:
    payloads = [wire(seen) for seen in sightings(frames(file.read_bytes()))]
    assert payloads
    for data in payloads:
        assert ours(data) == as_dnspython(data)


LABELS = st.lists(st.binary(min_size=1, max_size=12), max_size=6)
NAMES = LABELS.map(lambda labels: dns.name.Name([*labels, b""]))
U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
TEXTS = {
    "A": st.ip_addresses(v=4).map(str), "AAAA": st.ip_addresses(v=6).map(str),
    "NS": NAMES, "CNAME": NAMES, "PTR": NAMES, "DNAME": NAMES, "MX": st.tuples(U16, NAMES),
    "SRV": st.tuples(U16, U16, U16, NAMES), "SOA": st.tuples(NAMES, NAMES, U32, *[st.integers(0, 2**31 - 1)] * 4),
    "TYPE65280": st.binary(max_size=9).map(lambda data: f"\\# {len(data)} {data.hex()}"),
}


@st.composite
def rdata(draw: st.DrawFn) -> dns.rdata.Rdata:
    kind = draw(st.sampled_from([*TEXTS, "TXT"]))
    if kind == "TXT":
        strings = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
        return dns.rdtypes.ANY.TXT.TXT(1, dns.rdatatype.TXT, strings)
    value = draw(TEXTS[kind])
    return dns.rdata.from_text("IN", kind, " ".join(map(str, value)) if isinstance(value, tuple) else str(value))


@st.composite
def made_messages(draw: st.DrawFn) -> bytes:
    """A message by dnspython's own encoder, which compresses names."""
    made = dns.message.Message(id=draw(U16))
    made.flags = draw(U16) & 0x87B0                          # no opcode but QUERY: an UPDATE has other sections
    made.set_rcode(draw(st.sampled_from([code for code in RCODES if code < 11])))
    made.question = [dns.rrset.RRset(draw(NAMES), 1, draw(st.sampled_from([1, 2, 5, 12, 16, 28, 255])))]
    for section in (made.answer, made.authority, made.additional):
        for data in draw(st.lists(rdata(), max_size=3)):
            section.append(dns.rrset.from_rdata(draw(NAMES | st.just(made.question[0].name)),
                                                draw(st.integers(0, 2**31 - 1)), data))
    if draw(st.booleans()):
        value = draw(st.binary(min_size=8, max_size=8))
        option = dns.edns.GenericOption(draw(st.sampled_from([3, 10, 12, 65001])), value)
        made.use_edns(0, payload=draw(U16), options=[option])
    return made.to_wire(max_size=65535)


@given(made_messages())
def test_any_message_reads_as_by_dnspython(data: bytes) -> None:
    assert ours(data) == as_dnspython(data)


@given(made_messages(), st.data())
def test_a_damaged_message_is_an_error_or_reads_as_by_dnspython(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(4, len(data) - 1))
    damaged = data[:at] + bytes([draw.draw(st.integers(0, 255))]) + data[at + 1:]
    mine, theirs = attempt(ours, ParseError, damaged), attempt(as_dnspython, dns.exception.DNSException, damaged)
    if mine is None:
        assert theirs is None
        return
    records = [record for section in mine[5:8] for record in section]
    if theirs is None:                                        # it takes apart types and options that we only show
        assert mine[8] or any(record[3].startswith("\\#") for record in records)
        return
    assert mine[0] == theirs[0]
    for record, other in zip(records, [record for section in theirs[5:8] for record in section], strict=True):
        raw, old = record[3].startswith("\\#"), record[2] >= 2**31       # dnspython makes such a TTL 0 (RFC 2181)
        assert raw or (record[0], record[1], record[3]) == (other[0], other[1], other[3])
        assert old or record[2] == other[2]


def attempt(read: Callable[[bytes], tuple], error: type[Exception], data: bytes) -> tuple | None:
    try:
        return read(data)
    except error:
        return None


@given(made_messages())
@example(wire(sightings(captured_frames("pod-dig-alias-01-pod"))[1]))
def test_every_cut_of_a_message_is_an_error(data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(ParseError):
            message(data[:size])


HEADER = struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0)
QUESTION = b"\x01a\0\0\1\0\1"


@pytest.mark.parametrize("data, expected", [
    (HEADER + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\5\1\2\3\4\5", "A data of 4 bytes"),
    (HEADER + QUESTION + b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\x08\5hello\0!", "CNAME data of 7 bytes"),
    (HEADER + QUESTION + b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\5hello\0", "CNAME data of 7 bytes"),
    (HEADER + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\3\1\2\3", "4 bytes of an address"),
    (HEADER + b"\xc0\x0c\0\1\0\1" + QUESTION, "a pointer to before byte 12"),
    (HEADER + b"\x81a\0\0\1\0\1", "a label or a pointer"),
    (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", "a name of at most 255 bytes"),
    (struct.pack("!6H", 1, 0, 0, 0, 0, 2) + b"\0\0\x29\4\xd0\0\0\0\0\0\0" * 2, "at most one OPT record"),
])
def test_a_malformed_message_is_an_error_that_says_where(data: bytes, expected: str) -> None:
    with pytest.raises(ParseError) as raised:
        message(data)
    assert expected in raised.value.expected


def test_words_are_those_of_dig() -> None:
    for code, name in TYPES.items():
        assert name == dns.rdatatype.to_text(code)
    for code, name in RCODES.items():
        # dig has no names for 11 to 15; dnspython knows 16 as BADVERS or BADSIG
        assert name in (dns.rcode.to_text(code), f"RESERVED{code}") or code == 16
    assert message(struct.pack("!6H", 1, 0x980C, 0, 0, 0, 0)).opcode == "RESERVED3"
    assert message(struct.pack("!6H", 1, 0x980C, 0, 0, 0, 0)).rcode == "RESERVED12"


# --- TCP and fragments

def tcp_frame(number: int, sequence: int, text: bytes = b"", flags: str = "PA", ports: tuple = (4000, 53)) -> Frame:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(
        sport=ports[0], dport=ports[1], seq=sequence % 2**32, flags=flags) / text
    return Frame(number, number * 1000, 1, bytes(packet))


QUERY = dns.message.make_query("www.example.com.", "A", id=77).to_wire()
QUERIES = [dns.message.make_query(f"n{index}.example.com.", "AAAA", id=index).to_wire() for index in range(3)]
STREAM = b"".join(struct.pack("!H", len(data)) + data for data in QUERIES)


@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=6), st.randoms(use_true_random=False),
       st.sampled_from([0, 1000, 2**32 - 20]), st.booleans())
def test_tcp_messages_in_any_segments_and_order(cuts: set[int], random: object, start: int, repeated: bool) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    pieces = list(itertools.pairwise(bounds))
    sent = pieces + pieces[:2] * repeated
    random.shuffle(sent)
    packets = [tcp_frame(1, start, flags="S")]
    packets += [tcp_frame(2 + index, start + 1 + low, STREAM[low:high]) for index, (low, high) in enumerate(sent)]
    seen = sightings(packets)
    assert [one.message.id for one in seen] == [0, 1, 2]
    for end, one in zip((len(STREAM) // 3, len(STREAM) * 2 // 3, len(STREAM)), seen, strict=True):
        needed = [index for index, piece in enumerate(sent) if piece[0] < end and piece not in sent[:index]]
        assert one.time_ns == (2 + max(needed)) * 1000      # the segment that completed it
    assert {one.protocol for one in seen} == {"TCP"}


def test_a_capture_may_begin_within_a_connection() -> None:
    packets = [tcp_frame(1, 500, flags="A"), tcp_frame(2, 500, STREAM), tcp_frame(3, 500, STREAM)]
    assert [one.link.number for one in sightings(packets)] == [2, 2, 2]     # the third repeats the second


def test_a_new_connection_from_the_same_port_begins_anew() -> None:
    packets = [tcp_frame(1, 10, flags="S"), tcp_frame(2, 11, STREAM[:9]), tcp_frame(3, 90000, flags="S"),
               tcp_frame(4, 90001, STREAM)]
    assert [one.link.number for one in sightings(packets)] == [4, 4, 4]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", [1, -1])
def test_fragments_are_put_together(version: int, order: int) -> None:
    from scapy.layers.inet import IP, UDP, fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
    from scapy.layers.l2 import Ether

    big = wire(sightings(captured_frames("pod-dig-truncated-01-pod"))[-1])
    udp = UDP(sport=53, dport=4000) / big
    whole = IP(src="10.0.0.1", dst="10.0.0.2", id=9, ttl=63) if version == 4 else IPv6(
        src="fd00::1", dst="fd00::2", hlim=63) / IPv6ExtHdrFragment(id=9)
    packets = fragment(whole / udp, fragsize=800) if version == 4 else fragment6(whole / udp, 800)
    captured = [Frame(n, n, 1, bytes(Ether(dst="02:00:00:00:00:02") / p)) for n, p in enumerate(packets[::order], 1)]
    assert len(captured) > 2
    one, = sightings(captured)
    assert one.time_ns == len(captured) and one.ttl == 63
    assert one.message == message(big)
    assert sightings(captured[:-1]) == ()


@pytest.mark.parametrize("link_type, link", [
    (1, b"\2\0\0\0\0\1\2\0\0\0\0\2\x86\xdd"), (1, b"\2\0\0\0\0\1\2\0\0\0\0\2\x81\0\0\7\x86\xdd"),
    (113, b"\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x86\xdd"), (276, b"\x86\xdd\0\0\0\0\0\7\0\1\4\6\2\0\0\0\0\1\0\0")])
def test_ipv6_on_every_link(link_type: int, link: bytes) -> None:
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop

    packet = IPv6(src="fd00::1", dst="fd00::2", hlim=9) / IPv6ExtHdrHopByHop() / UDP(sport=4000, dport=53) / QUERY
    one, = sightings([Frame(1, 5, link_type, link + bytes(packet) + bytes(4))])     # and Ethernet's padding
    assert (str(one.source), str(one.destination), one.ttl) == ("fd00::1:4000", "fd00::2:53", 9)
    assert one.message.id == 77 and one.interface_index == (7 if link_type == 276 else None)


@pytest.mark.parametrize("name", ["pod-dig-external-09-pod", "pod-dig-external-09-cp-any", "pod-dig-tcp-01-pod"])
def test_a_packet_that_the_capture_cut_is_left_out_with_its_number(name: str) -> None:
    for frame in captured_frames(name)[:4]:
        for size in range(len(frame.data)):
            found, (left,) = read_frames([dataclasses.replace(frame, data=frame.data[:size])])
            assert (found, left.frame, left.reason) == ((), frame.number, Reason.CUT)


# --- files

def as_pcap(order: str, magic: int, fraction: int) -> bytes:
    records = b"".join(struct.pack(order + "IIII", 1700000000, fraction, 5, 9) + b"hello" for _ in range(3))
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1) + records


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic, fraction, ns", [(0xA1B2C3D4, 123456, 123456000), (0xA1B23C4D, 123456789, 123456789)])
def test_pcap_of_both_byte_orders_and_resolutions(order: str, magic: int, fraction: int, ns: int) -> None:
    expected = [Frame(n, 1700000000 * 10**9 + ns, 1, b"hello", "", 9) for n in (1, 2, 3)]
    assert list(frames(as_pcap(order, magic, fraction))) == expected


def block(order: str, kind: int, body: bytes) -> bytes:
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str, resolution: int, ticks: int, offset: int, name: bytes) -> bytes:
    """A section as dumpcap writes it: length unknown, a block that we have no use for, two interfaces."""
    head = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = struct.pack(order + "HH4s", 2, len(name), name) + struct.pack(order + "HHB3x", 9, 1, resolution)
    options += struct.pack(order + "HHq", 14, 8, offset) + bytes(4)
    plain = block(order, 1, struct.pack(order + "HHI", 1, 0, 0))
    named = block(order, 1, struct.pack(order + "HHI", 276, 0, 0) + options)
    packet = struct.pack(order + "IIIII", 1, ticks >> 32, ticks & 0xFFFFFFFF, 3, 70) + b"abc\0"
    return head + plain + named + block(order, 5, bytes(12)) + block(order, 6, packet)


@pytest.mark.parametrize("resolution, ticks, ns", [
    (9, 1700000000123456789, 1700000000123456789), (6, 1700000000123456, 1700000000123456000),
    (0x80 | 20, 5 << 20 | 1 << 19, 5_500_000_000)])
def test_pcapng_of_several_sections_interfaces_and_resolutions(resolution: int, ticks: int, ns: int) -> None:
    data = section("<", resolution, ticks, 0, b"eth0") + section(">", resolution, ticks, 7, b"lo")
    assert frames(data) == (Frame(1, ns, 276, b"abc", "eth0", 70), Frame(2, ns + 7 * 10**9, 276, b"abc", "lo", 70))


def merged() -> tuple[Frame, ...]:
    """Three vantage points of a take, as the recorder merges them."""
    named = [dataclasses.replace(frame, interface=point, time_ns=frame.time_ns + 1)
             for point in ("pod", "node-eth0", "cp-any") for frame in captured_frames(f"pod-dig-external-09-{point}")]
    return tuple(dataclasses.replace(frame, number=n) for n, frame in
                 enumerate(sorted(named, key=lambda frame: frame.time_ns), 1))


def test_pcapng_written_reads_back_the_same_and_by_scapy_too() -> None:
    from scapy.utils import RawPcapNgReader

    packets = merged()
    assert {frame.link_type for frame in packets} == {1, 276}
    assert frames(write_pcapng(packets)) == packets
    theirs = list(RawPcapNgReader(io.BytesIO(write_pcapng(packets))))
    assert [data for data, _ in theirs] == [frame.data for frame in packets]
    assert [((m.tshigh << 32) + m.tslow, m.tsresol, m.linktype, m.wirelen, m.ifname.decode()) for _, m in theirs] == [
        (frame.time_ns, 10**9, frame.link_type, frame.length, frame.interface) for frame in packets]


def test_a_capture_without_packets_is_no_error() -> None:
    assert frames(write_pcapng([])) == () == frames(as_pcap("<", 0xA1B2C3D4, 0)[:24])


PCAP = (FIXTURES / "pcap" / "pod-dig-external-09-cp-any.pcap").read_bytes()
UNKNOWN_LENGTH = section("<", 9, 5, 0, b"eth0")


def ends_of_records() -> dict[int, int]:
    """Where a pcap may end, and how many frames it has then."""
    sizes = [16 + len(frame.data) for frame in frames(PCAP)]
    return {24 + sum(sizes[:count]): count for count in range(len(sizes))}


def ends_of_blocks() -> dict[int, int]:
    """Where a pcapng of unknown length may end: its packet is in the last block."""
    ends, at = {}, 0
    while (at := at + struct.unpack_from("<I", UNKNOWN_LENGTH, at + 4)[0]) < len(UNKNOWN_LENGTH):
        ends[at] = 0
    return ends


@pytest.mark.parametrize("data, ends", [
    (PCAP, ends_of_records()), (write_pcapng(merged()[:4]), {}), (UNKNOWN_LENGTH, ends_of_blocks())],
    ids=["pcap", "pcapng as we write it", "pcapng of unknown length"])
def test_every_cut_of_a_file_but_between_records_is_an_error(data: bytes, ends: dict[int, int]) -> None:
    whole = frames(data)
    for size in range(len(data)):
        if size in ends:
            assert frames(data[:size]) == whole[:ends[size]]
        else:
            with pytest.raises(ParseError, match=r"here\.pcap"):
                frames(data[:size], "here.pcap")


@pytest.mark.parametrize("data, expected", [
    (b"", "first four bytes"), (b"PK\3\4" + bytes(40), "first four bytes"),
    (struct.pack("<IHHiIII", 0xA1B2C3D4, 3, 0, 0, 0, 9, 1), "version 2.4"),
    (as_pcap("<", 0xA1B2C3D4, 1_000_000), "a fraction below one second"),
    (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block("<", 3, bytes(8)), "enhanced packet"),
    (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block("<", 6, bytes(20)), "on one of the 0"),
    (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "pcapng version 1"),
    (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x01020304, 1, 0, -1)), "byte-order magic"),
])
def test_a_damaged_file_is_an_error_that_says_what_was_expected(data: bytes, expected: str) -> None:
    with pytest.raises(ParseError) as raised:
        frames(data)
    assert expected in raised.value.expected


def test_a_message_is_read_once_however_often_it_is_seen() -> None:
    first, second = sightings(captured_frames("pod-dig-tcp-01-cp-any"))[:2]        # coming in and going out
    assert first.message is second.message


def test_a_frame_takes_at_most_60_microseconds() -> None:
    packets = [frame for file in PCAPS for frame in frames(file.read_bytes())]
    taken = []
    for _ in range(7):
        message.cache_clear()
        began = time.process_time()         # of this process: a busy machine is not a slow parser
        sightings(packets)
        taken.append(time.process_time() - began)
    assert min(taken) / len(packets) < 60e-6
