"""The kernel's own account of which rules a packet matched: the text of `xtables-monitor --trace`.

It has only the packets that a TRACE rule matched, and of the rules only those that matched: xtables-monitor(8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from kitlib.errors import ParseError

PACKET = re.compile(r"PACKET: (\d+) ([0-9a-f]+) (.*)")
TRACE = re.compile(r" TRACE: (\d+) ([0-9a-f]+) (\w+):(\S+?):(rule|return|policy):(\S+)\s*(.*)")
RULE = re.compile(r"0x[0-9a-f]+:(\S+)")
NUMBERS = {"SPORT": r"0|[1-9]\d{0,4}", "DPORT": r"0|[1-9]\d{0,4}", "MARK": "0|0x[0-9a-f]{1,8}"}
VERDICTS = {"0xfffffffb": "RETURN", "0xffffffff": "CONTINUE"}     # what xtables-monitor has no word for


@dataclass(frozen=True)
class TraceLine:
    """One line of a trace: a rule that matched, or the policy of a chain that was reached.

    `verdict` is the kernel's: CONTINUE, ACCEPT (also of DNAT and its kin), DROP, RETURN, "JUMP:CHAIN", "GOTO:CHAIN".
    `rule` is written as iptables-save would, "" for a policy. `packet` are the header fields as they were then.
    """

    table: str
    chain: str
    verdict: str
    rule: str
    packet: dict[str, str] = field(hash=False)


def traces(text: str) -> dict[str, tuple[TraceLine, ...]]:
    """Parse a trace: for each packet, by its id and in order of appearance, its rules and policies. Raises ParseError.

    The kernel makes the id from the packet's place in memory, and may use it again: then a second one is "ID'". Where a
    bridge hands a packet on to IP (br_netfilter), the kernel goes on under another id: that is one packet here.
    """
    headers: dict[str, dict[str, str]] = {}
    latest: dict[str, str] = {}
    found: dict[str, list[TraceLine]] = {}
    for line in text.splitlines():
        if packet := PACKET.match(line):
            headers[packet[2]] = checked_header(dict(word.partition("=")[::2] for word in packet[3].split()), line)
        elif (match := TRACE.match(line)) and match[2] in headers:
            name = latest.get(match[2], match[2])
            if match[3] == "raw" and name in found and found[name][-1].table != "raw":     # back at the beginning
                name = latest[match[2]] = f"{name}'"
            elif match[3] != "raw" and name not in found:         # every trace begins in raw
                name = latest[match[2]] = _handed_on(found, headers[match[2]]) or name
            found.setdefault(name, []).append(_trace_line(match, headers[match[2]]))
        elif line.strip():
            raise ParseError("xtables-monitor --trace", "PACKET: or TRACE: of a packet named before", line)
    return {packet: tuple(lines) for packet, lines in found.items()}


def _handed_on(found: dict[str, list[TraceLine]], packet: dict[str, str]) -> str:
    """Find the id that this packet had before; "" if none. Only its destination can have changed since."""
    same = (name for name in reversed(found) if all(found[name][-1].packet.get(header) == packet.get(header)
                                                    for header in ("SRC", "SPORT", "ID", "LEN")))
    return next(same, "")


def _trace_line(line: re.Match, packet: dict[str, str]) -> TraceLine:
    _, _, table, chain, kind, outcome, text = line.groups()
    if kind == "policy":
        return TraceLine(table, chain, outcome, "", packet)
    verdict = RULE.match(outcome)
    if not verdict:
        raise ParseError("xtables-monitor --trace", "rule:HANDLE:VERDICT", line.string)
    rule = re.sub(rf"^-[46] -t {table} ", "", text).strip()
    return TraceLine(table, chain, VERDICTS.get(verdict[1], verdict[1]), rule, packet)


def checked_header(header: dict[str, str], line: str) -> dict[str, str]:
    """Return the header fields of a packet. Raises ParseError if its addresses, ports or mark are none."""
    try:
        for name in ("SRC", "DST"):
            ip_address(header.get(name, ""))
        is_right = all(re.fullmatch(pattern, header.get(name, "0")) for name, pattern in NUMBERS.items())
    except ValueError:
        is_right = False
    if not is_right:
        raise ParseError("xtables-monitor --trace", "addresses SRC and DST, numbers SPORT, DPORT, MARK", line)
    return header
