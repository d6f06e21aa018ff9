"""The hooks (see `simulate`) of a machine where nftables decides: which base chains a packet meets, rule by rule.

At a hook all base chains of the packet's family and of inet follow one another by rising priority; of two with the same
priority, the one that was registered last comes first on today's kernels, which no documentation promises. An accept
ends its own base chain only. The nat chains of a hook are one group at a place of its own: they are asked for the first
packet of a connection, and the first of them that rewrites ends the group.

Tables of iptables-nft are in nftables too, but nft cannot say what their extensions do: those rules are taken from
iptables-save.
Sources: net/netfilter/core.c (nf_hook_entries_grow), nf_nat_core.c (nf_nat_inet_fn), nf_tables_core.c (nft_do_chain).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kitlib.netfilter import table
from kitlib.netfilter.branch import BEFORE_CONNTRACK, Branch, Stop, explore
from kitlib.netfilter.nft_matches import alternatives, explain_skipped
from kitlib.netfilter.nft_values import Context
from kitlib.netfilter.packet import Alternative, Packet, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.nft import Chain, Rule

NAT_PRIORITY = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}      # nf_nat_proto.c
TRACKING, CONNTRACK_PRIORITY = ("prerouting", "output"), -200         # where conntrack finds a packet's connection
REWRITING = ("DNAT", "SNAT", "MASQUERADE", "REDIRECT")
FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}


def stops(netfilter: Netfilter, hook: str, packet: Packet) -> tuple[Stop, ...]:
    """Return what a packet meets at a hook, in the order in which the kernel calls it."""
    families = FAMILIES[6 if ":" in packet.source else 4]
    every = [chain for chain in netfilter.nft.base_chains if chain.table.partition(" ")[0] in families]
    chains = {-age: chain for age, chain in enumerate(every) if chain.hook == hook}       # by how young they are
    order = sorted(chains, key=lambda age: (chains[age].priority, age))
    found = [(chains[age].priority, age, Stop(hook, (chains[age],))) for age in order if chains[age].type != "nat"]
    first = next((age for age, chain in enumerate(every) if chain.type == "nat"), None)
    if first is not None and hook in NAT_PRIORITY:        # with its first nat chain a family gets nat at all four hooks
        group = tuple(chains[age] for age in order if chains[age].type == "nat")
        found.append((NAT_PRIORITY[hook], -first, Stop(hook, group, is_nat=True)))
    return tuple(stop for *_, stop in sorted(found, key=lambda entry: entry[:2]))


def past(netfilter: Netfilter, stop: Stop, path: PacketPath) -> Iterator[PacketPath]:
    """Yield the path behind the chains of a stop. It is a statement that ends a group, though it may change nothing."""
    if path.end or not stop.what:
        yield path
        return
    for branch, further in _past(netfilter, stop.what[0], path):
        if not _rewrites(branch):
            yield from past(netfilter, stop._replace(what=stop.what[1:]), further)
            continue
        rivals = tuple(_rivals(netfilter, stop.what, path))
        yield replace(further, assumptions=(*further.assumptions, *rivals))


def unknown(netfilter: Netfilter, packet: Packet) -> Iterator[str]:
    """Say what else decides: before or beside the hooks of IP, and which tables of iptables-save nft does not list.

    Those of iptables-legacy are in force beside nftables.
    """
    yield from netfilter.nft.unknown
    family = FAMILIES[6 if ":" in packet.source else 4][0]
    for name, chains in netfilter.ruleset.tables.items():
        if f"{family} {name}" not in netfilter.nft.tables and any(
                chain.lines or chain.policy not in ("", "ACCEPT") for chain in chains.values()):
            yield f"the rules of iptables in table {name}, which nft does not list"


def _rivals(netfilter: Netfilter, group: tuple[Chain, ...], path: PacketPath) -> Iterator[str]:
    """Say of which other chains the first of a nat group took precedence, that have its priority and rewrite, too.

    Tables are listed as they were made, but a chain may have been added to an old one yesterday.
    """
    first, *others = group
    for other in others if not path.end else ():
        if other.priority == first.priority and other.table != first.table and any(
                _rewrites(branch) for branch, _ in _past(netfilter, other, path)):
            yield (f"{first.name} of {first.table} is asked before {other.name} of {other.table}, which rewrites it "
                   "too: they have one priority, so that the one that was made last comes first")


def _rewrites(branch: Branch) -> bool:
    last = branch.trail[-1]
    return branch.verdict == "ACCEPT" and isinstance(last, RuleStep) and bool(last.rule) and \
        last.rule.target in REWRITING


def _past(netfilter: Netfilter, chain: Chain, path: PacketPath) -> Iterator[tuple[Branch, PacketPath]]:
    """Yield the branches through one base chain, each with the path behind it."""
    is_unknown = chain.hook in TRACKING and chain.priority < CONNTRACK_PRIORITY and path.after.in_interface != "lo"
    here = path.after._replace(states=BEFORE_CONNTRACK) if is_unknown else path.after
    saved = saved_chains(netfilter, chain)
    for branch in table.branches(netfilter, chain.name, saved, here) if saved else \
            explore(Branch(here, chain), netfilter.nft, partial(_look, netfilter, chain.hook.upper()), explain_skipped):
        step = HookStep(chain.hook.upper(), saved or chain.table, here, branch.packet, "", branch.trail, netfilter,
                        chain.name)
        yield branch, branch.behind(path, step)


def saved_chains(netfilter: Netfilter, chain: Chain) -> str:
    """Return the name of the table in iptables-save that a base chain belongs to, "" if its rules are nft's own.

    It is the same table if all its chains are there, with as many rules.
    """
    family, _, name = chain.table.partition(" ")
    saved = netfilter.ruleset.tables.get(name, {}) if family in ("ip", "ip6") else {}
    same = chain.name in saved and all(
        other.name in saved and len(saved[other.name].lines) == len(other.lines)
        for other in netfilter.nft.tables[chain.table].chains.values())
    return name if same else ""


def _look(netfilter: Netfilter, hook: str, branch: Branch) -> Iterator[tuple[Rule, list[Alternative]]]:
    context = Context(branch.packet, netfilter, netfilter.nft.tables[branch.chain.table], hook)
    for rule in branch.chain.rules[branch.number - 1:]:
        yield rule, alternatives(rule, context)
