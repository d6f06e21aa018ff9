"""The kernel's own account of which rules a packet met: the text of `xtables-monitor --trace`.

Only packets that a TRACE rule matched are told of, and only rules that matched: xtables-monitor(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kitlib.errors import ParseError

PACKET = re.compile(r"PACKET: (\d+) ([0-9a-f]+) (.*)")
TRACE = re.compile(r" TRACE: (\d+) ([0-9a-f]+) (\w+):(\S+?):(rule|return|policy):(\S+)\s*(.*)")
RULE = re.compile(r"0x[0-9a-f]+:(\S+)")
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
    """For each packet, by its trace id and in order of appearance, the rules and policies it met. Raises ParseError.

    The kernel makes the id from the packet's place in memory, and may use it again: then a second one is "ID'". Where a
    bridge hands a packet on to IP (br_netfilter), the kernel goes on under another id: that is one packet here.
    """
    headers: dict[str, dict[str, str]] = {}
    latest: dict[str, str] = {}
    found: dict[str, list[TraceLine]] = {}
    for line in text.splitlines():
        if packet := PACKET.match(line):
            headers[packet[2]] = dict(_fields(packet[3]))
        elif (met := TRACE.match(line)) and met[2] in headers:
            name = latest.get(met[2], met[2])
            if met[3] == "raw" and name in found and found[name][-1].table != "raw":     # back at the beginning
                name = latest[met[2]] = f"{name}'"
            elif met[3] != "raw" and name not in found:         # every trace begins in raw
                name = latest[met[2]] = _handed_on(found, headers[met[2]]) or name
            found.setdefault(name, []).append(_met(met, headers[met[2]], line))
        elif line.strip():
            raise ParseError("xtables-monitor --trace", "PACKET: or TRACE: of a packet told of before", line)
    return {packet: tuple(lines) for packet, lines in found.items()}


def _handed_on(found: dict[str, list[TraceLine]], packet: dict[str, str]) -> str:
    """Under which id this packet was told of before; "" if under none. Only its destination can have changed since."""
    same = (name for name in reversed(found) if all(found[name][-1].packet.get(header) == packet.get(header)
                                                    for header in ("SRC", "SPORT", "ID", "LEN")))
    return next(same, "")


def _met(line: re.Match, packet: dict[str, str], whole: str) -> TraceLine:
    _, _, table, chain, kind, said, text = line.groups()
    if kind == "policy":
        return TraceLine(table, chain, said, "", packet)
    verdict = RULE.match(said)
    if not verdict:
        raise ParseError("xtables-monitor --trace", "rule:HANDLE:VERDICT", whole)
    rule = text.removeprefix(f"-4 -t {table} ").strip()
    return TraceLine(table, chain, VERDICTS.get(verdict[1], verdict[1]), rule, packet)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        key, _, value = word.partition("=")
        yield key, value
