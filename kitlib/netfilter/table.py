"""A packet taken through one table at one hook: chain by chain, rule by rule, with a branch at each fork.

It forks where a coin decides (`statistic`), and where nobody here can tell whether a rule matches. Only rules that can
match are looked at; those that cannot (another destination address) are judged when somebody asks to see them, so that
ten thousand Services cost no more than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from kitlib.netfilter.matches import MatchResult, judge
from kitlib.netfilter.packet import Packet, RuleOutcome, RuleStep
from kitlib.netfilter.path import Explain, HookStep, PacketPath, SkippedRules
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.targets import apply
from kitlib.parsers.iptables_save import Chain, Rule

TABLES = {"prerouting": ("raw", "mangle", "nat"), "input": ("mangle", "filter", "security", "nat"),
          "forward": ("mangle", "filter", "security"), "output": ("raw", "mangle", "nat", "filter", "security"),
          "postrouting": ("mangle", "nat")}
BEFORE_CONNTRACK = frozenset({"INVALID"})           # what xt_conntrack.c says of a packet that has no connection yet


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

    def step(self, rule: Rule, outcome: RuleOutcome, why: str, verdict: str = "",
             after: Packet | None = None) -> Branch:
        """Add a rule to the trail, and go on behind it with the packet as it left it."""
        step = RuleStep(self.chain.table, self.chain.name, rule, outcome, why, verdict, len(self.stack), self.packet,
                        after or self.packet)
        return replace(self, packet=step.after, trail=(*self.trail, step))

    def skip(self, last: int, explain: Explain = judge) -> Branch:
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


class Stop(NamedTuple):
    """What follows next at a hook: a table of iptables, a base chain of nftables, or its whole group of nat chains."""

    hook: str
    what: tuple[Any, ...]
    is_nat: bool = False


def stops(_: Netfilter, hook: str, __: Packet) -> tuple[Stop, ...]:
    """Return the tables at a hook, in the order in which the kernel calls them."""
    return tuple(Stop(hook, (name,), name == "nat") for name in TABLES[hook])


def past(netfilter: Netfilter, stop: Stop, path: PacketPath) -> Iterator[PacketPath]:
    """Yield the path on the far side of a table, once for each branch; as it is if the table has no such hook."""
    hook, (name,) = stop.hook.upper(), stop.what
    if netfilter.ruleset.chain(name, hook) is None:
        yield path
        return
    is_unknown = name == "raw" and path.after.in_interface != "lo"       # what comes by lo was known when it was made
    here = path.after._replace(states=BEFORE_CONNTRACK) if is_unknown else path.after
    for branch in branches(netfilter, hook, name, here):
        yield branch.behind(path, HookStep(hook, name, here, branch.packet, "", branch.trail, netfilter))


def branches(netfilter: Netfilter, hook: str, table: str, packet: Packet) -> Iterator[Branch]:
    """Yield every branch that this packet may take through a table at a hook, in the order of the rules."""
    return explore(Branch(packet, netfilter.ruleset.tables[table][hook]), partial(_advance, netfilter, hook))


def explore(start: Branch, advance: Callable[[Branch], list[Branch]]) -> Iterator[Branch]:
    """Yield every branch from the first rule of a built-in chain to a verdict; `advance` takes one past a rule."""
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
            pending += reversed(advance(branch))


def _advance(netfilter: Netfilter, hook: str, branch: Branch) -> list[Branch]:
    """Take a branch past the next rule that may match; two branches if both is possible."""
    rule, result = _next(branch, netfilter)
    branch = branch.skip(rule.number - 1 if rule else len(branch.chain.lines))
    if rule is None or result is None:
        return [branch.leave()]
    branch = replace(branch, number=rule.number + 1)
    taken = _take(netfilter, hook, branch, rule, result)
    if result.outcome is RuleOutcome.UNDECIDED:
        return fork(branch, taken, rule, result.why)
    if result.probability == 1:
        return [taken]
    other = branch.step(rule, RuleOutcome.SKIPPED, f"{result.why}; here it is not so")
    if result.probability == 0:
        return [other]
    return [replace(taken, probability=branch.probability * result.probability),
            replace(other, probability=branch.probability * (1 - result.probability))]


def fork(branch: Branch, taken: Branch, rule: Rule, why: str) -> list[Branch]:
    """Go on as if the rule matched, and as if it did not; once if that makes no difference."""
    if not taken.verdict and (taken.chain, taken.number, taken.packet) == (branch.chain, branch.number, branch.packet):
        return [taken]
    other = branch.step(rule, RuleOutcome.UNDECIDED, why)
    return [replace(way, probability=branch.probability / 2, assumptions=(
        *branch.assumptions, f"rule {rule.number} of {rule.chain} ({why}) {words}"))
        for way, words in ((taken, "matches"), (other, "does not match"))]


def _take(netfilter: Netfilter, hook: str, branch: Branch, rule: Rule, result: MatchResult) -> Branch:
    """Do what a rule does that matches: jump, or what its target says."""
    chain = netfilter.ruleset.chain(branch.chain.table, rule.target)
    if chain:
        is_goto = rule.parts.is_goto
        stack = branch.stack if is_goto else (*branch.stack, (branch.chain, branch.number))
        branch = branch.step(rule, result.outcome, result.why, f"{'GOTO' if is_goto else 'JUMP'}:{rule.target}")
        return replace(branch, chain=chain, number=1, stack=stack)
    effect = apply(rule, branch.packet, hook, netfilter)
    if effect.unknown:
        after = branch.step(rule, RuleOutcome.UNDECIDED, f"{result.why}, but {effect.unknown}")
        return replace(after, verdict="UNDECIDED")
    after = branch.step(rule, result.outcome, result.why, effect.verdict, effect.packet)
    if effect.verdict in ("ACCEPT", "DROP"):
        return replace(after, verdict=effect.verdict)
    return after.leave() if effect.verdict == "RETURN" else after


def _next(branch: Branch, netfilter: Netfilter) -> tuple[Rule, MatchResult] | tuple[None, None]:
    """Find the next rule that this packet is not skipped by for certain."""
    packet = branch.packet
    for rule in branch.chain.candidates(packet.destination, packet.protocol, packet.dport):
        if rule.number >= branch.number:
            result = judge(rule, packet, netfilter)
            if result.outcome is not RuleOutcome.SKIPPED:
                return rule, result
    return None, None
