"""A packet taken through one base chain of nftables and the chains that it leads to, rule by rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kitlib.netfilter.nft_matches import Alternative, alternatives, explain_skipped
from kitlib.netfilter.nft_values import Context
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
    context = Context(branch.packet, netfilter, netfilter.nft.tables[chain.table], hook)
    for rule in chain.rules[first - 1:]:
        found = alternatives(rule, context)
        if found[0].outcome is not RuleOutcome.SKIPPED or len(found) > 1 or found[0].packet != branch.packet:
            branch = _past(branch, first, rule.number - 1)
            return [after for one in found for after in _take(netfilter, branch, rule, one)]
    return [_past(branch, first, len(chain.lines)).leave()]


def _past(branch: Branch, first: int, last: int) -> Branch:
    """Add the rules that were skipped to the trail."""
    if last < first:
        return branch
    skipped = SkippedRules(branch.chain, first, last, branch.packet, len(branch.stack), explain_skipped)
    return replace(branch, number=last + 1, trail=(*branch.trail, skipped))


def _take(netfilter: Netfilter, branch: Branch, rule: Rule, one: Alternative) -> list[Branch]:
    """Go one way that a rule may come out; two if it is not known whether it matches."""
    changes: dict[str, object] = {"number": rule.number + 1, "probability": branch.probability * one.probability}
    if one.verdict == "UNDECIDED":
        return [branch.step(rule, RuleOutcome.UNDECIDED, one.why, changes=changes | {"verdict": "UNDECIDED"})]
    verdict, _, target = one.verdict.partition(":")
    if target:
        behind = () if verdict == "GOTO" else ((branch.chain, rule.number + 1),)
        chain = netfilter.nft.chain(branch.chain.table, target)
        changes |= {"chain": chain, "number": 1, "stack": (*branch.stack, *behind)}
    elif verdict in ("ACCEPT", "DROP"):
        changes["verdict"] = verdict
    after = branch.step(rule, one.outcome, one.why, one.verdict, one.packet, changes)
    after = after.leave() if verdict == "RETURN" else after
    if one.outcome is RuleOutcome.UNDECIDED:
        return fork(replace(branch, number=rule.number + 1), after, rule, one.why)
    return [after]
