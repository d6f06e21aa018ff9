"""What files of your own show of a query: its way through each machine's rules, and the findings of `follow`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from follow.explain import netfilter_of
from follow.journeys import answer, is_answered, of_name, sentences_of, to_look_at
from follow.own_files import ADDRESSES, RESOLV_CONF, ROUTES, RULES, OwnFiles
from kitlib.drawings.rule_walk import outcome
from kitlib.errors import KitError, NotFound
from kitlib.journey.model import Journey
from kitlib.netfilter.packet import Packet, packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.sighting import left_out_lines


def journeys_of(own: OwnFiles, name: str = "") -> tuple[Journey, ...]:
    """Return the journeys of a name that one client made.

    Without a name, of the query that was not answered, or else of the one that is seen best. NotFound if there is none.
    """
    found = own.seen.journeys() or (own.seen.journey(),)        # which says why there is none
    if name and not of_name(name, found):
        names = dict.fromkeys(one.question.name for one in found if one.question)
        raise NotFound(f"Nobody asked for {name} in these captures. Asked for were: {', '.join(names)}.")
    some = of_name(name, found) if name else found
    shown = next((one for one in some if not is_answered(one)), max(some, key=lambda one: len(one.hops)))
    client, name = shown.client_leg.client.address, name or (shown.question.name if shown.question else "")
    return tuple(one for one in of_name(name, found) if one.client_leg.client.address == client) or (shown,)


def walk(own: OwnFiles, machine: str, journey: Journey) -> PacketPath:
    """Take the query of a journey through a machine's rules: the way that it took, if the captures show which.

    NotFound if the machine's rules or routes are not among the files.
    """
    rules, routes = own.contents(RULES, machine), own.contents(ROUTES, machine)
    if not rules or not routes:
        lacking, command = ("routes", "ip route show table all") if rules else ("rules", "iptables-save")
        raise NotFound(f"The query cannot be taken through {machine or 'the machine'}: its {lacking} are not among the "
                       f"files. Add the output of `{command}`, as {machine or 'PLACE'}_{lacking}.txt.")
    _check_one_of_a_kind(own, machine)
    addresses, every_route = (tuple(one for found in own.contents(kind, machine) for one in found)
                              for kind in (ADDRESSES, ROUTES))
    query = packet_from(journey.client_leg.hops[0].sighting)
    netfilter = netfilter_of(rules, every_route, addresses, query)
    paths = simulate(netfilter, _packet(journey, machine, netfilter))
    target = journey.client_leg.endpoint.address
    return next((path for path in paths if path.after.destination == target), paths[0])


def _check_one_of_a_kind(own: OwnFiles, machine: str) -> None:
    """Raise KitError where two dumps of a machine are of the same kind: which one held is not known."""
    dumps: dict[object, list[str]] = defaultdict(list)
    for one in own.files:
        if (one.kind, one.place) == (RULES, machine):
            dumps[getattr(one.content, "version", "nftables")].append(one.name)
    for names in dumps.values():
        if len(names) > 1:
            raise KitError(f"{machine or 'The machine'} has several dumps of rules, and which of them held is not "
                           f"known: {', '.join(names)}. Leave one of them.")


def _packet(journey: Journey, machine: str, netfilter: Netfilter) -> Packet:
    """Return the query as it comes into a machine: as captured where it does, or else as captured last before it.

    It comes in where the route back to its sender leads; what the machine itself made comes in nowhere.
    """
    packets = [(hop.sighting.point.machine, packet_from(hop.sighting)) for hop in journey.client_leg.queries]
    if not packets:
        raise NotFound(f"Only the response was captured, so no query can be taken through {machine or 'the machine'}.")
    ways_in = [(packet, "" if netfilter.type_of(packet.source) == "LOCAL" else netfilter.route(packet.source).device)
               for _, packet in packets]
    here = [number for number, (place, _) in enumerate(packets) if place == machine]
    chosen = next((number for number in here if packets[number][1].in_interface == ways_in[number][1]),
                  max(here[0] - 1, 0) if here else 0)
    packet, way_in = ways_in[chosen]
    return packet._replace(in_interface=way_in)


def findings(own: OwnFiles, name: str = "") -> tuple[str, ...]:
    """Say what the files show of a name (see `journeys_of`), and what they leave undecided."""
    journeys = journeys_of(own, name)
    journey = to_look_at(journeys)
    undecided = [*journey.ambiguous, *left_out_lines(own.seen.left_out), *own.damages, *_lacking(own)]
    return (answer(journey), *sentences_of(journeys), *_walks(own, journey),
            *(f"Not decided: {words}" for words in undecided))


def _walks(own: OwnFiles, journey: Journey) -> Iterator[str]:
    for machine in own.machines:
        try:
            yield f"By the rules of {machine or 'the machine'}: {outcome(walk(own, machine, journey))}"
        except KitError as error:
            yield f"Not decided: {error}"


def _lacking(own: OwnFiles) -> Iterator[str]:
    if not own.machines:
        yield "what rules make of the query, for none are among the files"
    if not own.contents(RESOLV_CONF):
        yield "which names a resolver would ask for, for no resolv.conf is among the files"
