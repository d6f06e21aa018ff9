"""A packet taken through one table at one hook: chain by chain, rule by rule, each fork a way of its own.

Where a coin decides (`statistic`), or where nobody here can tell whether a rule matches, the walk forks. Only rules
that can match are looked at; those that cannot (another destination address) are told of when somebody asks, so that
ten thousand Services cost no more than ten.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.matches import Judgement, Stretch, judge
from kitlib.netfilter.packet import Outcome, Packet, Step
from kitlib.netfilter.targets import apply
from kitlib.ruleset import Chain, Rule

FEW_RULES = 16             # below that an index saves nothing
MOST_ASSUMPTIONS = 6       # each doubles the ways


@dataclass(frozen=True)
class Way:
    """One way through a table so far. `stack` is where jumps return to.

    `verdict` is "" while it goes on, then ACCEPT, DROP or UNDECIDED (POLICY: nothing decided, so the policy will).
    """

    packet: Packet
    chain: Chain
    at: int = 1
    stack: tuple[tuple[Chain, int], ...] = ()
    trail: tuple[Step | Stretch, ...] = ()
    verdict: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableWalk:
    """One table at one hook of one kernel."""

    kernel: Kernel
    hook: str
    table: str

    def ways(self, packet: Packet) -> Iterator[Way]:
        """Every way that this packet may take, the likeliest order of the rules; none if the hook has no chain here."""
        chain = self.kernel.ruleset.chain(self.table, self.hook)
        pending = [Way(packet, chain)] if chain else []
        while pending:
            way = pending.pop()
            if way.verdict == "POLICY":
                step = Step(self.table, self.hook, None, Outcome.MATCHED, "no rule decided: the chain's policy does",
                            chain.policy, 0, way.packet, way.packet)
                yield replace(way, trail=(*way.trail, step), verdict=chain.policy)
            elif way.verdict:
                yield way
            else:
                pending += reversed(self._advance(way))

    def _advance(self, way: Way) -> list[Way]:
        """The way up to and past the next rule that may match; two ways if that cannot be told."""
        rule, judgement = _next(way, self.kernel)
        last = rule.number - 1 if rule else len(way.chain.rules)
        if last >= way.at:
            stretch = Stretch(way.chain, way.at, last, way.packet, len(way.stack))
            way = replace(way, trail=(*way.trail, stretch))
        if rule is None or judgement is None:
            return [_return(way)]
        way = replace(way, at=rule.number + 1)
        if judgement.outcome is Outcome.UNDECIDED:
            return self._undecided(way, rule, judgement)
        taken = self._take(way, rule, Outcome.MATCHED, judgement.why)
        if judgement.probability == 1:
            return [taken]
        other = _passed(way, rule, f"{judgement.why}; here it is not so")
        return [replace(taken, probability=way.probability * judgement.probability),
                replace(other, probability=way.probability * (1 - judgement.probability))]

    def _undecided(self, way: Way, rule: Rule, judgement: Judgement) -> list[Way]:
        taken = self._take(way, rule, Outcome.UNDECIDED, judgement.why)
        if taken.verdict == "" and (taken.chain, taken.at, taken.packet) == (way.chain, way.at, way.packet):
            return [taken]      # it makes no difference
        if len(way.assumptions) == MOST_ASSUMPTIONS:
            return [replace(taken, verdict="UNDECIDED")]
        other = _passed(way, rule, judgement.why, Outcome.UNDECIDED)
        named = f"rule {rule.number} of {rule.chain} ({judgement.why})"
        return [replace(taken, assumptions=(*way.assumptions, f"{named} matches")),
                replace(other, assumptions=(*way.assumptions, f"{named} does not match"))]

    def _take(self, way: Way, rule: Rule, outcome: Outcome, why: str) -> Way:
        target = self.kernel.ruleset.chain(self.table, rule.target)
        if target:
            verdict = f"{'GOTO' if rule.is_goto else 'JUMP'}:{rule.target}"
            stack = way.stack if rule.is_goto else (*way.stack, (way.chain, way.at))
            step = _step(way, rule, outcome, why, verdict, way.packet)
            return replace(way, chain=target, at=1, stack=stack, trail=(*way.trail, step))
        effect = apply(rule, way.packet, self.hook, self.kernel)
        if effect.unknown:
            outcome, why = Outcome.UNDECIDED, f"{why}, but {effect.unknown}"
        after = replace(way, packet=effect.packet,
                        trail=(*way.trail, _step(way, rule, outcome, why, effect.verdict, effect.packet)))
        if effect.unknown or effect.verdict in ("ACCEPT", "DROP"):
            return replace(after, verdict=effect.verdict or "UNDECIDED")
        return _return(after) if effect.verdict == "RETURN" else after


def _next(way: Way, kernel: Kernel) -> tuple[Rule | None, Judgement | None]:
    """The next rule that this packet is not skipped by for certain."""
    rules = way.chain.rules
    if len(rules) > FEW_RULES:
        index = way.chain.by_destination
        rules = heapq.merge(index.get(way.packet.destination, ()), index[""], key=lambda rule: rule.number)
    for rule in (rule for rule in rules if rule.number >= way.at):
        judgement = judge(rule, way.packet, kernel)
        if judgement.outcome is not Outcome.SKIPPED:
            return rule, judgement
    return None, None


def _step(way: Way, rule: Rule | None, outcome: Outcome, why: str, verdict: str, after: Packet) -> Step:
    return Step(way.chain.table, way.chain.name, rule, outcome, why, verdict, len(way.stack), way.packet, after)


def _passed(way: Way, rule: Rule, why: str, outcome: Outcome = Outcome.SKIPPED) -> Way:
    return replace(way, trail=(*way.trail, _step(way, rule, outcome, why, "", way.packet)))


def _return(way: Way) -> Way:
    """Back to where this chain was jumped to; from the built-in chain (a goto may have led away) to its policy."""
    if not way.stack:
        return replace(way, verdict="POLICY")
    chain, at = way.stack[-1]
    return replace(way, chain=chain, at=at, stack=way.stack[:-1])
