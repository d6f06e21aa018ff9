"""The questions of notebook 06: which rules had a say in a packet, and what the coin does.

`seen` is a capture; it may still be empty when the question is asked, and has to be filled when it is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.netfilter.matches import judge
from kitlib.netfilter.packet import Packet, RuleOutcome
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.iptables_save import Rule
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, number

MOST_RULES = 6      # more choices than that nobody reads


def rule_it_matches(kernel: Netfilter, walk: PacketPath, chain: str) -> Quiz:
    """06, predict and check: the rule of a chain of nat that a packet matches first; of those about its destination."""
    steps = [step for step in walk.steps if (step.table, step.chain) == ("nat", chain)]
    if not steps:
        raise NotFound(f"{walk.packet} did not come to {chain}.")
    packet = steps[0].packet
    known = kernel.ruleset.tables["nat"][chain].candidates(packet.destination, packet.protocol, packet.dport)
    rules = {_short(rule): rule for rule in known}
    matched = next((step for step in steps if step.outcome is RuleOutcome.MATCHED), None)
    right = _short(matched.rule) if matched else "none of them"

    def hint_for(given: str) -> str:
        rule = next((rule for words, rule in rules.items() if words.casefold() == given), None)
        if rule is None:
            return f"Look at {right.rpartition(' -j ')[2]} again: which of its conditions does not hold?"
        judged = judge(rule, packet, kernel)
        why = judged.why if judged.outcome is RuleOutcome.SKIPPED else "it may fit, but a rule above it matches first"
        return f"{rule.target}: {why}."

    return Quiz(
        f"{packet}, mark {packet.mark:#x}: which rule of {chain} does it match first?",
        right, (*tuple({right: None} | rules)[:MOST_RULES], "none of them"), hints=hint_for,
        hint="Read the rules from the top, condition by condition: protocol, address, port, mark.",
        solution=f"{matched.why} → {matched.verdict}." if matched else "Each rule wants something else.")


def chance_of_the_last(ways: Sequence[PacketPath]) -> Quiz:
    """06, predict: with which probability the packet gets the endpoint whose rule stands last."""
    last, rest = ways[-1], 1 - ways[-1].probability
    right = Fraction(last.probability).limit_denominator(1000)
    return Quiz(
        f"With which probability does a query get {last.after.destination}, whose rule stands last?",
        str(right), tuple(map(str, (right, 1, 0, right / 2))),
        hints={"1": "That rule has no condition, yes. But only what the rules before it did not take comes to it.",
               "0": f"The rules before it take {rest:.3g} of the connections, not all.",
               str(right / 2): f"That would leave {rest:.3g} for the rules before it, and {right / 2} for nobody."},
        hint="What do the rules before it leave?", solution=f"1 - {rest:.3g}: what the rules before it leave.")


def how_the_coin_falls(node: Node, seen: Capture) -> Quiz:
    """06, predict: how many connections are shared out, counted where they leave the node."""
    same, turns, chance = "all get the same one", "each one in turn", "in no order, about as many for each"

    def again() -> list[int]:
        return [place for place, (one, other) in enumerate(pairwise(_endpoints(node, seen)), 1) if one == other]

    def counted() -> str:
        return ", ".join(f"{count} to {at}" for at, count in sorted(Counter(_endpoints(node, seen)).items())) + "."

    return Quiz(
        "Many queries, each from a new source port. How are they shared out among the endpoints?",
        right=lambda: chance if len(set(_endpoints(node, seen))) > 1 and again() else turns if not again() else same,
        choices=(same, turns, chance),
        hints=lambda given: counted() if given != turns or not again() else
        f"Queries {again()[0]} and {again()[0] + 1} both went to {_endpoints(node, seen)[again()[0]]}.",
        hint="A coin remembers nothing.", solution=counted)


def endpoints_of_one_port(node: Node, seen: Capture, ways: Sequence[PacketPath]) -> Quiz:
    """06, predict: how many endpoints answer the queries from one source port."""
    many = len({way.after.destination for way in ways})
    return Quiz(
        "The same source port asks again and again: how many different endpoints get its queries?",
        right=lambda: len(set(_endpoints(node, seen))), read=number,
        hints=lambda given: f"{given} endpoints stand in the rules. Are those read for each packet?" if given == many
        else f"{given} queries, but are they {given} connections?" if given == len(_endpoints(node, seen)) else "",
        hint="What is the first packet of a connection, and what are the others?",
        solution=lambda: f"All went to {_endpoints(node, seen)[0]}: nat's rules are read for a connection's first "
                         "packet, and conntrack remembers what came of it.")


def whose_source_stays(lab: Lab, node: Node, pod: Pod, service: str) -> Quiz:
    """06, check: of several senders, the one whose query is not masqueraded."""
    kernel, host, port = node.netfilter(), lab.host, 40000
    taken = {who: simulate(kernel, Packet(source, service, sport=port, in_interface=interface))[0]
             for who, source, interface in ((f"the pod {pod.title}", pod.address, pod.veth.interface),
                                            (f"{node.title} itself", node.address, ""),
                                            ("the host", host.address, node.eth0.interface))}
    marks = {who: step for who, walk in taken.items() for step in walk.matched if step.verdict == "JUMP:KUBE-MARK-MASQ"}
    kept = [who for who, walk in taken.items() if (walk.after.source, walk.after.sport) == (walk.packet.source, port)]
    return Quiz(
        f"Each asks {service} through {node.title}. Whose query leaves with its source as it was?",
        " and ".join(kept) or "none of them", (*taken, " and ".join(kept) or "none of them", "none of them"),
        hints={who: f"{step.why} → {step.verdict}. POSTROUTING masquerades what carries that mark."
               for who, step in marks.items()},
        hint="Which rule sets the mark, and for which sources?",
        solution="; ".join(f"{who}: source {walk.packet.source}, then {walk.after.source}"
                           for who, walk in taken.items()) + ".")


def _short(rule: Rule) -> str:
    """A rule without the name of its chain."""
    return rule.text.removeprefix(f"-A {rule.chain} ")


def _endpoints(node: Node, seen: Capture) -> list[str]:
    """Where the queries went, one by one, as they left the node."""
    found = [str(sighting.server) for sighting in seen.at(node) if sighting.direction == "query"]
    if not found:
        raise NotFound(f"This capture holds no query at {node.eth0.title}.")
    return found
