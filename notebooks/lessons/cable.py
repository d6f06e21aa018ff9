"""The questions of notebook 04, and what it says: the same query at both ends of a cable."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.errors import NotFound
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import Sighting, VantagePoint
from lessons.evidence import seen_at


def what_changes(seen: Capture, before: VantagePoint, after: VantagePoint) -> Quiz:
    """Ask what differs between two vantage points in the IP and UDP headers of the query (predict)."""
    parts = ("source", "destination", "TTL")

    def values(part: str) -> tuple[object, object]:
        return getattr(seen_at(seen, before), part.lower()), getattr(seen_at(seen, after), part.lower())

    def compared(some: Sequence[str] = parts) -> str:
        shown = ("{} {}, then {}".format(part, *values(part)) for part in some)
        return f"{before.title}, then {after.title}: {'; '.join(shown)}." if some else ""

    def changed() -> list[str]:
        return [part for part in parts if len(set(values(part))) == 2]

    def hint_for(given: str) -> str:
        claimed = [part for part in parts if part.lower() in given]
        more = " That is true, and more changes." if claimed and set(claimed) < set(changed()) else ""
        return compared(claimed) + more

    return Quiz(
        f"What changes in the query between {before.title} and {after.title}?",
        right=lambda: " and ".join(f"the {part}" for part in changed()) or "nothing",
        choices={"nothing", "the TTL", "the source", "the destination", "the destination and the TTL",
                 "the source and the TTL"}, hints=hint_for,
        hint="Compare both lines of tcpdump: source, destination and ttl.", solution=compared)


def ifindex_of_the_other_end(pod: Pod) -> Quiz:
    """Ask for the ifindex of the node's end of the pod's cable (check)."""
    def right() -> int:
        peer, end = pod.interface("eth0").peer_index, pod.node.interface(pod.veth.interface)
        if peer != end.index:
            raise NotFound(f"The pod says that the other end of its cable is {peer}, but {end.name} is {end.index}.")
        return end.index

    hints = {each.index: f"{each.index} is {each.name} on {pod.node.title}." for each in pod.node.interfaces()}
    own = pod.interface("eth0").index
    hints[own] = f"{own} is eth0's own index in the pod. The other end's stands behind the @."
    return Quiz(
        f"Which ifindex has the other end of the cable, on {pod.node.title}?", right, read=number, hints=hints,
        hint="`ip addr` in the pod says eth0@if and a number.",
        solution=lambda: f"eth0@if{right()} in the pod; {right()} is {pod.veth.interface} on {pod.node.title}.")


def namespace_of_the_other_end(node: Node, pod: Pod) -> Quiz:
    """Ask for the network namespace that holds the other end of the pod's cable (check), from `ip link`."""
    links = {link.peer_namespace: link for link in node.interfaces() if link.peer_namespace}

    def hint_for(given: str) -> str:
        return f"{given} belongs to {links[given].name}. Which interface is the pod's cable?" if given in links else ""

    return Quiz(
        f"In which network namespace is {pod.title}? (Its name, as {node.title} calls it.)",
        right=lambda: pod.netns, choices=set(links), hints=hint_for,
        hint="In `ip link` above, find the interface with the index that the pod's eth0 names; behind it stands "
             "link-netns.",
        solution=lambda: f"{pod.veth.title} has the index {node.interface(pod.veth.interface).index}, and link-netns "
                         f"{pod.netns}.")


def why_the_same_peer_index(node: Node) -> Quiz:
    """Ask why all cables of a node name the same index for their other end (predict)."""
    peers = {link.peer_index for link in node.interfaces() if link.peer_namespace}
    right = "each network namespace counts its own interfaces"
    return Quiz(
        f"Every veth of {node.title} says @if{' or @if'.join(map(str, sorted(peers)))}. Why the same number?", right,
        {right, "they all lead to the same pod", "it is the number of the cable",
         "it is the index of eth0 on the node"},
        hints={"they all lead to the same pod": "Each has another link-netns: another pod.",
               "it is the number of the cable": "Then no two would have the same.",
               "it is the index of eth0 on the node": "Look at the number before eth0 in the list above."},
        hint="In the pod, lo has the index 1. What comes next?",
        solution="An index means something only in its own namespace: in a pod lo is 1, and eth0 mostly 2.")


def compare_ends(inside: Sighting, outside: Sighting) -> note:
    """Say what a cable does to a packet: nothing, within some microseconds."""
    gap = (outside.time_ns - inside.time_ns) // 1000
    return note(f"The same packet, **{gap} µs** later. IP id {inside.ip_id} and {outside.ip_id}, TTL {inside.ttl} and "
                f"{outside.ttl}: a veth pair is a cable, not a router. It changes nothing.")
