"""The questions of notebooks 04 and 05: the same query at several vantage points.

`seen` is a capture; it may still be empty when the question is asked, and has to be filled when it is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.quiz import Question, number
from kitlib.sighting import VantagePoint
from lessons.evidence import seen_at, title_of, way_of, where_it_goes


def what_changes(seen: Capture, before: VantagePoint, after: VantagePoint) -> Question:
    """04 and 05, predict: what differs between two vantage points in the IP and UDP headers of the query."""
    parts = ("source", "destination", "TTL")

    def values(part: str) -> tuple[object, object]:
        return getattr(seen_at(seen, before), part.lower()), getattr(seen_at(seen, after), part.lower())

    def said(some: Sequence[str] = parts) -> str:
        shown = ("{} {}, then {}".format(part, *values(part)) for part in some)
        return f"{before.title}, then {after.title}: {'; '.join(shown)}." if some else ""

    def changed() -> list[str]:
        return [part for part in parts if len(set(values(part))) == 2]

    def hint_for(given: str) -> str:
        claimed = [part for part in parts if part.lower() in given]
        return said(claimed) + (" That is true, and more changes." if claimed and set(claimed) < set(changed()) else "")

    return Question(
        f"What changes in the query between {before.title} and {after.title}?",
        right=lambda: " and ".join(f"the {part}" for part in changed()) or "nothing",
        choices=("nothing", "the TTL", "the source", "the destination", "the destination and the TTL",
                 "the source and the TTL"), hints=hint_for,
        hint="Compare both lines of tcpdump: source, destination and ttl.", solution=said)


def ifindex_of_the_other_end(pod: Pod) -> Question:
    """04, check: the number of the node's end of the cable."""
    def right() -> int:
        peer, end = pod.interface("eth0").peer_index, pod.node.interface(pod.veth.interface)
        if peer != end.index:
            raise NotFound(f"The pod says that the other end of its cable is {peer}, but {end.name} is {end.index}.")
        return end.index

    hints = {each.index: f"{each.index} is {each.name} on {pod.node.title}." for each in pod.node.interfaces()}
    own = pod.interface("eth0").index
    hints[own] = f"{own} is eth0's own index in the pod. The other end's stands behind the @."
    return Question(
        f"Which ifindex has the other end of the cable, on {pod.node.title}?", right, read=number, hints=hints,
        hint="`ip addr` in the pod says eth0@if and a number.",
        solution=lambda: f"eth0@if{right()} in the pod; {right()} is {pod.veth.interface} on {pod.node.title}.")


def destination_at_the_node(lab: Lab, pod: Pod, seen: Capture) -> Question:
    """05, predict: the destination that the node's eth0 will show."""
    service = lab.topology.dns_service
    return where_it_goes(
        lab, pod, f"Which destination will the query have at {pod.node.eth0.title}?",
        lambda: seen_at(seen, pod.node.eth0).destination.address, {
            service: f"{service} is what the pod wrote. No interface has it: who should answer to it on the wire?",
            pod.node.resolv_conf().nameservers_asked[0]: "The query is still on its way to CoreDNS, which may ask on.",
            "127.0.0.1": "What goes to 127.0.0.1 never leaves the machine, so eth0 would not show it."},
        hint=f"Somebody must have an interface with this address; {service} is on none.",
        solution=lambda: f"{seen_at(seen, pod.node.eth0).destination} stands where the pod had written "
                         f"{way_of(seen)[0].destination}.")


def ttl_at(seen: Capture, point: VantagePoint) -> Question:
    """05, check: the TTL in the IP header of the query at a vantage point."""
    return Question(
        f"Which TTL does the query have in its IP header at {point.title}?",
        right=lambda: seen_at(seen, point).ttl, read=number,
        hints=lambda given: next((
            f"{given} is what {title_of(other)} shows. Each machine that forwards the packet takes 1 away."
            for other in way_of(seen) if other.ttl == given), ""),
        hint="tcpdump -v prints it: ttl and a number.",
        solution=lambda: "On the way: " + ", ".join(f"{each.ttl} at {title_of(each)}" for each in way_of(seen)) + ".")


def where_it_was_rewritten(seen: Capture) -> Question:
    """05, check: between which two neighbouring vantage points the destination changed. Needs a filled capture."""
    legs = {f"between {title_of(one)} and {title_of(two)}": (one, two) for one, two in pairwise(way_of(seen))}
    changed = [words for words, (one, two) in legs.items() if one.destination != two.destination]
    shown = {words: f"{one.destination} before, {two.destination} after" for words, (one, two) in legs.items()}
    return Question(
        "Where was the destination rewritten?", " and ".join(changed) or "nowhere",
        (*legs, " and ".join(changed) or "nowhere"),
        hints={words: f"{shown[words]}: it is the same." for words in legs},
        hint="Find the last vantage point that still shows the destination that the pod wrote.",
        solution="; ".join(shown[words] for words in changed) + ".")
