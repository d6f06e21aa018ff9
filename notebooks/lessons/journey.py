"""The questions of notebook 08, and what it says: CoreDNS's own question, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.latency import BACK, PHASES, SERVER, THERE, UNSEEN, UPSTREAM, by_phase, medians, spans
from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound, first_of
from kitlib.journey.model import Journey, Leg
from kitlib.lab import Lab
from kitlib.netfilter.packet import packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import Sighting, VantagePoint
from lessons.evidence import point_title, server_of


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


def what_went_by(lab: Lab, seen: Capture) -> note:
    """Say at which places more than the client's own query went by, and at which nothing."""
    busy = [point.title for point in seen.points if len(seen.at(point)) > 2]
    quiet = [point.title for point in seen.points if point.kind == "coredns" and not seen.at(point)]
    return note(f"One dig, and **{len(seen.sightings)}** DNS messages. Your query and its answer make two at each "
                f"place that they pass. At {', '.join(busy)} more went by. Nothing at "
                f"{', '.join(quiet) or 'no other CoreDNS pod'}: the coin chose {server_of(lab, seen.journey()).title}.")


def policy_of(server: Pod) -> note:
    """Say which dnsPolicy a CoreDNS pod has, and whose resolv.conf it gets."""
    return note(f"`{server.name}` has the dnsPolicy **{server.dns_policy}**. With `Default` a pod gets the resolv.conf "
                f"of its node, here {server.node.title}.")


def list_legs(journey: Journey) -> Table:
    """List the legs: from where, to where, with which DNS id, and where they were seen."""
    return table([{"leg": number, "from": leg.client, "to": leg.server, "DNS id": leg.hops[0].sighting.message.id,
                   "seen at": list(dict.fromkeys(point_title(hop.sighting) for hop in leg.hops))}
                  for number, leg in enumerate(journey.legs, 1)], title="One query, leg by leg")


def question_at(journey: Journey, point: VantagePoint) -> Sighting:
    """Return CoreDNS's own question as it was seen here. Raises NotFound."""
    return first_of((hop.sighting for hop in journey.upstream_legs[0].queries if hop.sighting.point == point),
                    f"CoreDNS's own question was not seen at {point.title}.")


def how_far_it_came(lab: Lab, server: Pod, journey: Journey) -> note:
    """Say whether leg 2 took the way out of its node that its destination asks for."""
    own, node = journey.upstream_legs[0], server.node
    passed = {hop.sighting.point for hop in own.hops}
    return note(f"The route to {own.server.address}: {node.netfilter().route(own.server.address).why}. But leg 2 "
                f"{'did leave' if node.eth0 in passed else 'never left'} {node.title} by its eth0, and the bridge "
                f"{'saw it' if lab.host.bridge in passed else 'never saw it'}.")


def rewritten_before_routing(path: PacketPath) -> note:
    """Say for which address the route was looked up."""
    return note("Rewritten in PREROUTING, *before* the routing decision. So the route is looked up for the new "
                f"address: {path.at('routing').why}. The packet {path.end}.")


def made_on(node: Node, leg: Leg) -> PacketPath:
    """Return the path of the question that a program on the node sent: by no interface, with the route's source."""
    netfilter = node.netfilter()
    source = netfilter.source_for(netfilter.route(leg.server.address))
    return simulate(netfilter, packet_from(leg.queries[0].sighting)._replace(in_interface="", source=source))[0]


def its_source(lab: Lab, path: PacketPath, leg: Leg) -> note:
    """Say whether that question is masqueraded, and who gets it."""
    rules = [step for step in path.matched if step.rule and step.rule.target == "MASQUERADE"]
    owners = {at.address: at.title for at in lab.containers}
    return note(f"{'It is masqueraded' if rules else 'It is not masqueraded'}: source {path.packet.source} before, "
                f"{path.after.source} after, and eth0 showed {leg.client.address}. It goes to {leg.server}: "
                f"{owners.get(leg.server.address, 'a server outside this lab')}.")


def journeys_of(takes: Sequence[Capture]) -> list[Journey]:
    """Return the client's journey of each take; a recording with fewer takes plays them again, which counts once."""
    first: dict[str, Capture] = {}
    for count, seen in enumerate(takes):
        first.setdefault(seen.note if seen.note.startswith("recorded: ") else str(count), seen)
    return [seen.journey() for seen in first.values()]


def list_takes(journeys: Sequence[Journey]) -> Table:
    """List the takes: when the pod asked, the TTL that the answer had left, and how many legs there were."""
    return table([_take(number, journey) for number, journey in enumerate(journeys, 1)],
                 title=f"{_takes(len(journeys))}: the pod can tell the first four columns itself")


def _takes(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
    return f"{words[count] if count < len(words) else count} {'take' if count == 1 else 'takes'}"


def _take(number: int, journey: Journey) -> dict[str, object]:
    first, last = journey.hops[0].sighting, journey.hops[-1].sighting
    answers = journey.client_leg.response.answers if journey.client_leg.response else ()
    return {"take": number, "asked at (UTC)": f"{datetime.fromtimestamp(first.time_ns // 10**9, UTC):%H:%M:%S}",
            "TTL in the answer (s)": answers[0].ttl if answers else "", "µs": (last.time_ns - first.time_ns) // 1000,
            "CoreDNS pod": journey.client_leg.endpoint.address, "legs": len(journey.legs),
            "sightings": len(journey.hops)}
