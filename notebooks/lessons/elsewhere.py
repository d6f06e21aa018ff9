"""The questions of notebook 09, and what it says: queries that start elsewhere than in a pod of another node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import first_of
from kitlib.lab import Lab
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.kube_proxy import masquerade_step
from kitlib.netfilter.path import PacketPath
from kitlib.place import Node, Place
from kitlib.quiz import Quiz, some_of
from lessons.evidence import point_title, query_sightings
from lessons.rules import MARKING


def source_at_coredns(lab: Lab, place: Place, first: Node, seen: Capture) -> Quiz:
    """Ask which source address CoreDNS sees (predict); `first` is the node whose rules the query meets first."""
    cables = [(each, pod) for pod in lab.coredns for each in pod.node.interface(pod.veth.interface).addresses]
    pods = [pod for pod in lab.pods_on(first) if not pod.host_network and pod != place and pod.kind != "coredns"]
    hints = {pod.address: f"{pod.address} is {pod.title}, with a cable of its own. Who asks here?" for pod in pods[:1]}
    hints |= {each.partition("/")[0]: f"{each.partition('/')[0]} is the address of {pod.node.title}'s end of CoreDNS's "
              f"cable. Is that how the packet leaves {first.title}?" for each, pod in cables if ":" not in each}
    hints[place.address] = f"{place.address} is what dig uses. Then a rule decides: it is not the address of a pod."
    hints[first.address] = f"{first.address} is {first.title}'s address on eth0. Does the packet leave by eth0?"
    hints[lab.topology.dns_service] = "That is the destination, as dig writes it."
    return Quiz(
        f"Which source address will CoreDNS see, when {place.title} asks?",
        right=lambda: query_sightings(seen)[-1].source.address, choices=set(hints), hints=hints,
        hint="MASQUERADE gives a packet the address of the interface by which it leaves.",
        more=f"By which interface does {first.title} reach the CoreDNS pods? See its `ip route`, then its `ip addr`.",
        solution=lambda: "The query arrives from {0.source} at {0.point.title}.".format(query_sightings(seen)[-1]))


def eth0s_passed(place: Place, nodes: tuple[Node, ...], seen: Capture) -> Quiz:
    """Ask which nodes' eth0 the query passes on its way to CoreDNS (predict)."""
    choices = {frozenset(node.eth0 for node in some): " and ".join(node.title for node in some) or "none of them"
               for count in range(len(nodes) + 1) for some in combinations(nodes, count)}

    def right() -> str:
        return choices[frozenset(at.point for at in query_sightings(seen) if at.point in {node.eth0 for node in nodes})]

    hints = {choice: f"eth0 of {choice} leads to other machines. Must the query go to another?"
             for choice in choices.values()}
    return Quiz(
        f"{place.title} asks. Of {' and '.join(node.title for node in nodes)}: whose eth0 will the query pass?", right,
        set(choices.values()), hints=hints | {"none of them": "Then both pods would have to run on one node."},
        hint=f"{place.title} runs on {place.machine}. Where does CoreDNS run?",
        solution=lambda: "It was seen at " + ", ".join(at.point.title for at in query_sightings(seen)) + ".")


def who_is_masqueraded(traced_paths: Mapping[str, TracedPath]) -> Quiz:
    """Ask which of the senders, by name, CoreDNS sees under another address (check)."""
    paths = {name: traced.path for name, traced in traced_paths.items()}
    right = frozenset(name for name, path in paths.items() if path.packet.source != path.after.source
                      or path.packet.sport != path.after.sport)

    def hint_for(given: frozenset[str]) -> str:
        wrong = sorted(given - right)
        if wrong:
            path = paths[wrong[0]]
            return f"{wrong[0]} keeps its source {path.packet.source}: {masquerade_step(path).why}."
        return f"Those, yes, but not only those: there are {len(right)}."

    return Quiz(
        f"Whose source is rewritten on the way? (Of {', '.join(paths)}; several: with commas between.)", right,
        hints=hint_for, read=partial(some_of, {name.casefold(): name for name in paths}),
        hint="The table says it in the column with the source.",
        solution="All whose source lies outside the range that the marking rule spares.")


