"""The questions of notebook 06, and what it says: which rules a packet matches, and what the coin does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from kitlib.backends import KUBE_PROXY
from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import CommandFailed, NoAccess, NotFound, NotRecorded
from kitlib.lab import Lab
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.endpoint_shares import Share
from kitlib.netfilter.kube_proxy import masquerade_step
from kitlib.netfilter.matches import judge
from kitlib.netfilter.packet import Packet, RuleOutcome, packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.conntrack import Connection
from kitlib.parsers.iptables_save import Rule
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import Sighting
from lessons.evidence import path_to, point_title, query_rewritten

MOST_RULES = 6      # more choices than that nobody reads
MARKING = ("JUMP:KUBE-MARK-MASQ", "JUMP:mark-for-masquerade")       # what marks a packet, in either mode


def mode_of(node: Node) -> note:
    """Say whether kube-proxy is in nftables mode on a node, and where its rules are told of then."""
    try:
        tables = node.nft_tables()
    except (CommandFailed, NoAccess, NotRecorded) as error:
        return note(f"Whether kube-proxy is in nftables mode here is not known: {str(error).splitlines()[0]}")
    if KUBE_PROXY not in tables:
        return note(f"{node.title} has no `{KUBE_PROXY}`: kube-proxy is not in nftables mode here, and its rules are "
                    "looked for in iptables.")
    return note(f"kube-proxy is in **nftables mode** on {node.title}: its rules are in `{KUBE_PROXY}`, and iptables "
                "has no chain KUBE-SERVICES. [10 Ask where nftables decides](10-ask-where-nftables-decides.ipynb) "
                "reads them. Cells about iptables' chains of a Service have nothing to show here, and say so; all "
                "others run.")


def rule_it_matches(netfilter: Netfilter, path: PacketPath, chain: str) -> Quiz:
    """Ask which rule of a chain of nat a packet matches first, out of those about its destination."""
    steps = [step for step in path.steps if (step.table, step.chain) == ("nat", chain)]
    if not steps:
        elsewhere = " kube-proxy is in nftables mode here: notebook 10 reads its rules." if netfilter.nft else ""
        raise NotFound(f"{path.packet} did not come to {chain}.{elsewhere}")
    packet = steps[0].packet
    known = netfilter.ruleset.tables["nat"][chain].candidates(packet.destination, packet.protocol, packet.dport)
    rules = {_short(rule): rule for rule in known}
    matched = next((step for step in steps if step.outcome is RuleOutcome.MATCHED), None)
    right = _short(matched.rule) if matched else "none of them"

    def hint_for(given: str) -> str:
        rule = next((rule for text, rule in rules.items() if text.casefold() == given), None)
        if rule is None:
            return f"Look at {right.rpartition(' -j ')[2]} again: which of its conditions does not hold?"
        judged = judge(rule, packet, netfilter)
        why = judged.why if judged.outcome is RuleOutcome.SKIPPED else "it may fit, but a rule above it matches first"
        return f"{rule.target}: {why}."

    return Quiz(
        f"{packet}, mark {packet.mark:#x}: which rule of {chain} does it match first?",
        right, {*list({right: None} | rules)[:MOST_RULES], "none of them"}, hints=hint_for,
        hint="Read the rules from the top, condition by condition: protocol, address, port, mark.",
        more="A `!` turns a condition round: the rule fits where it does not hold. Try it on each rule from the top.",
        solution=f"{matched.why} → {matched.verdict}." if matched else "Each rule wants something else.")


def chance_of_the_last(paths: Sequence[PacketPath]) -> Quiz:
    """Ask with which probability the packet gets the endpoint whose rule stands last (predict)."""
    last, rest = paths[-1], 1 - paths[-1].probability
    right = Fraction(last.probability).limit_denominator(1000)
    return Quiz(
        f"With which probability does a query get {last.after.destination}, whose rule stands last?",
        str(right), set(map(str, (right, 1, 0, right / 2))),
        hints={"1": "That rule has no condition, yes. But only what the rules before it did not take comes to it.",
               "0": f"The rules before it take {rest:.3g} of the connections, not all.",
               str(right / 2): f"That would leave {rest:.3g} for the rules before it, and {right / 2} for nobody."},
        hint="What do the rules before it leave?",
        more="Every query gets one of the endpoints: what must the probabilities of all of them add up to?",
        solution=f"1 - {rest:.3g}: what the rules before it leave.")


def how_the_coin_falls(seen: Capture) -> Quiz:
    """Ask how many connections are shared out (predict); they are counted behind the rewrite."""
    same, turns, chance = "all get the same one", "each one in turn", "in no order, about as many for each"

    def repeats() -> list[int]:
        return [number for number, (one, other) in enumerate(pairwise(_endpoints(seen)), 1) if one == other]

    def right() -> str:
        return turns if not repeats() else chance if len(set(_endpoints(seen))) > 1 else same

    def counts() -> str:
        return ", ".join(f"{count} to {at}" for at, count in sorted(Counter(_endpoints(seen)).items())) + "."

    def hint_for(given: str) -> str:
        if given != turns or not repeats():
            return counts()
        first = repeats()[0]
        return f"Queries {first} and {first + 1} both went to {_endpoints(seen)[first]}."

    return Quiz(
        "Many queries, each from a new source port. How are they shared out among the endpoints?",
        right, {same, turns, chance}, hints=hint_for, hint="A coin remembers nothing.",
        more="If they took turns, no two queries in a row would get the same endpoint.", solution=counts)


def endpoints_of_one_port(seen: Capture, paths: Sequence[PacketPath]) -> Quiz:
    """Ask how many endpoints answer the queries from one source port (predict)."""
    in_the_rules = len({path.after.destination for path in paths})

    def hint_for(given: int) -> str:
        if given == in_the_rules:
            return f"{given} endpoints stand in the rules. Are those read for each packet?"
        is_count = given == len(_endpoints(seen))
        return f"{given} queries, but are they {given} connections?" if is_count else ""

    return Quiz(
        "The same source port asks again and again: how many different endpoints get its queries?",
        right=lambda: len(set(_endpoints(seen))), read=number, hints=hint_for,
        hint="What is the first packet of a connection, and what are the others?",
        solution=lambda: f"All went to {_endpoints(seen)[0]}: nat's rules are read for a connection's first "
                         "packet, and conntrack remembers their result.")


def who_is_not_masqueraded(lab: Lab, node: Node, pod: Pod, service: str) -> Quiz:
    """Ask which of several senders' queries does not meet MASQUERADE (check)."""
    netfilter = node.netfilter()
    senders = {f"the pod {pod.title}": (pod.address, pod.veth.interface), f"{node.title} itself": (node.address, ""),
               "the host": (lab.host.address, node.eth0.interface)}
    paths = {sender: simulate(netfilter, Packet(source, service, sport=40000, in_interface=interface))[0]
             for sender, (source, interface) in senders.items()}
    marks = {sender: step for sender, path in paths.items() for step in path.matched
             if step.verdict in MARKING}
    spared = [sender for sender, path in paths.items()
              if not any(step.rule and step.rule.target == "MASQUERADE" for step in path.matched)]
    right = " and ".join(spared) or "none of them"
    return Quiz(
        f"Each asks {service} through {node.title}. Whose query does not meet MASQUERADE?",
        right, {*paths, right, "none of them"},
        hints={sender: f"{step.why} → {step.verdict}. POSTROUTING masquerades what carries that mark."
               for sender, step in marks.items()},
        hint="Which rule sets the mark, and for which sources?",
        solution="; ".join(f"{sender}: {_source(path.packet)} before, {_source(path.after)} after"
                           for sender, path in paths.items()) + ".")


