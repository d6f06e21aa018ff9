"""The walk through nftables beside the kernel's own trace: the same base chains, rules and verdicts, in order?"""

from __future__ import annotations

import re
from dataclasses import replace

from kitlib.netfilter.compare import TracedPath, compared, traced_paths
from kitlib.netfilter.nft_hooks import saved_chains
from kitlib.netfilter.packet import Packet, RuleOutcome, RuleStep
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.nft_monitor import listed_rules, traces
from kitlib.parsers.xtables_monitor import TraceLine

COUNTER = re.compile(r"(counter) packets \d+ bytes \d+")
HANDLE = re.compile(r"(.*?) ?# handle (\d+)$")
COMMENT = re.compile(r' *comment "[^"]*"$')


def traced_by_nft(netfilter: Netfilter, text: str, listing: str = "") -> tuple[TracedPath, ...]:
    """Simulate every packet of `nft monitor trace`, and put the kernel's lines beside the steps of the walk.

    A rule is known by its handle (with -a); without one by its text, and for iptables' extensions, which only nft's
    own listing has words for, by the text in `listing`: `nft -a list ruleset`.
    """
    handles = {(table, chain, _plain(rule)): handle for table, chain, handle, rule in listed_rules(listing)}
    named = {packet: tuple(_with_rule(netfilter, line, handles) for line in lines)
             for packet, lines in traces(text).items()}
    return traced_paths(netfilter, named, compare)


def _plain(text: str) -> str:
    return " ".join(COMMENT.sub("", COUNTER.sub(r"\1", text)).split())


def _with_rule(netfilter: Netfilter, line: TraceLine, handles: dict[tuple[str, str, str], int]) -> TraceLine:
    """Write a line as the walk does: the rule as it stands in the ruleset, else in the kernel's words."""
    chain = netfilter.nft.chain(line.table, line.chain)
    if chain is None:
        return line
    match = HANDLE.match(line.rule)
    plain = _plain(match[1] if match else line.rule)
    handle = int(match[2]) if match else handles.get((line.table, line.chain, plain))
    saved = saved_chains(netfilter, chain)
    for rule in chain.rules if line.rule else ():
        if rule.handle == handle or (handle is None and _plain(rule.text) == plain):
            text = netfilter.ruleset.tables[saved][line.chain].rule(rule.number).text if saved else rule.text
            return replace(line, table=saved or line.table, rule=text)
    return replace(line, table=saved or line.table)


def compare(path: PacketPath, lines: tuple[TraceLine, ...]) -> TracedPath:
    """Compare a path with a trace: rules and verdicts, and at each base chain the addresses, ports and interfaces."""
    stops = {(step.chain, step.table): step for step in path.hook_steps}

    def header(line: TraceLine) -> Packet | None:
        stop = stops.get((line.chain, line.table))      # the kernel tells the mark only where a policy ends its chain
        return stop and stop.before._replace(mark=0 if line.rule else stop.after.mark)

    return compared(path, lines, _reported(path, lines), header)


def _reported(path: PacketPath, lines: tuple[TraceLine, ...]) -> list[RuleStep]:
    """The steps that a trace would report; a rule that may match and changes nothing, as the kernel has it."""
    named = {(line.table, line.chain, line.rule) for line in lines}
    return [step for step in path.matched if step.outcome is not RuleOutcome.UNDECIDED or step.packet != step.after
            or step.verdict != "CONTINUE" or (step.table, step.chain, step.rule.text) in named]
