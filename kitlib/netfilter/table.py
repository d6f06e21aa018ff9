"""The tables of iptables at each hook, and what one of their rules may make of a packet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kitlib.netfilter.branch import BEFORE_CONNTRACK, Branch, Stop, both_ways, explore
from kitlib.netfilter.matches import judge
from kitlib.netfilter.packet import Alternative, Packet, RuleOutcome, Unknown
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.targets import apply
from kitlib.parsers.iptables_save import Rule

TABLES = {"prerouting": ("raw", "mangle", "nat"), "input": ("mangle", "filter", "security", "nat"),
          "forward": ("mangle", "filter", "security"), "output": ("raw", "mangle", "nat", "filter", "security"),
          "postrouting": ("mangle", "nat")}


def stops(_: Netfilter, hook: str, __: Packet) -> tuple[Stop, ...]:
    """Return the tables at a hook, in the order in which the kernel calls them."""
    return tuple(Stop(hook, (name,), name == "nat") for name in TABLES[hook])


def unknown(_: Netfilter, __: Packet) -> tuple[str, ...]:
    """Say what else decides: nothing that the rules themselves tell of."""
    return ()


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
    start = Branch(packet, netfilter.ruleset.tables[table][hook])
    return explore(start, netfilter.ruleset, partial(_look, netfilter, hook))


def _look(netfilter: Netfilter, hook: str, branch: Branch) -> Iterator[tuple[Rule, list[Alternative]]]:
    packet = branch.packet
    for rule in branch.chain.candidates(packet.destination, packet.protocol, packet.dport):
        if rule.number >= branch.number:
            yield rule, _alternatives(netfilter, hook, rule, packet)


def _alternatives(netfilter: Netfilter, hook: str, rule: Rule, packet: Packet) -> list[Alternative]:
    """Find every way in which a rule may come out for a packet; their probabilities add up to 1."""
    match = judge(rule, packet, netfilter)
    if match.outcome is RuleOutcome.SKIPPED:
        return [match]
    taken = _taken(netfilter, hook, rule, match)
    if match.outcome is RuleOutcome.UNDECIDED:
        return both_ways(rule, packet, match.why, taken)
    if match.probability == 1:
        return [taken]
    other = Alternative(RuleOutcome.SKIPPED, f"{match.why}; here it is not so", "", packet, 1 - match.probability)
    return [taken, other] if match.probability else [other]


def _taken(netfilter: Netfilter, hook: str, rule: Rule, match: Alternative) -> Alternative:
    """Do what a rule does that matches: jump, or what its target says."""
    if netfilter.ruleset.chain(rule.table, rule.target):
        return match._replace(verdict=f"{'GOTO' if rule.parts.is_goto else 'JUMP'}:{rule.target}")
    try:
        effect = apply(rule, match.packet, hook, netfilter)
    except Unknown as error:
        return match._replace(why=f"{match.why}, but {error}", verdict="UNDECIDED")
    return match._replace(verdict=effect.verdict, packet=effect.packet)
