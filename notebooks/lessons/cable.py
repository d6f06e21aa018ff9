"""The questions of notebook 04: the same query at both ends of a cable."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.place import Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import VantagePoint
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
