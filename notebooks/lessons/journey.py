"""The questions of notebook 08: the journey with CoreDNS's own question in it, and where its time goes."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.capture import Capture
from kitlib.drawings.latency_spans import BACK, PHASES, SERVER, THERE, UNSEEN, UPSTREAM, by_phase, medians, spans
from kitlib.errors import NotFound
from kitlib.journey.model import Journey, Leg
from kitlib.lab import Lab
from kitlib.netfilter.path import PacketPath
from kitlib.quiz import Quiz, number


def whom_coredns_asks(lab: Lab, seen: Capture) -> Quiz:
    """Ask where CoreDNS sends a question that it cannot answer (predict); `seen` holds one."""
    theirs, last = (leg.server.address for leg in _upstream(seen))
    service, node = lab.topology.dns_service, lab.coredns[0].node
    return Quiz(
        "The name is not the cluster's, so CoreDNS must ask somebody else. To which address does it send its question?",
        theirs, {theirs, last, service, node.address}, hints={
            last: f"{last} is where the question ends, but CoreDNS has never heard of it.",
            service: f"{service} is CoreDNS itself, behind its Service: that question would go in a circle.",
            node.address: f"{node.address} is {node.title} itself, and no nameserver in its own resolv.conf."},
        hint="CoreDNS is a program with a resolv.conf. Its pod has the dnsPolicy Default: the node's resolv.conf.",
        solution=f"The node's resolv.conf says: nameserver {theirs}.")


def where_it_ends(path: PacketPath) -> Quiz:
    """Ask what the node does with CoreDNS's question (predict); `path` is its way through that node."""
    sent, stays = path.packet.destination, "it is delivered to a program on the node itself"
    leaves, back = "it leaves the node by eth0", "it is sent back into the pod's cable"
    return Quiz(
        f"What does CoreDNS's node do with the question to {sent}?",
        {"is delivered here": stays, "goes out of eth0": leaves}.get(path.end, back), {stays, leaves, back}, hints={
            stays: f"{sent} is no address of the node. Does a rule rewrite it?",
            leaves: f"A route to {sent} leads out of eth0. But the ladder never shows leg 2 there.",
            back: f"Only {path.packet.source} is behind that cable, and it is the one who asks."},
        hint="Which vantage points show leg 2 in the ladder, and which do not?",
        more="The route is looked up after PREROUTING, perhaps for another destination than the one CoreDNS wrote.",
        solution=f"{path.packet} {path.end}, with the destination {path.after.destination}:{path.after.dport}.")


def what_both_carry(seen: Capture) -> Quiz:
    """Ask what the two upstream legs have in common (check)."""
    two, three = (leg.hops[0].sighting for leg in _upstream(seen))
    parts = {"the DNS id": (two.message.id, three.message.id), "the source address": (two.source[0], three.source[0]),
             "the source port": (two.source[1], three.source[1]),
             "the destination": (two.destination, three.destination)}
    same = [part for part, (one, other) in parts.items() if one == other]
    return Quiz(
        "What do leg 2 and leg 3 have in common?", " and ".join(same) or "nothing",
        {*parts, " and ".join(same) or "nothing"},
        hints={part: f"{part.capitalize()}: {one} in leg 2, {other} in leg 3." for part, (one, other) in parts.items()},
        hint="Compare the headings of both legs in the ladder, and their first arrows.",
        solution=f"{', '.join(f'{part}: {parts[part][0]}' for part in same) or 'Nothing'}. A resolver on the node took "
                 "the question from one socket and passed it on from another.")


def where_time_goes(journeys: Sequence[Journey]) -> Quiz:
    """Ask which part of the way takes most of an uncached query's time, by the medians (predict)."""
    parts = medians([by_phase(spans(one)) for one in journeys if one.upstream_legs and one.came_back])
    if not parts:
        raise NotFound("None of these journeys has an upstream leg.")
    most = max(parts, key=lambda part: parts[part][0])
    why = {THERE: "Four kernels' worth of rules and cables, and yet", BACK: "The way back mirrors the way there:",
           SERVER: "CoreDNS does work, but", UPSTREAM: "It asks one more server, but", UNSEEN: "Out of sight"}
    return Quiz(
        "CoreDNS has to ask upstream. Which part of the query's way takes most of the time?", most,
        {part for part in PHASES if part in parts},
        hints={part: f"{why[part]} the median is {parts[part][0] / 1000:,.0f} µs." for part in parts},
        hint="A kernel needs microseconds for a packet; programs must be woken, and other machines must answer.",
        solution=f"{most}: {parts[most][0] / 1000:,.0f} µs in the middle of these takes.")


def takes_from_the_cache(journeys: Sequence[Journey]) -> Quiz:
    """Ask how many of the takes needed nobody but CoreDNS (check)."""
    upstream = sum(bool(one.upstream_legs) for one in journeys)
    return Quiz(
        f"How many of the {len(journeys)} takes did CoreDNS answer from its cache?", len(journeys) - upstream,
        read=number, hints={upstream: f"{upstream} is how many have upstream legs: in those it had to ask.",
                            len(journeys): "In some takes the ladder has more than one leg: there it had to ask."},
        hint="Count the takes with a single leg.",
        solution=f"{upstream} of {len(journeys)} have upstream legs; the others end at CoreDNS.")


def _upstream(seen: Capture) -> tuple[Leg, Leg]:
    """Return CoreDNS's own leg, and the last one that follows from it. Raises NotFound."""
    if not (legs := seen.journey().upstream_legs):
        raise NotFound("CoreDNS asked nobody in this take: the answer was in its cache.")
    return legs[0], legs[-1]
