"""Every field of a DNS message, with its meaning in a phrase. Sources: RFC 1035, 6891 (EDNS), 7873 (cookies)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kitlib.parsers import dns

TYPES = {"A": "an IPv4 address", "AAAA": "an IPv6 address", "CNAME": "another name that this one stands for",
         "PTR": "the name of an address", "NS": "a name server of the zone", "SOA": "the start of the zone's authority",
         "MX": "a mail server", "TXT": "free text", "SRV": "port and host of a service"}
EDNS_OPTIONS = {"COOKIE": "proves that the answer is to this query: 8 bytes by the client, then the server's",
                "NSID": "which server answered", "CLIENT-SUBNET": "where the client is", "PAD": "only fills",
                "EDE": "more about the error"}
RCODES = {"NOERROR": "no error", "NXDOMAIN": "the name does not exist", "SERVFAIL": "the server could not find out",
          "REFUSED": "the server does not want to answer", "FORMERR": "the server could not read the query",
          "NOTIMP": "the server does not know this operation"}


class Field(NamedTuple):
    """A header field, as the packet view shows it."""

    layer: str
    name: str
    value: str
    meaning: str


def message_fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a whole DNS message. ParseError where it is malformed, before the first field."""
    extraneous = dns.message(data).extraneous
    yield from _header(data)
    for part in dns.wire_records(data):
        said = "the name asked for" if part.section == "question" else "the name it is about"
        if data[part.start] >= 192:
            target = int.from_bytes(data[part.start:part.start + 2]) & 0x3FFF
            said += f"; written as a pointer to byte {target} of the message"
        yield Field(f"DNS {part.section}", "name", part.name, said)
        yield from _opt(data, part) if part.type == dns.OPT else _record(data, part)
    if extraneous:
        yield Field("DNS", "extraneous", f"{extraneous} bytes", "behind the last record: no part of the message")


def _header(data: bytes) -> Iterator[Field]:
    bits = int.from_bytes(data[2:4])
    response = bool(bits & 0x8000)
    rcode, opcode = dns.RCODES[bits & 15], dns.OPCODES[bits >> 11 & 15]
    meanings = {  # flag: 0, 1
        "qr": ("a query", "a response"), "aa": ("not from the zone's own server", "from a server of the zone itself"),
        "tc": ("nothing left out", "truncated: did not fit, ask again over TCP"),
        "rd": ("recursion not desired", "recursion desired: find out for me"),
        "ra": ("recursion not available" if response else "means something in responses only",
               "recursion available: this server finds out for you"),
        "z": ("reserved: must be 0", "reserved: should be 0"),
        "ad": ("not verified with DNSSEC",
               "verified with DNSSEC" if response else "tell me whether DNSSEC verified it"),
        "cd": ("DNSSEC checking as usual", "checking disabled: answer even if DNSSEC fails")}
    yield Field("DNS", "id", str(int.from_bytes(data[:2])), "the answer carries the same number as its query")
    for flag, meaning in meanings.items():
        value = int(bool(bits & dns.FLAGS.get(flag, 0x0040)))
        yield Field("DNS", flag, str(value), meaning[value])
        if flag == "qr":
            yield Field("DNS", "opcode", opcode, "what is to be done: an ordinary question" if opcode == "QUERY" else
                        "what is to be done")
    yield Field("DNS", "rcode", rcode, RCODES.get(rcode, "how it went") if response else "counts in responses only")
    for at, name in enumerate(("questions", "answers", "authority records", "additional records"), start=2):
        yield Field("DNS", name, str(int.from_bytes(data[2 * at:2 * at + 2])), f"how many {name} follow")


def _record(data: bytes, part: dns.WireRecord) -> Iterator[Field]:
    layer, kind = f"DNS {part.section}", dns.TYPES[part.type]
    yield Field(layer, "type", kind, TYPES.get(kind, "the kind of data"))
    yield Field(layer, "class", dns.CLASSES[part.rclass],
                "IN: the internet" if part.rclass == dns.IN else "another class than the internet's")
    if part.section != "question":
        yield Field(layer, "TTL", str(part.ttl), "seconds that this may be kept in a cache")
        yield Field(layer, "data length", str(part.end - part.data), "bytes of the data")
        yield Field(layer, "data", dns.record_data(data, part), TYPES.get(kind, "the data"))


def _opt(data: bytes, opt: dns.WireRecord) -> Iterator[Field]:
    yield Field("EDNS", "type", "OPT", "not a record: room for more header fields (EDNS)")
    yield Field("EDNS", "UDP size", str(opt.rclass), "the largest UDP answer the sender can take, in bytes")
    yield Field("EDNS", "extended rcode", str(opt.ttl >> 24), "the upper 8 bits of the response code")
    yield Field("EDNS", "version", str(opt.ttl >> 16 & 255), "the version of EDNS; there is only 0")
    yield Field("EDNS", "DO", str(opt.ttl >> 15 & 1), "1: send DNSSEC signatures too")
    yield Field("EDNS", "Z", str(opt.ttl & 0x7FFF), "reserved: must be 0")
    yield Field("EDNS", "data length", str(opt.end - opt.data), "bytes of the options")
    for code, value in dns.options(data, opt):
        name = dns.OPTIONS[code]
        yield Field("EDNS", f"option: {name}", value.hex() or "empty", EDNS_OPTIONS.get(name, "an EDNS option"))