def _source(packet: Packet) -> str:
    return f"{packet.source}, {f'port {packet.sport}' if packet.sport else 'another port, chosen at random,'}"


def _short(rule: Rule) -> str:
    """Return a rule without the name of its chain."""
    return rule.text.removeprefix(f"-A {rule.chain} ")


def _endpoints(seen: Capture) -> list[str]:
    """Return where the queries went, one by one, once their destination was rewritten. Raises NotFound."""
    found = [str(query.server) for query in rewritten_queries(seen)]
    if not found:
        raise NotFound("This capture holds no query.")
    return found


def hook_it_does_not_meet(path: PacketPath, node: Node) -> Quiz:
    """Ask which hook a pod's packet does not meet on its node (predict)."""
    hooks = ("PREROUTING", "OUTPUT", "FORWARD", "POSTROUTING")
    met = {step.hook for step in path.hook_steps}
    right = " and ".join(hook for hook in hooks if hook not in met) or "none of them"
    where = {"PREROUTING": "where what comes in by an interface begins", "FORWARD": "what goes on to another machine",
             "POSTROUTING": "the last one before any packet leaves", "OUTPUT": "where what is made here begins"}
    return Quiz(
        f"Which of these hooks does {path.packet} not meet on {node.title}?", right, {*hooks, right},
        hints={hook: f"{hook}: {where[hook]}. This packet {path.end}, and came in by {path.packet.in_interface}."
               for hook in hooks},
        hint="Was this packet made on the node, or did it come in?",
        more="A pod has a network of its own: to its node, the pod's packet comes in by an interface.",
        solution=f"{right}: {where.get(right, 'it meets them all')}. The walkthrough skips OUTPUT too, \"because the "
                 "destination is not this machine\". That is a slip: OUTPUT is for what was made on this machine, "
                 "wherever it goes.")


