"""What no tcpdump showed of a journey, and rules and addresses tell: a program on a node, a server outside.

Nothing here is guessed. A program on a node is there if the node's rules lead the query to it, on every path that they
leave open; a server outside is there if the lab has a container of its address and a response came from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from kitlib.drawings.ladder_words import Gap
from kitlib.errors import CommandFailed, NoAccess, NotRecorded
from kitlib.journey.model import Journey, Leg
from kitlib.lab import Lab
from kitlib.netfilter.packet import packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.place import Node
from kitlib.sighting import Sighting, VantagePoint

BY_RULES, BY_ADDRESS, BY_CAUSE = "from the rules, not seen", "by its address, not seen", "inside the node, not seen"
DOCKERS = "DOCKER"        # how the chains begin that Docker makes for its resolver


def gaps(lab: Lab, journey: Journey) -> tuple[Gap, ...]:
    """Return what the lab's rules and addresses tell of the stretches that no vantage point showed."""
    found: list[Gap] = []
    programs: dict[int, VantagePoint] = {}       # by the number of the leg that ends there
    netfilter = cache(Node.netfilter)            # seven commands, once a node
    for number, leg in enumerate(journey.legs):
        if leg.parent in programs:
            found += _around(leg, programs[leg.parent])
        if path := _delivery(lab, leg, netfilter):
            programs[number] = _program(leg, path)
            found += _to_program(leg, path, programs[number])
        found += _to_container(lab, leg)
    return tuple(found)


def _delivery(lab: Lab, leg: Leg, netfilter: Callable[[Node], Netfilter]) -> PacketPath | None:
    """Return the path on which the rules of the node where a query vanished lead it to a program there."""
    last = leg.queries[-1].sighting if leg.queries else None
    node = last and last.point and next((node for node in lab.nodes if node.id == last.point.place), None)
    if not node:
        return None
    paths = _paths(node, last, netfilter)
    is_rewritten = paths and paths[0].after.destination != paths[0].packet.destination
    return paths[0] if is_rewritten and len(paths) == 1 and paths[0].end == "is delivered here" else None


def _paths(node: Node, last: Sighting, netfilter: Callable[[Node], Netfilter]) -> Sequence[PacketPath]:
    with suppress(NotRecorded, CommandFailed, NoAccess):      # rules that are not known tell nothing
        return simulate(netfilter(node), packet_from(last))
    return ()


def _program(leg: Leg, path: PacketPath) -> VantagePoint:
    address, at = path.after.destination, leg.queries[-1].sighting.point
    is_dockers = any(step.rule and step.rule.chain.startswith(DOCKERS) for step in path.matched)
    name = "Docker's resolver" if is_dockers else "a program"
    return VantagePoint(f"{at.place}/{address}", address, at.machine, "container", f"{name} {address}")


def _to_program(leg: Leg, path: PacketPath, program: VantagePoint) -> list[Gap]:
    old, new = str(leg.server), f"{path.after.destination}:{path.after.dport}"
    there = Gap(leg.queries[-1], program, BY_RULES, False, "destination rewritten (DNAT)", f"{old} → {new}")
    if not leg.responses:
        return [there]
    return [there, Gap(leg.responses[0], program, BY_RULES, True, "source rewritten (DNAT undone)", f"{new} → {old}")]


def _around(leg: Leg, program: VantagePoint) -> list[Gap]:
    """Return how a leg begins and ends at the program that caused it, on the machine where it was seen first."""
    if leg.hops[0].sighting.point.machine != program.machine or not leg.queries:
        return []
    ends = [Gap(leg.responses[-1], program, BY_CAUSE)] if leg.came_back else []
    return [Gap(leg.queries[0], program, BY_CAUSE, True), *ends]


def _to_container(lab: Lab, leg: Leg) -> list[Gap]:
    """Return how a leg reaches a container of this lab that answered and was not listened at."""
    place = next((each for each in lab.containers if each.address == leg.endpoint.address), None)
    seen = {hop.sighting.point.place for hop in leg.hops if hop.sighting.point}
    if not place or place.id in seen or not leg.queries or not leg.responses:
        return []
    there = place.default_point
    return [Gap(leg.queries[-1], there, BY_ADDRESS), Gap(leg.responses[0], there, BY_ADDRESS, True)]
