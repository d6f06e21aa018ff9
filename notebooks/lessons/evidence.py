"""Read in a capture what the questions ask for: the query at each place, the response. All raise NotFound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kitlib.capture import Capture
from kitlib.errors import NotFound, first_of
from kitlib.journey.join import join
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.netfilter.path import PacketPath
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz
from kitlib.sighting import Message, Sighting, VantagePoint


def query_sightings(seen: Capture) -> tuple[Sighting, ...]:
    """Return the client's query at every vantage point that it passed, in order."""
    found = tuple(hop.sighting for hop in seen.journey().client_leg.queries)
    if not found:
        raise NotFound("This capture holds no query.")
    return found


def seen_at(seen: Capture, point: VantagePoint) -> Sighting:
    """Return the client's query at this vantage point."""
    passed = query_sightings(seen)
    return first_of((sighting for sighting in passed if sighting.point == point),
                    f"The query was not seen at {point.title}, but at {', '.join(map(point_title, passed))}.")


def query_rewritten(journey: Journey) -> Sighting:
    """Return the client's query where it was first seen with another destination than the client gave it."""
    return first_of((hop.sighting for hop in journey.client_leg.queries for rewrite in hop.rewrites
                     if rewrite.end == "destination"),
                    f"The query {journey.question or ''} was not seen with a rewritten destination.")


def response_entering(journey: Journey, node: Node) -> Sighting:
    """Return the response to the client's query where this node first saw it."""
    return first_of((hop.sighting for hop in journey.client_leg.responses
                     if hop.sighting.point and hop.sighting.point.place == node.id),
                    f"The response was not seen on {node.title}.")


def point_title(sighting: Sighting) -> str:
    """Return the title of the place where it was seen."""
    return sighting.point.title if sighting.point else "an unknown place"


def response_of(seen: Capture) -> Message:
    """Return the response to the client's query."""
    response = seen.journey().client_leg.response
    if response is None:
        raise NotFound("This capture holds no response.")
    return response


def where_it_goes(lab: Lab, pod: Pod, prompt: str, address: Callable[[], str], hints: dict[str, str],
                  **more: object) -> Quiz:
    """Ask for a destination, which `address` returns. All CoreDNS pods are one choice, for each may be chosen.

    `hints` are by address, "coredns" for that of any CoreDNS pod.
    """
    pods, own = [each.address for each in lab.coredns], pod.node.resolv_conf().nameservers_asked[0]
    service = lab.topology.dns_service
    choices = {service: f"{service}, the ClusterIP of the DNS Service",
               "coredns": f"{' or '.join(pods)}, a CoreDNS pod",
               own: f"{own}, the nameserver of {pod.node.title}",
               "127.0.0.1": "127.0.0.1, the pod itself"}

    def right() -> str:
        found = address()
        return choices.get("coredns" if found in pods else found, found)

    by_choice = {choices[key]: hint for key, hint in hints.items() if key in choices}
    return Quiz(prompt, right, set(choices.values()), by_choice, **more)


def server_of(lab: Lab, journey: Journey) -> Pod:
    """Return the CoreDNS pod that the client's query was addressed to in the end. Raises NotFound."""
    address = journey.client_leg.endpoint.address
    return first_of((pod for pod in lab.coredns if pod.address == address),
                    f"The query was last seen addressed to {address}, which is no CoreDNS pod: nobody listened where "
                    "it was rewritten. Run it again: another CoreDNS pod may answer, behind another interface.")


def path_to(paths: Sequence[PacketPath], destination: str) -> PacketPath:
    """Return the path on which the packet gets this destination."""
    return first_of((path for path in paths if path.after.destination == destination),
                    f"None of these paths leads to {destination}.")


def client_journey(seen: Capture) -> Journey:
    """Return the client's own leg as a journey: without what CoreDNS asked because of it."""
    own, = join([hop.sighting for hop in seen.journey().client_leg.hops])
    return own