def before_and_after(before: Sighting, after: Sighting) -> note:
    """Say for whom the query came in, and for whom it left."""
    return note(f"It came in at {point_title(before)} for **{before.destination}**, and left at {point_title(after)} "
                f"for **{after.destination}**.")


def packet_table(packet: Packet, node: Node) -> Table:
    """Show what of a packet the rules look at."""
    columns = ["in_interface", "source", "sport", "destination", "dport", "protocol", "mark"]
    return table([packet._asdict()], columns, title=f"The packet as {node.title} gets it")


def path_taken(paths: Sequence[PacketPath], after: Sighting) -> PacketPath:
    """Return the path that this sighting shows was taken. Raises NotFound."""
    return path_to(paths, after.destination.address)


def ways(paths: Sequence[PacketPath]) -> Table:
    """List the ways that a packet may take, with the probability of each."""
    return table([{"endpoint": path.after.destination, "probability": round(path.probability, 3), "then": path.end}
                  for path in paths], title="The ways that this packet may take")


def rewritten_queries(seen: Capture) -> list[Sighting]:
    """Return every query of a capture as it was once its destination was rewritten."""
    return [query_rewritten(journey) for journey in seen.journeys()]


def is_it_fair(shares: Sequence[Share]) -> note:
    """Say how often a fair coin would come out at least this uneven."""
    total, chance = sum(share.counted for share in shares), min(share.p_value for share in shares)
    verdict = "nothing speaks against it." if chance > 0.05 else "that is rare. Repeat it before you doubt the coin."
    return note(f"{total} throws. A fair coin comes out at least this uneven in **{chance:.0%}** of such series: "
                f"{verdict}")


def later_packet(seen: Capture, pod: Pod, known: Sequence[Connection]) -> note:
    """Say what nat does with the second query from one port, when conntrack knows the first."""
    queries = [sighting for sighting in seen.at(pod.veth) if sighting.direction == "query"]
    for connection in known:
        if connection.original.source == queries[1].source:
            again = simulate(pod.node.netfilter(), packet_from(queries[1]), connection)[0]
            return note(f"Query 2 of {len(queries)}, nat at PREROUTING: {again.at('PREROUTING', 'nat').why}.")
    raise NotFound(f"conntrack knows no connection from {queries[1].source}.")


def why_no_mark(path: PacketPath) -> Table:
    """Say why the Service's rule for the mark did not match, and with which source the packet leaves."""
    step = masquerade_step(path)
    return table([{"rule": step.rule.text, "outcome": step.outcome.value, "because": step.why}],
                 title=f"The packet leaves with the mark {path.after.mark:#x} and the source {path.after.source}")


def agreement(traced: TracedPath, node: Node) -> note:
    """Say on how much the kernel's trace and the walk agree."""
    chains = len({(line.table, line.chain) for line in traced.trace_lines})
    return note(f"The kernel reported {len(traced.trace_lines)} rules and policies in {chains} chains of {node.title}. "
                f"Differences from the walk: **{len(traced.differences)}**.")
