"""The questions of notebook 05, and what it says: where the destination is rewritten."""

from __future__ import annotations

from itertools import pairwise

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import Sighting, VantagePoint
from lessons.evidence import point_title, query_sightings, seen_at, server_of, where_it_goes


def destination_at_the_node(lab: Lab, pod: Pod, seen: Capture) -> Quiz:
    """Ask which destination the node's eth0 will show (predict)."""
    service = lab.topology.dns_service
    return where_it_goes(
        lab, pod, f"Which destination will the query have at {pod.node.eth0.title}?",
        lambda: seen_at(seen, pod.node.eth0).destination.address, {
            service: f"{service} is what the pod wrote. No interface has it: who should answer to it on the wire?",
            pod.node.resolv_conf().nameservers_asked[0]: "It is still on its way to CoreDNS, which may ask there.",
            "127.0.0.1": "What goes to 127.0.0.1 never leaves the machine, so eth0 would not show it."},
        hint=f"Somebody must have an interface with this address; {service} is on none.",
        solution=lambda: f"{seen_at(seen, pod.node.eth0).destination} stands where the pod had written "
                         f"{query_sightings(seen)[0].destination}.")


def ttl_at(seen: Capture, point: VantagePoint) -> Quiz:
    """Ask for the TTL in the IP header of the query at a vantage point (check)."""
    return Quiz(
        f"Which TTL does the query have in its IP header at {point.title}?",
        right=lambda: seen_at(seen, point).ttl, read=number,
        hints=lambda given: next((
            f"{given} is what {point_title(other)} shows. Each machine that forwards the packet takes 1 away."
            for other in query_sightings(seen) if other.ttl == given), ""),
        hint="tcpdump -v prints it: ttl and a number.",
        solution=lambda: "On the way: " + ", ".join(
            f"{each.ttl} at {point_title(each)}" for each in query_sightings(seen)) + ".")


def where_it_was_rewritten(seen: Capture) -> Quiz:
    """Ask between which neighbouring vantage points the destination changed (check). Needs a filled capture."""
    stretches = {f"between {point_title(one)} and {point_title(two)}": (one, two)
                 for one, two in pairwise(query_sightings(seen))}
    changed = [stretch for stretch, (one, two) in stretches.items() if one.destination != two.destination]
    shown = {stretch: f"{one.destination} before, {two.destination} after" for stretch, (one, two) in stretches.items()}
    return Quiz(
        "Where was the destination rewritten?", " and ".join(changed) or "nowhere",
        {*stretches, " and ".join(changed) or "nowhere"},
        hints={stretch: f"{shown[stretch]}: it is the same." for stretch in stretches},
        hint="Find the last vantage point that still shows the destination that the pod wrote.",
        solution="; ".join(shown[stretch] for stretch in changed) + ".")


def who_got_it(lab: Lab, journey: Journey) -> note:
    """Say which pod's address took the place of the ClusterIP."""
    leg = journey.client_leg
    owner = server_of(lab, journey)
    return note(f"**{leg.server}** has become **{leg.endpoint}**: the pod `{owner.name}` on {owner.node.title}. "
                "This is *DNAT*, destination network address translation.")


def routed(before: Sighting, after: Sighting) -> note:
    """Say that the TTL fell, as it does at every router, and that the question is untouched."""
    return note(f"The TTL went from **{before.ttl}** to **{after.ttl}**: the node has *routed* the packet, and every "
                f"router takes one off. The question is untouched: `{before.message.question}` before, "
                f"`{after.message.question}` after.")


def list_rewrites(journey: Journey) -> note:
    """List where the client's query and its response were rewritten, and how long it all took."""
    hops = journey.client_leg.hops
    rewrites = [f"- {rewrite} at {point_title(hop.sighting)}" for hop in hops for rewrite in hop.rewrites]
    total = (hops[-1].sighting.time_ns - hops[0].sighting.time_ns) // 1000
    return note(f"{len(hops)} sightings of one question and its answer in **{total} µs**, and {len(rewrites)} "
                "rewrites:\n\n" + "\n".join(rewrites))


def further_questions(journey: Journey) -> note:
    """Say whether CoreDNS knew the answer itself, or whom it asked."""
    legs = [f"{leg.client} → {leg.server}" for leg in journey.upstream_legs]
    return note(f"CoreDNS did not know the answer. It asked further: {', then '.join(legs)}. Notebook 08 follows that "
                "leg." if legs else "CoreDNS knew the answer itself: nobody else was asked.")
