"""The questions of notebook 09: queries that do not start in a pod, or start on the node of CoreDNS."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations

from kitlib.capture import Capture
from kitlib.lab import Lab
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.kube_proxy import masquerade_step
from kitlib.place import Node, Place
from kitlib.quiz import Quiz, some_of
from lessons.evidence import query_sightings


def source_at_coredns(lab: Lab, place: Place, first: Node, seen: Capture) -> Quiz:
    """Ask which source address CoreDNS sees (predict); `first` is the node whose rules the query meets first."""
    cables = [(each, pod) for pod in lab.coredns for each in pod.node.interface(pod.veth.interface).addresses]
    pods = [pod for pod in lab.pods_on(first) if not pod.host_network and pod != place and pod.kind != "coredns"]
    hints = {pod.address: f"{pod.address} is {pod.title}, with a cable of its own. Who asks here?" for pod in pods[:1]}
    hints |= {each.partition("/")[0]: f"{each.partition('/')[0]} is the address of {pod.node.title}'s end of CoreDNS's "
              f"cable. Is that how the packet leaves {first.title}?" for each, pod in cables if ":" not in each}
    hints[place.address] = f"{place.address} is what dig uses. Then a rule has its say: it is no pod's address."
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
