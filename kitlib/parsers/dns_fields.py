"""Every field of a DNS message, with its meaning in a phrase. Sources: RFC 1035, 6891 (EDNS), 7873 (cookies)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kitlib.parsers import dns

TYPES = {"A": "an IPv4 address", "AAAA": "an IPv6 address", "CNAME": "another name that this one stands for",
         "PTR": "the name of an address", "NS": "a name server of the zone", "SOA": "the start of the zone's authority",
         "MX": "a mail server", "TXT": "free text", "SRV": "port and host of a service"}
CLASSES = {1: "IN", 3: "CH", 254: "NONE", 255: "ANY"}
EDNS_OPTIONS = {"COOKIE": "proves that the answer is to this query: 8 bytes by the client, then the server's",
                "NSID": "which server answered", "CLIENT-SUBNET": "where the client is", "PAD": "only fills",
                "EDE": "more about the error"}
RCODES = {"NOERROR": "no error", "NXDOMAIN": "the name does not exist", "SERVFAIL": "the server could not find out",
          "REFUSED": "the server does not want to answer", "FORMERR": "the server could not read the query",
          "NOTIMP": "the server does not know this operation"}


class Field(NamedTuple):
    """A header field: `offset` and `length` in bytes of the frame; fields of some bits share their bytes."""

    layer: str
    name: str
    value: str
    meaning: str
    offset: int
    length: int


def message_fields(data: bytes, base: int) -> Iterator[Field]:
    """The fields of a whole DNS message that begins at byte `base` of the frame."""
    parts = dns.wire_records(data)
    dns.message(data)                                     # all that could be wrong with it is wrong here already
    yield from _header_bits(data, base)
    opcode = data[2] >> 3 & 15
    for entry in parts:
        layer = f"DNS {entry.section}"
        name_size = entry.data - entry.start - (4 if entry.section == "question" else 10)
        at = base + entry.start
        said = "the name asked for" if entry.section == "question" else "the name it is about"
        if name_size == 2:                                # too short for a label: nothing but a pointer
            target = int.from_bytes(data[entry.start:entry.start + 2]) & 0x3FFF
            said += f"; written as a pointer to byte {target} of the message"
        yield Field(layer, "name", entry.name, said, at, name_size)
        at += name_size
        kind = dns.type_name(entry.type)
        if kind == "OPT":
            yield from _opt_fields(data, entry, base, at)
            continue
        yield Field(layer, "type", kind, TYPES.get(kind, "the kind of data"), at, 2)
        yield Field(layer, "class", CLASSES.get(entry.rclass, f"CLASS{entry.rclass}"),
                    "IN: the internet" if entry.rclass == 1 else "another class than the internet's", at + 2, 2)
        if entry.section != "question":
            yield Field(layer, "TTL", str(entry.ttl), "seconds that this may be kept in a cache", at + 4, 4)
            yield Field(layer, "data length", str(entry.end - entry.data), "bytes of the data", at + 8, 2)
            yield Field(layer, "data", dns.record_data(data, entry), TYPES.get(kind, "the data") if opcode == 0
                        else "the data", base + entry.data, entry.end - entry.data)


def _header_bits(data: bytes, base: int) -> Iterator[Field]:
    bits = int.from_bytes(data[2:4])
    response = bool(bits & 0x8000)
    rcode, opcode = dns.rcode_name(bits & 15), dns.opcode_name(bits >> 11 & 15)
    yield Field("DNS", "id", str(int.from_bytes(data[:2])), "the answer carries the same number as its query", base, 2)
    said = {  # flag: 0, 1
        "qr": ("a query", "a response"), "aa": ("not from the zone's own server", "from a server of the zone itself"),
        "tc": ("nothing left out", "truncated: did not fit, ask again over TCP"),
        "rd": ("recursion not desired", "recursion desired: find out for me"),
        "ra": ("recursion not available" if response else "means something in responses only",
               "recursion available: this server finds out for you"),
        "z": ("reserved: must be 0", "reserved: should be 0"),
        "ad": ("not verified with DNSSEC",
               "verified with DNSSEC" if response else "tell me whether DNSSEC verified it"),
        "cd": ("DNSSEC checking as usual", "checking disabled: answer even if DNSSEC fails")}
    for flag, meanings in said.items():
        mask = dns.FLAGS.get(flag, 0x0040)
        value = int(bool(bits & mask))
        yield Field("DNS", flag, str(value), meanings[value], base + (2 if mask > 255 else 3), 1)
        if flag == "qr":
            yield Field("DNS", "opcode", opcode, "what is to be done: an ordinary question" if opcode == "QUERY" else
                        "what is to be done", base + 2, 1)
    yield Field("DNS", "rcode", rcode, RCODES.get(rcode, "how it went") if response else "counts in responses only",
                base + 3, 1)
    for place, name in enumerate(("questions", "answers", "authority records", "additional records")):
        at = 4 + 2 * place
        yield Field("DNS", name, str(int.from_bytes(data[at:at + 2])), f"how many {name} follow", base + at, 2)


def _opt_fields(data: bytes, opt: dns.WireRecord, base: int, at: int) -> Iterator[Field]:
    layer = "EDNS"
    yield Field(layer, "type", "OPT", "not a record: room for more header fields (EDNS)", at, 2)
    yield Field(layer, "UDP size", str(opt.rclass), "the largest UDP answer the sender can take, in bytes", at + 2, 2)
    yield Field(layer, "extended rcode", str(opt.ttl >> 24), "the upper 8 bits of the response code", at + 4, 1)
    yield Field(layer, "version", str(opt.ttl >> 16 & 255), "the version of EDNS; there is only 0", at + 5, 1)
    yield Field(layer, "DO", str(opt.ttl >> 15 & 1), "1: send DNSSEC signatures too", at + 6, 1)
    yield Field(layer, "Z", str(opt.ttl & 0x7FFF), "reserved: must be 0", at + 6, 2)
    yield Field(layer, "data length", str(opt.end - opt.data), "bytes of the options", at + 8, 2)
    for code, start, end in dns.options(data, opt):
        name = dns.option_name(code)
        yield Field(layer, f"option: {name}", data[start:end].hex() or "empty",
                    EDNS_OPTIONS.get(name, "an EDNS option"), base + start - 4, end - start + 4)
