"""A packet taken through one table at one hook: chain by chain, rule by rule, each fork a way of its own.

Where a coin decides (`statistic`), or where nobody here can tell whether a rule matches, the walk forks. Only rules
that can match are looked at; those that cannot (another destination address) are told of when somebody asks, so that
ten thousand Services cost no more than ten.


A packet taken through a whole kernel: the hooks in order, the routing decision between them, and conntrack.

    comes in  PREROUTING ─ routing ─┬─ for this machine ─ INPUT
                                    └─ for another ────── FORWARD ─ POSTROUTING  goes out
    made here (routing) ─ OUTPUT ─ (routing again, if it was rewritten) ─ POSTROUTING  goes out

raw comes before conntrack. nat is consulted for the first packet of a connection only; for all others conntrack repeats
what was decided then, and undoes it for replies. Not followed: ICMP errors about a connection (RELATED).
Sources: iptables(8), net/netfilter/nf_nat_core.c, include/uapi/linux/netfilter_ipv4.h (hook priorities).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kitlib.netfilter.matches import MatchResult, SkippedRules, judge
from kitlib.netfilter.packet import Packet, RuleOutcome, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.targets import apply
from kitlib.parsers.conntrack import Connection, Tuple
from kitlib.parsers.iptables_save import Chain, Rule

FEW_RULES = 16             # below that an index saves nothing
MOST_ASSUMPTIONS = 6       # each doubles the ways


@dataclass(frozen=True)
class _Branch:
    """One way through a table so far. `stack` is where jumps return to.

    `verdict` is "" while it goes on, then ACCEPT, DROP or UNDECIDED (POLICY: nothing decided, so the policy will).
    """

    packet: Packet
    chain: Chain
    at: int = 1
    stack: tuple[tuple[Chain, int], ...] = ()
    trail: tuple[RuleStep | SkippedRules, ...] = ()
    verdict: str = ""
    probability: float = 1.0
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class _TableRun:
    """One table at one hook of one kernel."""

    kernel: Netfilter
    hook: str
    table: str

    def ways(self, packet: Packet) -> Iterator[_Branch]:
        """Every way that this packet may take, the likeliest order of the rules; none if the hook has no chain here."""
        chain = self.kernel.ruleset.chain(self.table, self.hook)
        pending = [_Branch(packet, chain)] if chain else []
        while pending:
            way = pending.pop()
            if way.verdict == "POLICY":
                step = RuleStep(self.table, self.hook, None, RuleOutcome.MATCHED,
                                "no rule decided: the chain's policy does", chain.policy, 0, way.packet, way.packet)
                yield replace(way, trail=(*way.trail, step), verdict=chain.policy)
            elif way.verdict:
                yield way
            else:
                pending += reversed(self._advance(way))

    def _advance(self, way: _Branch) -> list[_Branch]:
        """The way up to and past the next rule that may match; two ways if that cannot be told."""
        rule, judgement = _next(way, self.kernel)
        last = rule.number - 1 if rule else len(way.chain.rules)
        if last >= way.at:
            stretch = SkippedRules(way.chain, way.at, last, way.packet, len(way.stack))
            way = replace(way, trail=(*way.trail, stretch))
        if rule is None or judgement is None:
            return [_return(way)]
        way = replace(way, at=rule.number + 1)
        if judgement.outcome is RuleOutcome.UNDECIDED:
            return self._undecided(way, rule, judgement)
        taken = self._take(way, rule, RuleOutcome.MATCHED, judgement.why)
        if judgement.probability == 1:
            return [taken]
        other = _passed(way, rule, f"{judgement.why}; here it is not so")
        return [replace(taken, probability=way.probability * judgement.probability),
                replace(other, probability=way.probability * (1 - judgement.probability))]

    def _undecided(self, way: _Branch, rule: Rule, judgement: MatchResult) -> list[_Branch]:
        taken = self._take(way, rule, RuleOutcome.UNDECIDED, judgement.why)
        if taken.verdict == "" and (taken.chain, taken.at, taken.packet) == (way.chain, way.at, way.packet):
            return [taken]      # it makes no difference
        if len(way.assumptions) == MOST_ASSUMPTIONS:
            return [replace(taken, verdict="UNDECIDED")]
        other = _passed(way, rule, judgement.why, RuleOutcome.UNDECIDED)
        named = f"rule {rule.number} of {rule.chain} ({judgement.why})"
        return [replace(taken, assumptions=(*way.assumptions, f"{named} matches")),
                replace(other, assumptions=(*way.assumptions, f"{named} does not match"))]

    def _take(self, way: _Branch, rule: Rule, outcome: RuleOutcome, why: str) -> _Branch:
        target = self.kernel.ruleset.chain(self.table, rule.target)
        if target:
            verdict = f"{'GOTO' if rule.is_goto else 'JUMP'}:{rule.target}"
            stack = way.stack if rule.is_goto else (*way.stack, (way.chain, way.at))
            step = _step(way, rule, outcome, why, verdict, way.packet)
            return replace(way, chain=target, at=1, stack=stack, trail=(*way.trail, step))
        effect = apply(rule, way.packet, self.hook, self.kernel)
        if effect.unknown:
            outcome, why = RuleOutcome.UNDECIDED, f"{why}, but {effect.unknown}"
        after = replace(way, packet=effect.packet,
                        trail=(*way.trail, _step(way, rule, outcome, why, effect.verdict, effect.packet)))
        if effect.unknown or effect.verdict in ("ACCEPT", "DROP"):
            return replace(after, verdict=effect.verdict or "UNDECIDED")
        return _return(after) if effect.verdict == "RETURN" else after


def _next(way: _Branch, kernel: Netfilter) -> tuple[Rule | None, MatchResult | None]:
    """The next rule that this packet is not skipped by for certain."""
    rules = way.chain.rules
    if len(rules) > FEW_RULES:
        index = way.chain.by_destination
        rules = heapq.merge(index.get(way.packet.destination, ()), index[""], key=lambda rule: rule.number)
    for rule in (rule for rule in rules if rule.number >= way.at):
        judgement = judge(rule, way.packet, kernel)
        if judgement.outcome is not RuleOutcome.SKIPPED:
            return rule, judgement
    return None, None


def _step(way: _Branch, rule: Rule | None, outcome: RuleOutcome, why: str, verdict: str, after: Packet) -> RuleStep:
    return RuleStep(way.chain.table, way.chain.name, rule, outcome, why, verdict, len(way.stack), way.packet, after)


def _passed(way: _Branch, rule: Rule, why: str, outcome: RuleOutcome = RuleOutcome.SKIPPED) -> _Branch:
    return replace(way, trail=(*way.trail, _step(way, rule, outcome, why, "", way.packet)))


def _return(way: _Branch) -> _Branch:
    """Back to where this chain was jumped to; from the built-in chain (a goto may have led away) to its policy."""
    if not way.stack:
        return replace(way, verdict="POLICY")
    chain, at = way.stack[-1]
    return replace(way, chain=chain, at=at, stack=way.stack[:-1])


PREROUTING = (("PREROUTING", "raw"), ("PREROUTING", "mangle"), ("PREROUTING", "nat"), ("routing", ""))
INPUT = (("INPUT", "mangle"), ("INPUT", "filter"), ("INPUT", "nat"))
FORWARD = (("FORWARD", "mangle"), ("FORWARD", "filter"), ("POSTROUTING", "mangle"), ("POSTROUTING", "nat"))
OUTPUT = (("routing", ""), ("OUTPUT", "raw"), ("OUTPUT", "mangle"), ("OUTPUT", "nat"), ("OUTPUT", "filter"),
          ("routing again", ""), ("POSTROUTING", "mangle"), ("POSTROUTING", "nat"))
BEFORE_CONNTRACK = frozenset({"INVALID"})           # what xt_conntrack.c says of a packet that has no connection yet
CHANGES_DESTINATION = ("PREROUTING", "OUTPUT")      # nat at the other two hooks changes the source


def simulate(kernel: Netfilter, packet: Packet, entry: Connection | None = None) -> tuple[PacketPath, ...]:
    """Every way that a packet may take; their probabilities add up to 1 if nothing is assumed.

    It comes in if it has an in-interface, else it was made here. `entry` is the connection that conntrack knows it by:
    then it is not the first packet. What this machine's routes leave open (policy routing) is not looked at.
    """
    if entry and "UNTRACKED" not in packet.states:
        packet = packet._replace(states=_states(packet, entry))
    return tuple(_travel(kernel, PacketPath(packet), PREROUTING if packet.in_interface else OUTPUT, entry))


def _travel(kernel: Netfilter, walk: PacketPath, stops: tuple[tuple[str, str], ...],
            entry: Connection | None) -> Iterator[PacketPath]:
    if walk.end or not stops:
        yield walk if walk.end else replace(walk, end=_end(walk))
        return
    (hook, table), *rest = stops
    if not table:
        passage, more, end = _routed(kernel, hook, walk.after)
        walk = replace(walk, hook_steps=(*walk.hook_steps, passage), end=end)
        yield from _travel(kernel, walk, (*rest, *more), entry)
    elif table == "nat" and (entry or "NEW" not in walk.after.states):
        passage = _remembered(hook, walk, None if "UNTRACKED" in walk.after.states else entry)
        yield from _travel(kernel, replace(walk, hook_steps=(*walk.hook_steps, passage)), tuple(rest), entry)
    else:
        for way in _through(kernel, hook, table, walk):
            yield from _travel(kernel, way, tuple(rest), entry)


def _through(kernel: Netfilter, hook: str, table: str, walk: PacketPath) -> Iterator[PacketPath]:
    known, found = walk.after.states, False
    is_unknown = table == "raw" and walk.after.in_interface != "lo"       # what comes by lo was known when it was made
    here = walk.after._replace(states=BEFORE_CONNTRACK) if is_unknown else walk.after
    for way in _TableRun(kernel, hook, table).ways(here):
        found = True
        after = way.packet._replace(states=known) if way.packet.states == BEFORE_CONNTRACK else way.packet
        passage = HookStep(hook, table, here, after, "", way.trail, kernel)
        yield PacketPath(walk.packet, (*walk.hook_steps, passage), _stopped(way), walk.probability * way.probability,
                   (*walk.assumptions, *way.assumptions))
    if not found:
        yield walk


def _stopped(way: _Branch) -> str:
    """How it ends here, "" if it goes on. REJECT drops the packet too, and tells the sender."""
    if way.verdict != "DROP":
        return "is undecided" if way.verdict == "UNDECIDED" else ""
    last = way.trail[-1]
    return "is rejected" if isinstance(last, RuleStep) and last.rule and last.rule.target == "REJECT" else "is dropped"


def _routed(kernel: Netfilter, hook: str, here: Packet) -> tuple[HookStep, tuple[tuple[str, str], ...], str]:
    """The routing decision: the passage, what comes next if it comes in, and the end if no way leads on."""
    decision = kernel.route(here.destination)
    if decision.is_local:
        after = here if here.in_interface else here._replace(out_interface=decision.device)
        return HookStep(hook, "", here, after, decision.why), INPUT if here.in_interface else (), ""
    if not decision.is_way:
        return HookStep(hook, "", here, here, decision.why), (), f"is lost: {decision.why}"
    if here.in_interface and not kernel.forwards:
        why = f"{decision.why}, but net.ipv4.ip_forward is 0: this machine forwards nothing"
        return HookStep(hook, "", here, here, why), (), "is lost: net.ipv4.ip_forward is 0"
    after = here._replace(out_interface=decision.device)
    return HookStep(hook, "", here, after, decision.why), FORWARD if here.in_interface else (), ""


def _remembered(hook: str, walk: PacketPath, entry: Connection | None) -> HookStep:
    """nat for a packet of a known connection: no rule is read, conntrack repeats or undoes what was decided."""
    here = walk.after
    if entry is None:
        why = "not the first packet of its connection" if here.states & {"ESTABLISHED", "RELATED"} else \
            "conntrack does not follow this packet"
        return HookStep(hook, "nat", here, here, f"{why}: nat's rules are not read")
    is_reply = _is_reply(walk.packet, entry)
    towards = entry.original.inverse if is_reply else entry.reply.inverse
    if hook in CHANGES_DESTINATION:
        after = here._replace(destination=towards.destination.address, dport=towards.destination.port or None)
    else:
        after = here._replace(source=towards.source.address, sport=towards.source.port or None)
    how = "undoes" if is_reply else "repeats"
    said = f"conntrack {how} the rewrite: {here} becomes {after}" if after != here else "nothing was rewritten"
    return HookStep(hook, "nat", here, after, f"not the first packet of its connection: {said}")


def _states(packet: Packet, entry: Connection) -> frozenset[str]:
    """What conntrack thinks of a packet that is not its connection's first: NEW until an answer has been seen."""
    rewritten = {"DNAT": entry.original.destination != entry.reply.source,
                 "SNAT": entry.original.source != entry.reply.destination}
    known = "NEW" if "UNREPLIED" in entry.flags and not _is_reply(packet, entry) else "ESTABLISHED"
    return frozenset({known, *(name for name, happened in rewritten.items() if happened)})


def _is_reply(packet: Packet, entry: Connection) -> bool:
    """Does it answer? What comes by lo has had its rewrite undone already, where it was made."""
    return any(_fits(packet, way) for way in (entry.reply, entry.original.inverse))


def _fits(packet: Packet, way: Tuple) -> bool:
    """Does this packet, as it came in, belong to that direction of a connection?"""
    return (packet.source, packet.sport) == tuple(way.source) and way.destination.port in (0, packet.dport)


def _end(walk: PacketPath) -> str:
    out = walk.after.out_interface
    return "comes in again by lo" if out == "lo" else f"goes out of {out}" if out else "is delivered here"
