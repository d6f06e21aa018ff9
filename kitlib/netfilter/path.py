"""The nouns of a walk: the passages through tables and routing decisions, and the whole way of a packet."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitlib.errors import NotFound
from kitlib.netfilter.matches import SkippedRules
from kitlib.netfilter.packet import Packet, RuleStep
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.conntrack import Connection, Tuple
from kitlib.sighting import Socket


@dataclass(frozen=True)
class HookStep:
    """One stop on the way: a table at a hook, or (without a table) a routing decision, in words in `said`."""

    hook: str
    table: str
    before: Packet
    after: Packet
    said: str = ""
    trail: tuple[RuleStep | SkippedRules, ...] = ()
    kernel: Netfilter | None = field(default=None, repr=False)

    @property
    def steps(self) -> tuple[RuleStep, ...]:
        """Every rule that was looked at, in order, the skipped ones too."""
        return tuple(step for part in self.trail
                     for step in (part.steps(self.kernel) if isinstance(part, SkippedRules) else (part,)))

    @property
    def matched(self) -> tuple[RuleStep, ...]:
        """Only the rules (and policies) that had a say."""
        return tuple(part for part in self.trail if isinstance(part, RuleStep) and part.verdict)


@dataclass(frozen=True)
class PacketPath:
    """A packet's way through a kernel. `assumptions` are what could not be told and was taken for granted here.

    `end` says how it ends: "goes out of eth0", "is delivered here", "comes in again by lo" (made here for this
    machine: INPUT is still to come), "is dropped", "is rejected", "is lost: …", "is undecided".
    """

    packet: Packet
    hook_steps: tuple[HookStep, ...] = ()
    end: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()

    @property
    def after(self) -> Packet:
        """The packet as it leaves."""
        return self.hook_steps[-1].after if self.hook_steps else self.packet

    @property
    def steps(self) -> tuple[RuleStep, ...]:
        """Every rule that was looked at, over all hooks and tables."""
        return tuple(step for passage in self.hook_steps for step in passage.steps)

    @property
    def matched(self) -> tuple[RuleStep, ...]:
        """Every rule and policy that had a say, over all hooks and tables."""
        return tuple(step for passage in self.hook_steps for step in passage.matched)

    def at(self, hook: str, table: str = "") -> HookStep:
        """The stop at a hook in a table, or at a routing decision; NotFound if the packet did not come there."""
        stops = {(passage.hook, passage.table): passage for passage in self.hook_steps}
        if (hook, table) not in stops:
            raise NotFound(f"{self.packet} did not come to {table or 'the decision'} {hook}. It came to: "
                           f"{', '.join(' '.join(stop) for stop in stops)}.")
        return stops[hook, table]

    def jump(self, prefix: str) -> str:
        """The first chain of such a name ("KUBE-SVC-") that it jumped to; NotFound if there was none."""
        jumps = [step.verdict.removeprefix("JUMP:") for step in self.matched if step.verdict.startswith("JUMP:")]
        found = [chain for chain in jumps if chain.startswith(prefix)]
        if not found:
            raise NotFound(f"{self.packet} jumped to no chain {prefix}… but to: {', '.join(jumps) or 'none'}.")
        return found[0]

    @property
    def is_remembered(self) -> bool:
        """Does conntrack keep this connection? Only if its first packet got through, and was not to be tracked."""
        arrives = self.end.startswith(("goes out", "is delivered", "comes in again"))
        return arrives and "UNTRACKED" not in self.after.states

    @property
    def entry(self) -> Connection:
        """What conntrack will remember if this packet begins a connection; port 0 is one drawn at random."""
        first, last = self.packet, self.after
        original, reply = (Tuple(Socket(one.source, one.sport or 0), Socket(one.destination, one.dport or 0))
                           for one in (first, last))
        return Connection(first.protocol, original, reply.inverse, mark=last.mark)