def marking_rule(seen: Capture, node: Node, place: Place) -> Table:
    """Say which rule asks where a query comes from, and what it says to this one."""
    step = masquerade_step(seen.traced_query(node).path)
    return table([{"rule": step.rule.text, "outcome": step.outcome.value, "because": step.why}],
                 title=f"On {node.title} the query of {place.title} met this rule")


def changes(path: PacketPath) -> Table:
    """List the rules that changed the packet or its mark, in order."""
    return table([{"chain": step.chain, "rule": step.rule.text, "mark": f"{step.after.mark:#x}", "packet": step.after}
                  for step in path.matched if step.rule and (step.is_rewrite or step.after.mark != step.packet.mark)],
                 title="What was changed, in order")


def mark_and_port(seen: Capture, path: PacketPath) -> note:
    """Say what the mark did, and which source port the packet has on the wire. Raises NotFound if it got no mark."""
    mark = first_of((step.verdict.partition(":")[2] for step in path.matched if step.verdict in MARKING),
                    f"{path.packet} met no rule that marks it.")
    masquerade = first_of((step for step in path.matched if step.rule and step.rule.target == "MASQUERADE"),
                          f"{path.packet} met no rule that masquerades it.")
    wire = seen.journey().client_leg.hops[0].sighting.source.port
    word = next((f": the rule says `{word}`, so the kernel chose another" for word in ("--random-fully", "fully-random")
                 if word in masquerade.rule.text), "")
    drawn = "" if wire == path.packet.sport else word
    return note(f"`{mark}` set a mark, a note that the kernel keeps with the packet and that no wire carries. "
                f"`{masquerade.chain}` found it, took it off, and masqueraded. "
                f"dig asked from port **{path.packet.sport}**; on the wire it is **{wire}**{drawn}.")


def leaves_by(path: PacketPath) -> note:
    """Say which source MASQUERADE gave, by the interface that the packet leaves by."""
    return note(f"dig wrote the source {path.packet.source}. The packet leaves by {path.after.out_interface}, and "
                f"MASQUERADE gives it that interface's address: **{path.after.source}**. The same rule as before, "
                "another way out.")


def first_node(lab: Lab, place: Place, seen: Capture) -> Node:
    """Return the node that the first packet was sent to, by its Ethernet address. Raises NotFound."""
    mac = seen.frames(place)[0].data[:6].hex(":")
    return first_of((node for node in lab.nodes if node.interface(node.interface_name).mac == mac),
                    f"No node of this lab has the MAC address {mac} on the interface with its address.")


def without_the_mark(through: Node, place: Place, server: Node) -> note:
    """Say what would happen to the answer if the query were not masqueraded."""
    return note(f"{through.title} rewrote both ends, and undoes both on the way back. Without the masquerade, CoreDNS "
                f"would answer to {place.address}, and its node knows the way: "
                f"{server.netfilter().route(place.address).why}. The answer would not pass {through.title}. It would "
                f"come from an address that {place.title} never asked, and be thrown away.")


def cable_to_cable(seen: Capture, node: Node) -> note:
    """Say which places the query passed, and with which TTL it arrived."""
    arrived, places = query_sightings(seen)[-1], ", ".join(map(point_title, query_sightings(seen)))
    return note(f"The query's way: {places}. The node is still a router, so the TTL is **{arrived.ttl}** at "
                f"{point_title(arrived)}. Its routes: {node.netfilter().route(arrived.destination.address).why}.")


def traced_queries(captures: Mapping[str, tuple[Capture, Node]]) -> dict[str, TracedPath]:
    """Return each sender's query as its node's kernel traced it."""
    return {name: seen.traced_query(node) for name, (seen, node) in captures.items()}


def one_rule(traced: Mapping[str, TracedPath]) -> Table:
    """Say which rule decides about all senders, and how often the walk agrees with the kernel."""
    rules = {masquerade_step(each.path).rule.text for each in traced.values()}
    agreed = sum(not each.differences for each in traced.values())
    return table([{"the rule that decides about the source": rule} for rule in rules],
                 title=f"In {agreed} of {len(traced)} cases walk and kernel agree in every line")
