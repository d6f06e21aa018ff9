"""What a capture says about one query: the facts that the questions on packets ask for. All raise NotFound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitlib.errors import NotFound
from kitlib.sighting import Message, Record, Sighting, VantagePoint

if TYPE_CHECKING:
    from kitlib.capture import Capture
    from kitlib.lab import Lab
    from kitlib.place import Pod


def way_of(seen: Capture) -> tuple[Sighting, ...]:
    """The client's query at every vantage point that it passed, in order."""
    found = tuple(hop.sighting for hop in seen.journey().client_leg.queries)
    if not found:
        raise NotFound("This capture holds no query.")
    return found


def seen_at(seen: Capture, point: VantagePoint) -> Sighting:
    """The client's query at this vantage point."""
    found = [sighting for sighting in way_of(seen) if sighting.point == point]
    if not found:
        raise NotFound(f"The query was not seen at {point.title}, but at {', '.join(map(title_of, way_of(seen)))}.")
    return found[0]


def title_of(sighting: Sighting) -> str:
    """Where it was seen."""
    return sighting.point.title if sighting.point else "an unknown place"


def response_of(seen: Capture) -> Message:
    """The response to the client's query."""
    response = seen.journey().client_leg.response
    if response is None:
        raise NotFound("This capture holds no response.")
    return response


def record_of(seen: Capture) -> Record:
    """The first record of the answer."""
    if not response_of(seen).answers:
        raise NotFound("This response holds no record.")
    return response_of(seen).answers[0]


def destinations(lab: Lab, pod: Pod) -> dict[str, str]:
    """Where a query could go, in words, by address; all CoreDNS pods are one answer, for each may be chosen."""
    coredns = f"{' or '.join(each.address for each in lab.coredns)}, a CoreDNS pod"
    own = pod.node.resolv_conf().nameservers_asked[0]
    service = lab.topology.dns_service
    return {service: f"{service}, the ClusterIP of the DNS Service", "coredns": coredns,
            own: f"{own}, the nameserver of {pod.node.title}",
            "127.0.0.1": "127.0.0.1, the pod itself"}


def destination(lab: Lab, pod: Pod, address: str) -> str:
    """The words for the place that has this address."""
    key = "coredns" if address in [each.address for each in lab.coredns] else address
    return destinations(lab, pod).get(key, address)


def by_choice(lab: Lab, pod: Pod, hints: dict[str, str]) -> dict[str, str]:
    """Hints given by address (or "coredns"), by the words of the choice."""
    return {words: hints[key] for key, words in destinations(lab, pod).items() if key in hints}
