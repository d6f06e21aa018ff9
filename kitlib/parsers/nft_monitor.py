"""The kernel's own account of the rules of nftables that a packet matched: the text of `nft monitor trace`.

It has only packets that a rule with `meta nftrace set 1` matched, and of the rules only those that matched: nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.xtables_monitor import TraceLine, checked_header

HEAD = re.compile(r"trace id (\S+) (\w+) (\S+) (\S+) (packet: |unknown rule |rule |policy |conntrack: |verdict )(.*)")
VERDICT = re.compile(r"(.*?) *\(verdict (\w+)(?: (.*))?\)")
POLICY = re.compile(r"(\w+)(?: meta mark (0x[0-9a-f]+))?")
HEADERS = {"SRC": r"\bip6? saddr (\S+)", "DST": r"\bip6? daddr (\S+)", "SPORT": r"\b(?:udp|tcp|sctp) sport (\d+)",
           "DPORT": r"\b(?:udp|tcp|sctp) dport (\d+)", "IN": r'\biif "([^"]*)"', "OUT": r'\boif "([^"]*)"'}
FLAGS = re.compile(r"\btcp flags (?:== )?(.*?)(?: tcp |$)")
TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")     # from the lowest bit


@parse_context("nft monitor trace")
def traces(text: str) -> dict[str, tuple[TraceLine, ...]]:
    """Parse the output of `nft monitor trace`, with -a or without: for each packet, in order of appearance, its lines.

    A line's table is "ip kube-proxy", its rule as the kernel's listing has it, with "# handle N" if that was given.
    An id that the kernel uses for a second packet is "ID'": a packet comes to no base chain twice. Raises ParseError.
    """
    latest: dict[str, str] = {}
    visited: set[tuple[str, str, str]] = set()
    headers: dict[str, dict[str, str]] = {}
    found: dict[str, list[TraceLine]] = {}
    for line in text.splitlines():
        match = HEAD.match(line)
        if not match:
            if line.strip():
                raise ParseError("a trace", "trace id ID FAMILY TABLE CHAIN, then packet:, rule or policy", line)
            continue
        ident, family, table, chain, kind, rest = match.groups()
        name = latest.setdefault(ident, ident)
        if kind == "packet: ":
            if (name, f"{family} {table}", chain) in visited:
                name = latest[ident] = f"{name}'"
            visited.add((name, f"{family} {table}", chain))
            headers[name] = checked_header(_headers(rest), line)
        elif kind in ("rule ", "unknown rule ", "policy "):
            if name not in headers:
                raise ParseError("a trace", "the line packet: of a packet first", line)
            trace_line = _trace_line(f"{family} {table}", chain, kind, rest, headers[name])
            found.setdefault(name, []).append(trace_line)
    return {packet: tuple(lines) for packet, lines in found.items()}


def _headers(text: str) -> dict[str, str]:
    """The header fields of a packet line, by the names that xtables-monitor has for them."""
    found = {name: match[1] for name, pattern in HEADERS.items() if (match := re.search(pattern, text))}
    flags = FLAGS.search(text)
    return found | dict.fromkeys(_flags(flags[1].strip()) if flags else (), "")


def _flags(words: str) -> list[str]:
    """TCP's flags; nft names single ones, and writes others as a number."""
    if re.fullmatch("0x[0-9a-f]{1,4}", words):
        return [name for bit, name in enumerate(TCP_FLAGS) if int(words, 16) & 1 << bit]
    return re.findall(r"[A-Z]+", words.upper())


def _trace_line(table: str, chain: str, kind: str, text: str, headers: dict[str, str]) -> TraceLine:
    if kind == "policy ":
        if not (policy := POLICY.match(text)):
            raise ParseError("a trace", "policy and a verdict", text)
        return TraceLine(table, chain, policy[1].upper(), "", {**headers, "MARK": policy[2] or "0"})
    match = VERDICT.match(text)
    if not match:
        raise ParseError("a trace", "a rule, then (verdict …)", text)
    verdict = f"{match[2].upper()}:{match[3]}" if match[3] else match[2].upper()
    return TraceLine(table, chain, verdict, match[1] if kind == "rule " else f"# {match[1]}", headers)


def listed_rules(text: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield each rule of `nft -a list ruleset`: its table, chain and handle, and its text with nft's own words."""
    table = chain = ""
    for line in text.splitlines():
        if match := re.match(r"table (\w+ \S+) \{", line):
            table = match[1]
        elif match := re.match(r"\t(?:chain (\S+)|\w+ \S+) \{", line):
            chain = match[1] or ""
        elif chain and (match := re.match(r"\t\t(.*?) # handle (\d+)$", line)):
            yield table, chain, int(match[2]), match[1]
