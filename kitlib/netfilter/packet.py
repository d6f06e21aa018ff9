"""What rules and routes look at in a packet, and what a rule decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kitlib.parsers.iptables_save import Rule
from kitlib.sighting import Sighting


class Packet(NamedTuple):
    """A packet as netfilter sees it at one moment. A port is None when the kernel draws it at random.

    `states` is what conntrack thinks of it: NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED, and DNAT, SNAT if its
    connection is rewritten. `physdev_in` and `physdev_out` are the ports of a bridge that it came and leaves by.
    `holds`: which of the byte strings that rules look for are in it, as `-m string` writes them; `tcp_flags`: those
    that are set, of TCP's. None if not known.
    """

    source: str
    destination: str
    protocol: str = "udp"
    sport: int | None = 0
    dport: int | None = 53
    in_interface: str = ""
    out_interface: str = ""
    mark: int = 0
    states: frozenset[str] = frozenset({"NEW"})
    physdev_in: str = ""
    physdev_out: str = ""
    holds: frozenset[str] | None = None
    tcp_flags: frozenset[str] | None = None

    def __str__(self) -> str:
        ends = ((self.source, self.sport), (self.destination, self.dport))
        return " → ".join(f"{f'[{address}]' if ':' in address else address}:{'?' if port is None else port}"
                          for address, port in ends)


def packet_from(seen: Sighting) -> Packet:
    """Return the packet as a machine gets it at the interface where it was seen; its connection is new."""
    interface = seen.point.interface if seen.point else ""
    return Packet(seen.source.address, seen.destination.address, seen.protocol.lower(), seen.source.port,
                  seen.destination.port, interface)


class RuleOutcome(Enum):
    """What came of looking at a rule."""

    MATCHED = "matched"
    SKIPPED = "skipped"
    UNDECIDED = "undecided"


class Unknown(Exception):
    """What a rule makes of this packet is not known here."""


class Alternative(NamedTuple):
    """One way in which a rule may come out: with this verdict ("" if it was skipped), the packet as it leaves it.

    The verdict UNDECIDED: what becomes of the packet is not known. `assumption` is what this way takes for granted.
    """

    outcome: RuleOutcome
    why: str
    verdict: str
    packet: Packet
    probability: float = 1.0
    assumption: str = ""


@dataclass(frozen=True)
class RuleStep:
    """One rule looked at (or, without a rule, the policy of a built-in chain): whether it matched, why, what it did.

    `verdict` is as the kernel's trace says it: CONTINUE, ACCEPT (also of DNAT and its kin), DROP, RETURN, "JUMP:CHAIN",
    "GOTO:CHAIN"; "" for a rule that was skipped. `depth` counts the jumps that led here.
    """

    table: str
    chain: str
    rule: Rule | None
    outcome: RuleOutcome
    why: str
    verdict: str
    depth: int
    packet: Packet            # as the rule saw it
    after: Packet             # as the rule left it

    @property
    def is_rewrite(self) -> bool:
        """True if this rule changed addresses or ports."""
        return (self.packet[:2], self.packet[3:5]) != (self.after[:2], self.after[3:5])
