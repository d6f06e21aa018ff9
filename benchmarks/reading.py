"""Reading captures, beside tshark and scapy: whole processes that find the same fields of the same DNS messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from generated_captures import write_captures
from measure import Row, in_turn, missing, not_measured, run, run_python

QUERIES = 5000
KIT = """
import sys
from pathlib import Path
from kitlib.parsers.sightings import sightings
from kitlib.parsers.pcap import frames
print(sum(len(sightings(frames(Path(path).read_bytes()))) for path in sys.argv[1:]))
"""
SCAPY = """
import sys
from scapy.layers import inet, l2
from scapy.layers.dns import DNS
from scapy.layers.inet import IP
from scapy.utils import rdpcap
count = 0
for path in sys.argv[1:]:
    for packet in rdpcap(path):
        if DNS in packet:
            ip, dns = packet[IP], packet[DNS]
            (packet.time, ip.src, ip.dst, ip.ttl, ip.id, packet.sport, packet.dport, dns.id, dns.qr, dns.rcode,
             [(question.qname, question.qtype) for question in dns.qd],
             [(record.rrname, record.ttl, record.rdata) for record in dns.an])
            count += 1
print(count)
"""
TSHARK_FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "ip.ttl", "ip.id", "udp.srcport", "udp.dstport", "dns.id",
                 "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.resp.name",
                 "dns.resp.ttl", "dns.a", "dns.aaaa")
TSHARK = ("tshark", "-n", "-Y", "dns", "-T", "fields", *(word for field in TSHARK_FIELDS for word in ("-e", field)))


def rows(rounds: int, folder: Path) -> Iterator[Row]:
    """Yield the two rows about reading."""
    captures = [str(path) for path in write_captures(folder, QUERIES, "zipf")]
    yield from _one_capture(rounds, captures[2])
    yield _five_captures(rounds, captures)


def _one_capture(rounds: int, capture: str) -> Iterator[Row]:
    works = {"kitlib": lambda: run_python(KIT, capture), "scapy": lambda: run_python(SCAPY, capture)}
    if not missing("tshark"):
        works["tshark"] = lambda: run((*TSHARK, "-r", capture))
    costs = in_turn(rounds, works)
    ours, scapy = costs["kitlib"].seconds, costs["scapy"].seconds
    frames = int(costs["kitlib"].result)
    assert frames == int(costs["scapy"].result)
    what = f"reading a capture of {frames:,} DNS frames, whole process"
    yield _compared(what, ours, "scapy", scapy, 12)
    if "tshark" in costs:
        assert frames == len(costs["tshark"].result.splitlines())
        yield _compared(what, ours, "tshark", costs["tshark"].seconds, 1)
    else:
        yield not_measured(what, "as fast as tshark", missing("tshark"))


def _five_captures(rounds: int, captures: list[str]) -> Row:
    costs = in_turn(rounds, {"kitlib, five captures": lambda: run_python(KIT, *captures),
                             "scapy, five captures": lambda: run_python(SCAPY, *captures)})
    ours, scapy = (cost.seconds for cost in costs.values())
    return _compared("the same where messages repeat at five points", ours, "scapy", scapy, 20)


def _compared(what: str, ours: float, tool: str, theirs: float, times: int) -> Row:
    bar = f"{times} times as fast as {tool}" if times > 1 else f"as fast as {tool}"
    return Row(what, bar, f"{ours:.2f} s, {tool} {theirs:.2f} s: {theirs / ours:.1f} times as fast",
               theirs >= times * ours)
