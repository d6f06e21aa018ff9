"""A packet taken through one base chain of nftables and the chains that it leads to, rule by rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kitlib.netfilter.nft_matches import Alternative, Context, alternatives, explain_skipped
from kitlib.netfilter.packet import Packet, RuleOutcome
from kitlib.netfilter.path import SkippedRules
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.table import Branch, explore, fork
from kitlib.parsers.nft import Chain, Rule


def branches(netfilter: Netfilter, chain: Chain, packet: Packet) -> Iterator[Branch]:
    """Yield every branch that this packet may take through a base chain."""
    return explore(Branch(packet, chain), partial(_advance, netfilter, chain.hook.upper()))


def _advance(netfilter: Netfilter, hook: str, branch: Branch) -> list[Branch]:
    """Take a branch past the next rule that does something; several branches if it may come out in several ways."""
    chain, first = branch.chain, branch.number
    table = netfilter.nft.tables[chain.table]
    for rule in chain.rules[first - 1:]:
        found = alternatives(rule, Context(branch.packet, netfilter, table, hook))
        if found[0].outcome is not RuleOutcome.SKIPPED or len(found) > 1 or found[0].packet != branch.packet:
            branch = replace(_past(branch, first, rule.number - 1), number=rule.number + 1)
            return [after for way in found for after in _take(netfilter, branch, rule, way)]
    return [_past(branch, first, len(chain.lines)).leave()]


def _past(branch: Branch, first: int, last: int) -> Branch:
    """Add the rules that were skipped to the trail."""
    if last < first:
        return branch
    skipped = SkippedRules(branch.chain, first, last, branch.packet, len(branch.stack), explain_skipped)
    return replace(branch, trail=(*branch.trail, skipped))


def _take(netfilter: Netfilter, branch: Branch, rule: Rule, way: Alternative) -> list[Branch]:
    """Go one way that a rule may come out; two if it is not known whether it matches."""
    probability = branch.probability * way.probability
    if way.verdict == "UNDECIDED":
        after = branch.step(rule, RuleOutcome.UNDECIDED, way.why)
        return [replace(after, verdict="UNDECIDED", probability=probability)]
    after = branch.step(rule, way.outcome, way.why, way.verdict, way.packet)
    verdict, _, target = way.verdict.partition(":")
    if target:
        chain = netfilter.nft.chain(branch.chain.table, target)
        stack = branch.stack if verdict == "GOTO" else (*branch.stack, (branch.chain, branch.number))
        after = replace(after, chain=chain, number=1, stack=stack)
    elif verdict in ("ACCEPT", "DROP"):
        after = replace(after, verdict=verdict)
    elif verdict == "RETURN":
        after = after.leave()
    if way.outcome is RuleOutcome.UNDECIDED:
        return fork(branch, after, rule, way.why)
    return [replace(after, probability=probability)]
