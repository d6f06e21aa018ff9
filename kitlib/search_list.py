"""Which names the resolver asks for, in order, given a name and a resolv.conf: glibc's way and musl's.

glibc: __res_context_search in resolv/res_query.c. Enough dots (ndots): the name as it is, then the search list;
fewer: the search list, then the name as it is. A domain "." on the list is the name as it is, which is then not
asked once more at the end. A completed name that is too long for DNS ends the search list. Where no list is written,
it is the domain of the host's own name, if that has one, which only the host knows.

musl: name_from_dns_search in src/network/lookup_name.c. Enough dots: the name as it is, and the search list never.
A completed name that is no DNS name (too long; or from a domain "." or ".x") is passed over by a later musl and ends
the lookup with an error in musl up to 1.2.3 (Alpine 3.16; kubernetes issue 112135). A later musl is assumed here, and
each name that only such a one asks for says so. A `search` line of more than 254 characters is not read at all
(src/network/resolvconf.c); here its length is taken with single spaces.
A nameserver that fails (SERVFAIL) or a name without addresses ends musl's search, while glibc tries the next name.
Both ask at most 3 nameservers, glibc one after the other, musl all at once.

Both take an address for what it is and look into /etc/hosts first; a name found there is not asked at all.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from kitlib.errors import KitError, ParseError
from kitlib.parsers.ip import can_read
from kitlib.parsers.resolv_conf import ResolvConf
from kitlib.sighting import Question

RESOLVERS = ("glibc", "musl")
ASSUMED = {"glibc": "glibc", "musl": "musl later than 1.2.3"}       # whose versions differ in this
LONGEST_NAME, LONGEST_LABEL = 253, 63       # RFC 1035, 2.3.4: 255 bytes on the wire, final dot not written
LONGEST_MUSL_LINE = 254


@dataclass(frozen=True)
class Candidate:
    """A name that the resolver asks for (with its final dot), and why."""

    name: str
    domain: str           # from the search list; "" for the name as it is
    why: str


def search_candidates(name: str, conf: ResolvConf, resolver: str = "glibc") -> tuple[Candidate, ...]:
    """Return the names that `resolver` ("glibc" or "musl") asks for, in order, until one has an address.

    An address ("10.96.0.10") is not asked about: no candidates. Raises ParseError if `name` is no DNS name.
    """
    if resolver not in RESOLVERS:
        raise KitError(f"There is no resolver {resolver!r} here: choose one of {', '.join(RESOLVERS)}.")
    if _is_address(name):
        return ()
    if not _fits(name):
        raise ParseError("a name to look up", "labels of 1 to 63 characters with dots between, 253 in all", name)
    if name.endswith("."):
        return (Candidate(name, "", "as it is: it ends with a dot"),)
    return _glibc(name, conf) if resolver == "glibc" else _musl(name, conf)


def queries(name: str, conf: ResolvConf, resolver: str = "glibc", exist: Iterable[str] = ()) -> tuple[Question, ...]:
    """Return the questions of getaddrinfo(3) in order: A and AAAA for each candidate, until one has an address.

    `exist` holds the full names that have an address; with none, every candidate is asked. Every other name is taken
    as NXDOMAIN. Retries are left out. Raises ParseError as `search_candidates` does.
    """
    known = {each.rstrip(".").lower() for each in exist}
    types = ("A",) if resolver == "glibc" and "no-aaaa" in conf.options else ("A", "AAAA")
    asked: list[Question] = []
    for candidate in search_candidates(name, conf, resolver):
        asked += [Question(candidate.name, type_) for type_ in types]
        if candidate.name.rstrip(".").lower() in known:
            break
    return tuple(asked)


def _glibc(name: str, conf: ResolvConf) -> tuple[Candidate, ...]:
    completed: list[Candidate] = []
    for domain in conf.search:
        candidate = _completed(name, domain.removeprefix("."), domain)
        if not _has_right_lengths(candidate.name):
            break
        completed.append(candidate)
    if name.count(".") >= conf.ndots:
        return (_as_it_is(name, conf.ndots, not conf.search), *completed)
    root_on_list = any(candidate.name == f"{name}." for candidate in completed)
    kept_inside = "." not in name and conf.search and {"no-tld-query", "no_tld_query"} & set(conf.options)
    last = () if root_on_list or kept_inside else (_as_it_is(name, conf.ndots, not conf.search),)
    return (*completed, *last)


def _musl(name: str, conf: ResolvConf) -> tuple[Candidate, ...]:
    is_too_long = len(f"search {' '.join(conf.search)}") > LONGEST_MUSL_LINE
    search, ndots = " ".join(conf.search).split(), _musl_ndots(conf)      # to musl a carriage return is a blank
    if name.count(".") >= ndots or is_too_long:
        return (_as_it_is(name, ndots),)
    passed_over, asked = "", []
    for candidate in (*(_completed(name, domain, domain) for domain in search), _as_it_is(name, ndots)):
        if _fits(candidate.name):
            asked.append(replace(candidate, why=candidate.why + passed_over))
        else:
            passed_over = f"; by musl after 1.2.3: an older one ends with an error at the domain {candidate.domain}"
    return tuple(asked)


def _musl_ndots(conf: ResolvConf) -> int:
    """Read ndots as musl does, which passes over what does not begin with a digit (src/network/resolvconf.c)."""
    return replace(conf, options=tuple(word for word in conf.options if re.match(r"ndots:\d", word))).ndots


def _completed(name: str, suffix: str, domain: str) -> Candidate:
    full = f"{name}.{suffix}" if suffix else name
    full = re.sub(r"[\0-\x20\x7f]", lambda control: f"\\{ord(control[0]):03d}", full)      # as dig writes it
    return Candidate(full if full.endswith(".") else f"{full}.", domain, f"search list: {domain}")


def _as_it_is(name: str, ndots: int, may_have_default: bool = False) -> Candidate:
    dots = name.count(".")
    relation = "at least" if dots >= ndots else "fewer than"
    default = "; with no search list, glibc also tries the domain of the host's own name, if that has one"
    return Candidate(f"{name}.", "",
                     f"as it is: dots in it: {dots}, {relation} ndots:{ndots}{default if may_have_default else ''}")


def _fits(name: str) -> bool:
    """Can this be sent as a DNS name?"""
    printable = name.isprintable() and not any(character.isspace() for character in name)
    return printable and _has_right_lengths(name)


def _has_right_lengths(name: str) -> bool:
    labels = name.removesuffix(".").encode(errors="replace").split(b".")
    return all(1 <= len(label) <= LONGEST_LABEL for label in labels) \
        and sum(map(len, labels)) + len(labels) - 1 <= LONGEST_NAME


def _is_address(name: str) -> bool:
    reads = ip_address, socket.inet_aton        # the second knows "10.1" as well
    return any(can_read(read, name) for read in reads) and not any(character.isspace() for character in name)
