"""The nouns of a walk: the passages through tables and routing decisions, and the whole way of a packet."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitlib.errors import NotFound
from kitlib.netfilter.matches import Stretch
from kitlib.netfilter.packet import Packet, Step
from kitlib.netfilter.state import Kernel
from kitlib.parsers.conntrack import Entry, Tuple
from kitlib.sighting import Socket


@dataclass(frozen=True)
class Passage:
    """One stop on the way: a table at a hook, or (without a table) a routing decision, in words in `said`."""

    hook: str
    table: str
    before: Packet
    after: Packet
    said: str = ""
    trail: tuple[Step | Stretch, ...] = ()
    kernel: Kernel | None = field(default=None, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rule that was looked at, in order, the skipped ones too."""
        return tuple(step for part in self.trail
                     for step in (part.steps(self.kernel) if isinstance(part, Stretch) else (part,)))

    @property
    def matched(self) -> tuple[Step, ...]:
        """Only the rules (and policies) that had a say."""
        return tuple(part for part in self.trail if isinstance(part, Step) and part.verdict)


@dataclass(frozen=True)
class Walk:
    """A packet's way through a kernel. `assumptions` are what could not be told and was taken for granted here.

    `end` says how it ends: "goes out of eth0", "is delivered here", "comes in again by lo" (made here for this
    machine: INPUT is still to come), "is dropped", "is rejected", "is lost: …", "is undecided".
    """

    packet: Packet
    passages: tuple[Passage, ...] = ()
    end: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()

    @property
    def after(self) -> Packet:
        """The packet as it leaves."""
        return self.passages[-1].after if self.passages else self.packet

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rule that was looked at, over all hooks and tables."""
        return tuple(step for passage in self.passages for step in passage.steps)

    @property
    def matched(self) -> tuple[Step, ...]:
        """Every rule and policy that had a say, over all hooks and tables."""
        return tuple(step for passage in self.passages for step in passage.matched)

    def at(self, hook: str, table: str = "") -> Passage:
        """The stop at a hook in a table, or at a routing decision; NotFound if the packet did not come there."""
        stops = {(passage.hook, passage.table): passage for passage in self.passages}
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
    def entry(self) -> Entry:
        """What conntrack will remember if this packet begins a connection; port 0 is one drawn at random."""
        first, last = self.packet, self.after
        original, reply = (Tuple(Socket(one.source, one.sport or 0), Socket(one.destination, one.dport or 0))
                           for one in (first, last))
        return Entry(first.protocol, original, reply.inverse, mark=last.mark)
