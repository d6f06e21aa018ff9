"""Captures of DNS traffic, made up: what five vantage points of a cluster would see of many lookups.

Each lookup asks for A and AAAA from one socket; one in five makes CoreDNS ask its upstream. The same in every run.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from kitlib.parsers.pcap import write_pcapng
from kitlib.sighting import Frame, Message, Question, Sighting, Socket, VantagePoint

POINTS = (VantagePoint("pod:default/client", "eth0", "worker", "pod", "client eth0"),
          VantagePoint("node:worker", "veth1", "worker", "node", "worker veth1"),
          VantagePoint("node:worker", "eth0", "worker", "node", "worker eth0"),
          VantagePoint("node:cp", "eth0", "cp", "node", "cp eth0"),
          VantagePoint("pod:kube-system/coredns", "eth0", "cp", "coredns", "coredns eth0"))
SERVICE, COREDNS, UPSTREAM = Socket("10.96.0.10", 53), Socket("10.244.0.3", 53), Socket("172.20.0.1", 53)
CLIENT, NODE = "10.244.1.2", "172.20.0.3"
NAMES = 1000                                # that Zipf chooses from
START_NS, BETWEEN_NS, MS, US = 1_700_000_000 * 10**9, 2_000_000, 1_000_000, 1000
ETHERNET = bytes.fromhex("020000000002020000000001 0800")
A, AAAA = 1, 28
DATA = {A: bytes((192, 0, 2, 1)), AAAA: bytes(15) + b"\x01"}


def write_captures(folder: Path, queries: int, names: str) -> list[Path]:
    """Write five captures of so many queries, with their answers and what they make CoreDNS ask.

    The names asked for: "distinct", "zipf" (of a thousand) or "one".
    """
    chance = random.Random(7)
    seen: list[list[tuple[int, bytes]]] = [[] for _ in POINTS]
    for number, name in enumerate(_names(chance, queries // 2, names)):
        port = chance.randrange(32768, 61000)
        for kind in (A, AAAA):
            start = START_NS + 2 * number * BETWEEN_NS + chance.randrange(2 * BETWEEN_NS)
            for point, time_ns, packet in _lookup(chance, start, port, name, kind):
                seen[point].append((time_ns, packet))
    return [_write(folder / f"{names}-{queries}-{number}.pcapng", packets) for number, packets in enumerate(seen)]


def _write(path: Path, packets: list[tuple[int, bytes]]) -> Path:
    frames = (Frame(number, time_ns, 1, data) for number, (time_ns, data) in enumerate(sorted(packets), 1))
    path.write_bytes(write_pcapng(frames))
    return path


def _names(chance: random.Random, count: int, names: str) -> list[bytes]:
    numbers = {"distinct": range(count), "one": [0] * count,
               "zipf": chance.choices(range(NAMES), [1 / (rank + 1) for rank in range(NAMES)], k=count)}[names]
    return [b"".join(bytes([len(label)]) + label for label in (b"host%d" % number, b"example", b"com", b""))
            for number in numbers]


def _lookup(chance: random.Random, start: int, port: int, name: bytes, kind: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield point, time and frame of one query and its answer, with the upstream's if CoreDNS has to ask it."""
    id_, there, back = (chance.randrange(1, 65536) for _ in range(3))
    is_miss, client = chance.random() < 0.2, Socket(CLIENT, port)
    query, answer = _message(id_, name, kind, is_answer=False), _message(id_, name, kind, is_answer=True)
    end = start + (2 * MS if is_miss else 200 * US)
    for point, (server, ttl, ttl_back) in enumerate(((SERVICE, 64, 62), (SERVICE, 64, 62), (COREDNS, 63, 62),
                                                     (COREDNS, 63, 63), (COREDNS, 62, 64))):
        yield point, start + point * 10 * US, _datagram(client, server, ttl, there, query)
        yield point, end - point * 10 * US, _datagram(server, client, ttl_back, back, answer)
    if is_miss:
        yield from _upstream_lookup(chance, start + 100 * US, name, kind)


def _upstream_lookup(chance: random.Random, start: int, name: bytes, kind: int) -> Iterator[tuple[int, int, bytes]]:
    id_, port, there, back = (chance.randrange(1024, 65536) for _ in range(4))
    query, answer = _message(id_, name, kind, is_answer=False), _message(id_, name, kind, is_answer=True)
    for point, after, client, ttl in ((4, 0, COREDNS.address, 64), (3, 10 * US, NODE, 63)):
        yield point, start + after, _datagram(Socket(client, port), UPSTREAM, ttl, there, query)
        yield point, start + MS - after, _datagram(UPSTREAM, Socket(client, port), ttl - 1, back, answer)


def _message(id_: int, name: bytes, kind: int, is_answer: bool) -> bytes:
    question = name + struct.pack("!HH", kind, 1)
    if not is_answer:
        return struct.pack("!6H", id_, 0x0100, 1, 0, 0, 0) + question
    record = struct.pack("!HHHIH", 0xC00C, kind, 1, 30, len(DATA[kind])) + DATA[kind]
    return struct.pack("!6H", id_, 0x8180, 1, 1, 0, 0) + question + record


def _datagram(source: Socket, destination: Socket, ttl: int, ip_id: int, data: bytes) -> bytes:
    """Return an Ethernet frame of one UDP datagram over IPv4; checksums are left 0."""
    addresses = b"".join(bytes(map(int, end.address.split("."))) for end in (source, destination))
    return (ETHERNET + struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(data), ip_id, 0x4000, ttl, 17, 0) + addresses
            + struct.pack("!HHHH", source.port, destination.port, 8 + len(data), 0) + data)


def repeated_lookups(count: int, kind: str) -> Iterator[Sighting]:
    """Yield the sightings of so many lookups of one client; every second one makes CoreDNS ask its upstream.

    The kind is words: "distinct names" or one; "one socket" for one port and DNS id again and again; "without IP ids";
    "unanswered".
    """
    pod, _, node, _, core = POINTS
    for number in range(count):
        name = f"n{number}.example." if "distinct" in kind else "www.example."
        id_, port = (7, 40000) if "socket" in kind else (number, 1024 + number)
        ip_id = 0 if "without IP ids" in kind else number + 1
        questions, client, at = (Question(name, "A"),), Socket(CLIENT, port), number * 10 * MS
        own, behind = Message(id_, (), "QUERY", "NOERROR", questions), Socket(COREDNS.address, 20_000 + number)
        seen = [(pod, 0, client, SERVICE, 64, own), (node, 9, client, COREDNS, 63, own),
                (core, 20, client, COREDNS, 62, own)]
        answered = Message(id_, ("qr",), "QUERY", "NOERROR", questions)
        back = [(core, 90, COREDNS, client, 64, answered), (pod, 99, SERVICE, client, 62, answered)]
        if number % 2 and "socket" not in kind:
            asked = Message(id_ + 1, (), "QUERY", "NOERROR", questions)
            seen.append((core, 40, behind, UPSTREAM, 64, asked))
            back.insert(0, (core, 80, UPSTREAM, behind, 62, Message(id_ + 1, ("qr",), "QUERY", "NOERROR", questions)))
        for point, after_us, source, destination, ttl, message in seen + ([] if "unanswered" in kind else back):
            yield Sighting(point, at + after_us * US, "UDP", source, destination, ttl, ip_id, message)
