"""The game of one look at a time: what one vantage point saw, and how few looks halving the path would have needed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound
from kitlib.journey.model import Hop
from kitlib.place import Place
from kitlib.sighting import VantagePoint
from workshop.case import Case

BESIDE = 7                # the number of all vantage points that are not on the way


class Look(NamedTuple):
    """One look: where, and whether the query was there."""

    title: str
    found: bool


def path_order(case: Case, points: Iterable[VantagePoint]) -> tuple[VantagePoint, ...]:
    """Return vantage points in the order in which a healthy query passes them; those beside the path come last."""
    return tuple(sorted(points, key=lambda point: _station(case, point)))


def _station(case: Case, point: VantagePoint) -> int:
    """Number the stations of a healthy query, from the pod (0) to CoreDNS (6)."""
    is_eth0 = point.interface == "eth0"
    if point.place == case.pod.id:
        return 0
    if point.place == case.pod.node.id:
        return 2 if is_eth0 else 1
    if point.kind == "host":
        return 3
    if point.place in {server.node.id for server in case.lab.coredns}:
        return 4 if is_eth0 else 5
    return 6 if point.kind == "coredns" else BESIDE


def look(case: Case, place: Place | VantagePoint) -> Table:
    """Show what one vantage point saw of the query that waits in vain. Looks are counted: `debrief` tells how many."""
    point = place.default_point if isinstance(place, Place) else place
    if point not in case.points:
        heard = ", ".join(each.title for each in case.points) or "nowhere yet: case = case.with_sight_of(seen)"
        raise NotFound(f"Nobody listened at {point.title}. There was listening at: {heard}.")
    hops = _hops_at(case, point)
    if point.title not in case.looks:
        case.looks.append(point.title)
    found = "the query passed" if hops else "nothing of the query"
    return table([hop.sighting for hop in hops], ["source", "destination", "ttl", "ip_id"],
                 title=f"Look {case.looks.index(point.title) + 1}, at {point.title}: {found}")


def _hops_at(case: Case, point: VantagePoint) -> list[Hop]:
    """Return where the query that waits in vain was seen at this vantage point. Raises NotFound if none waits."""
    if case.unanswered is None:
        raise NotFound("Every query in this capture was answered, so none of them waits.")
    return [hop for hop in case.unanswered.queries if hop.sighting.point == point]


def halving(case: Case) -> list[Look]:
    """Return the looks that halving takes: each in the middle between where the query was and where it was not."""
    on_the_way = [point for point in path_order(case, case.points) if _station(case, point) < BESIDE]
    stations = [list(group) for _, group in groupby(on_the_way, key=lambda point: _station(case, point))]
    seen_at, missing_at = 0, len(stations)
    looks = []
    while missing_at - seen_at > 1:
        middle = (seen_at + missing_at) // 2
        passed = [point for point in stations[middle] if _hops_at(case, point)]
        looks.append(Look((passed or stations[middle])[0].title, bool(passed)))
        seen_at, missing_at = (middle, missing_at) if passed else (seen_at, middle)
    return looks
