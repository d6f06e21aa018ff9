"""A packet's path through a machine: its stops at tables and routing decisions, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kitlib.errors import NotFound, first_of
from kitlib.netfilter.matches import WITHOUT_CONNECTION, judge
from kitlib.netfilter.packet import Alternative, Packet, RuleOutcome, RuleStep
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.conntrack import Connection, Tuple
from kitlib.parsers.iptables_save import Chain, Rule
from kitlib.sighting import Socket

Explain = Callable[[Rule, Packet, Netfilter], Alternative]


class SkippedRules(NamedTuple):
    """Rules `first` to `last` of a chain, none of which this packet matched."""

    chain: Chain
    first: int
    last: int
    packet: Packet
    depth: int
    explain: Explain = judge

    @property
    def count(self) -> int:
        """How many rules these are."""
        return self.last - self.first + 1

    def steps(self, netfilter: Netfilter) -> Iterator[RuleStep]:
        """Yield each of these rules, with the reason."""
        for number in range(self.first, self.last + 1):
            rule = self.chain.rule(number)
            why = self.explain(rule, self.packet, netfilter).why
            yield RuleStep(rule.table, rule.chain, rule, RuleOutcome.SKIPPED, why, "", self.depth, self.packet,
                           self.packet)


@dataclass(frozen=True)
class HookStep:
    """One stop: a table at a hook, or (without a table) a routing decision. `why` is said of what no rule decided.

    `chain` is the base chain, where that has another name than the hook: nftables' own.
    """

    hook: str
    table: str
    before: Packet
    after: Packet
    why: str = ""
    trail: tuple[RuleStep | SkippedRules, ...] = ()
    netfilter: Netfilter | None = field(default=None, repr=False)
    chain: str = ""

    @property
    def where(self) -> str:
        """The stop in words: "nat at PREROUTING", "ip kube-proxy at nat-prerouting", "routing"."""
        return f"{self.table} at {self.chain or self.hook}" if self.table else self.hook

    @property
    def steps(self) -> tuple[RuleStep, ...]:
        """Every rule that was looked at, in order, the skipped ones too."""
        return tuple(step for part in self.trail
                     for step in (part.steps(self.netfilter) if isinstance(part, SkippedRules) else (part,)))

    @property
    def matched(self) -> tuple[RuleStep, ...]:
        """Only the rules (and policies) that had a say."""
        return tuple(part for part in self.trail if isinstance(part, RuleStep) and part.verdict)


@dataclass(frozen=True)
class PacketPath:
    """A packet's path through a machine.

    `end` says how it ends: "goes out of eth0", "is delivered here", "comes in again by lo" (made here for this
    machine: INPUT is still to come), "is dropped", "is rejected", "is lost: …", "is undecided"; `why` adds the reason.
    `assumptions` are what is not known here and was taken for granted. Each of the `forks` at a rule among them counts
    as one chance in two, so that the probabilities of all paths of a packet add up to 1.
    """

    packet: Packet
    hook_steps: tuple[HookStep, ...] = ()
    end: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()
    why: str = ""
    forks: int = 0

    @property
    def probability_if_so(self) -> float:
        """Return how probable the path is if what it takes for granted is so: of that nobody knows how often."""
        return min(1.0, self.probability * 2**self.forks)

    @property
    def after(self) -> Packet:
        """The packet as it leaves."""
        return self.hook_steps[-1].after if self.hook_steps else self.packet

    @property
    def steps(self) -> tuple[RuleStep, ...]:
        """Every rule that was looked at, over all hooks and tables."""
        return tuple(step for hook_step in self.hook_steps for step in hook_step.steps)

    @property
    def matched(self) -> tuple[RuleStep, ...]:
        """Every rule and policy that had a say, over all hooks and tables."""
        return tuple(step for hook_step in self.hook_steps for step in hook_step.matched)

    def at(self, hook: str, table: str = "") -> HookStep:
        """Return the stop at a hook or base chain in a table, or at a routing decision; NotFound if it is not on it."""
        stops = {(hook_step.chain or hook_step.hook, hook_step.table): hook_step for hook_step in self.hook_steps}
        if (hook, table) not in stops:
            raise NotFound(f"{self.packet} did not come to {table or 'the decision'} {hook}. It came to: "
                           f"{', '.join(' '.join(filter(None, stop)) for stop in stops)}.")
        return stops[hook, table]

    def jump(self, prefix: str) -> str:
        """Return the first chain of such a name ("KUBE-SVC-") that it jumped or went to; NotFound if there was none."""
        jumps = [step.verdict.partition(":")[2] for step in self.matched if ":" in step.verdict]
        return first_of((chain for chain in jumps if chain.startswith(prefix)),
                        f"{self.packet} jumped to no chain {prefix}… but to: {', '.join(jumps) or 'none'}.")

    @property
    def gets_through(self) -> bool:
        """True if nothing on this machine stops the packet, and that is known."""
        return self.end.startswith(("goes out", "is delivered", "comes in again"))

    @property
    def is_remembered(self) -> bool:
        """True if conntrack keeps this connection: its first packet got through, is valid, and is tracked."""
        return self.gets_through and self.after.states.isdisjoint(WITHOUT_CONNECTION)

    @property
    def connection(self) -> Connection:
        """What conntrack will remember if this packet begins a connection; port 0 is one drawn at random."""
        return connection_between(self.packet, self.after)


def connection_between(first: Packet, last: Packet) -> Connection:
    """Return the connection of a packet that comes in so, and is rewritten to this."""
    original, rewritten = (Tuple(Socket(one.source, one.sport or 0), Socket(one.destination, one.dport or 0))
                           for one in (first, last))
    return Connection(first.protocol, original, rewritten.inverse, mark=last.mark)
