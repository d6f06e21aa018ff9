"""A packet on its way from rule to rule, in as many branches as there are ways: the same walk in iptables and nftables.

It forks where a coin decides, and where nobody here can tell whether a rule matches. Only rules that can match are
looked at; those that cannot (another destination address) are judged when somebody asks to see them, so that ten
thousand Services cost no more than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from kitlib.netfilter.matches import judge
from kitlib.netfilter.packet import Alternative, Packet, RuleOutcome, RuleStep
from kitlib.netfilter.path import Explain, HookStep, PacketPath, SkippedRules
from kitlib.parsers.iptables_save import Chain, Rule, Ruleset

BEFORE_CONNTRACK = frozenset({"INVALID"})           # what xt_conntrack.c says of a packet that has no connection yet


class Stop(NamedTuple):
    """What follows next at a hook: a table of iptables, a base chain of nftables, or its whole group of nat chains."""

    hook: str
    what: tuple[Any, ...]
    is_nat: bool = False


def both_ways(rule: Rule, packet: Packet, why: str, taken: Alternative) -> list[Alternative]:
    """Return the ways of a rule that may match or not: `taken`, and as if it did not; one if that is the same."""
    if (taken.verdict, taken.packet) == ("CONTINUE", packet):
        return [taken]
    words = f"rule {rule.number} of {rule.chain} ({why})"
    return [taken._replace(probability=0.5, assumption=f"{words} matches"),
            Alternative(RuleOutcome.UNDECIDED, why, "", packet, 0.5, f"{words} does not match")]


@dataclass(frozen=True)
class Branch:
    """One branch of a packet's path through a table, so far. `stack` is where jumps return to.

    `verdict` is "" while it goes on, then ACCEPT, DROP or UNDECIDED (POLICY: nothing decided, so the policy will).
    """

    packet: Packet
    chain: Chain
    number: int = 1                     # of the next rule
    stack: tuple[tuple[Chain, int], ...] = ()
    trail: tuple[RuleStep | SkippedRules, ...] = ()
    verdict: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()

    @property
    def end(self) -> str:
        """How the packet ends here, "" if it goes on. REJECT drops it too, and tells the sender."""
        if self.verdict != "DROP":
            return "is undecided" if self.verdict == "UNDECIDED" else ""
        return "is rejected" if self._last_rule and self._last_rule.target == "REJECT" else "is dropped"

    @property
    def why(self) -> str:
        """Why it ends here, where there is more to say: the comment of the rule, or what is unknown of it."""
        if self.verdict == "UNDECIDED":
            return self.trail[-1].why
        return self._last_rule.comment if self.verdict == "DROP" and self._last_rule else ""

    @property
    def _last_rule(self) -> Rule | None:
        return self.trail[-1].rule if isinstance(self.trail[-1], RuleStep) else None

    def step(self, rule: Rule, outcome: RuleOutcome, why: str, verdict: str, after: Packet) -> Branch:
        """Add a rule to the trail, and go on behind it with the packet as it left it."""
        step = RuleStep(self.chain.table, self.chain.name, rule, outcome, why, verdict, len(self.stack), self.packet,
                        after)
        return replace(self, packet=after, number=rule.number + 1, trail=(*self.trail, step))

    def skip(self, last: int, explain: Explain) -> Branch:
        """Add the rules up to this one to the trail, none of which the packet matched; `explain` says why not."""
        if last < self.number:
            return self
        skipped = SkippedRules(self.chain, self.number, last, self.packet, len(self.stack), explain)
        return replace(self, number=last + 1, trail=(*self.trail, skipped))

    def behind(self, path: PacketPath, step: HookStep) -> PacketPath:
        """Return the path on the far side of this step; behind raw, conntrack knows a packet that it knew before."""
        if step.after.states == BEFORE_CONNTRACK:
            step = replace(step, after=step.after._replace(states=path.after.states))
        return PacketPath(path.packet, (*path.hook_steps, step), self.end, path.probability * self.probability,
                          (*path.assumptions, *self.assumptions), self.why, path.forks + len(self.assumptions))

    def leave(self) -> Branch:
        """Go back to where this chain was jumped to; from the built-in chain, or after a goto, to its policy."""
        if not self.stack:
            return replace(self, verdict="POLICY")
        chain, number = self.stack[-1]
        return replace(self, chain=chain, number=number, stack=self.stack[:-1])


Look = Callable[[Branch], Iterable[tuple[Rule, list[Alternative]]]]     # at the rules ahead that may do something


def explore(start: Branch, ruleset: Ruleset, look: Look, explain: Explain = judge) -> Iterator[Branch]:
    """Yield every branch from the first rule of a built-in chain to a verdict, in the order of the rules."""
    built_in, pending = start.chain, [start]
    while pending:
        branch = pending.pop()
        if branch.verdict == "POLICY":
            step = RuleStep(built_in.table, built_in.name, None, RuleOutcome.MATCHED,
                            "no rule decided: the chain's policy does", built_in.policy, 0, branch.packet,
                            branch.packet)
            yield replace(branch, trail=(*branch.trail, step), verdict=built_in.policy)
        elif branch.verdict:
            yield branch
        else:
            pending += reversed(_advance(branch, ruleset, look, explain))


def _advance(branch: Branch, ruleset: Ruleset, look: Look, explain: Explain) -> list[Branch]:
    """Take a branch past the next rule that does something; several branches if it may come out in several ways."""
    for rule, found in look(branch):
        if found[0].outcome is not RuleOutcome.SKIPPED or len(found) > 1 or found[0].packet != branch.packet:
            here = branch.skip(rule.number - 1, explain)
            return [_take(here, ruleset, rule, one) for one in found]
    return [branch.skip(len(branch.chain.lines), explain).leave()]


def _take(branch: Branch, ruleset: Ruleset, rule: Rule, one: Alternative) -> Branch:
    """Go one way that a rule may come out."""
    kind, _, target = one.verdict.partition(":")
    chain = ruleset.chain(branch.chain.table, target) if target else None
    branch = replace(branch, probability=branch.probability * one.probability,
                     assumptions=(*branch.assumptions, *filter(None, (one.assumption,))))
    if kind == "UNDECIDED" or (target and chain is None):
        why = f"there is no chain {target} in the listing" if target else one.why
        return replace(branch.step(rule, RuleOutcome.UNDECIDED, why, "", branch.packet), verdict="UNDECIDED")
    after = branch.step(rule, one.outcome, one.why, one.verdict, one.packet)
    if chain:
        stack = after.stack if kind == "GOTO" else (*after.stack, (after.chain, after.number))
        return replace(after, chain=chain, number=1, stack=stack)
    if kind in ("ACCEPT", "DROP"):
        return replace(after, verdict=kind)
    return after.leave() if kind == "RETURN" else after
