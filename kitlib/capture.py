"""Listening while something runs: what every vantage point saw of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from kitlib.backends import CaptureData, PointCapture, RuleTrace
from kitlib.errors import NotFound, NotRecorded
from kitlib.place import Node, Place
from kitlib.result import Result
from kitlib.sighting import Frame, Sighting, VantagePoint

if TYPE_CHECKING:
    from kitlib.journey.model import Journey
    from kitlib.netfilter.compare import TracedPath

# Imported late, in the methods: the readers of DNS, the join, the rules; opening a lab needs none of them.


class Capture:
    """`with lab.capture(pod, node) as seen:` listens until the block ends; then `seen` can be asked."""

    def __init__(self, listening: AbstractContextManager[CaptureData], points: tuple[VantagePoint, ...],
                 vantage_point: Callable[[str, str], VantagePoint]) -> None:
        self.points = points
        self._vantage_point = vantage_point
        self._listening = listening
        self._seen: dict[VantagePoint, PointCapture] = {}
        self._frames: dict[VantagePoint, tuple[Frame, ...]] = {}

    def __enter__(self) -> Capture:
        self._caught = self._listening.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.__exit__(*error)
        if error[0] is None:
            self._keep()

    def _keep(self) -> None:
        for seen in self._caught.seen:
            point = self._vantage_point(seen.place, seen.interface)
            if point in self.points or (not self.points and seen.interface != "any"):
                self._seen[point] = seen
                self._frames[point] = self._frames.get(point, ()) + seen.frames
        missing = [point.title for point in self.points if point not in self._seen]
        if missing:
            there = ", ".join(self._vantage_point(place, interface).title for place, interface, *_ in self._caught.seen)
            raise NotRecorded(f"No capture was recorded at {', '.join(missing)}. Recorded were: {there}.")
        self.points = tuple(self._seen)

    def __repr__(self) -> str:
        counts = [f"{len(self.at(point)):>4} at {point.title}" for point in self.points]
        return "\n".join([f"DNS messages seen{f' ({self.note})' if self.note else ''}:", *counts])

    @property
    def note(self) -> str:
        """Which take of how many was caught, if it can come out differently."""
        return "; ".join(dict.fromkeys(seen.note for seen in self._seen.values() if seen.note))

    def tcpdump(self, point: Place | VantagePoint) -> Result:
        """What tcpdump said at one vantage point, in its own words."""
        return self._seen[self._chosen(point)].words()

    def trace(self, node: Node) -> Result:
        """What the kernel of a node told of the rules that the packets met there, as xtables-monitor or nft monitor say it."""
        return self._traced(node).words

    def traced_paths(self, node: Node) -> tuple[TracedPath, ...]:
        """Every packet that this node's kernel traced, and beside it the rule walk by the rules of that moment."""
        from kitlib.netfilter.compare import traced_paths
        from kitlib.parsers import xtables_monitor

        traced = self._traced(node)
        netfilter = node.netfilter(traced.rules, traced.native)
        if netfilter.nft:
            from kitlib.netfilter.nft_compare import traced_by_nft

            return traced_by_nft(netfilter, traced.words.text, traced.listing.text if traced.listing else "")
        return traced_paths(netfilter, xtables_monitor.traces(traced.words.text))

    def traced_query(self, node: Node) -> TracedPath:
        """Of those packets the client's query, on the node whose kernel it met first."""
        wire = self.journey().client_leg.farthest.sighting
        for one in self.traced_paths(node):
            after = one.path.after
            if (after.source, after.destination) == (wire.source.address, wire.destination.address) and \
                    after.sport in (None, wire.source.port):
                return one
        raise NotFound(f"The rule trace on {node.title} does not tell of the query {wire.source} → {wire.destination}.")

    def _traced(self, node: Node) -> RuleTrace:
        if node.id not in self._caught.traces:
            there = ", ".join(place.rpartition(":")[2] for place in self._caught.traces)
            raise NotFound(f"No rule trace was taken on {node.title}. " + (
                f"There is one of: {there}." if there else "Ask for it: lab.capture(trace=True)."))
        return self._caught.traces[node.id]

    def frames(self, point: Place | VantagePoint) -> tuple[Frame, ...]:
        """The raw frames at one vantage point."""
        return self._frames[self._chosen(point)]

    def at(self, point: Place | VantagePoint) -> tuple[Sighting, ...]:
        """The DNS messages seen at one vantage point, in order of time."""
        from kitlib.parsers.dns import sightings

        chosen = self._chosen(point)
        return sightings(self._frames[chosen], chosen)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The DNS messages seen at all vantage points, in order of time."""
        every = (sighting for point in self.points for sighting in self.at(point))
        return tuple(sorted(every, key=lambda sighting: sighting.time_ns))

    def journeys(self) -> tuple[Journey, ...]:
        """The sightings joined into journeys, in the order in which the queries started."""
        from kitlib.journey.join import join

        return tuple(replace(journey, note=self.note) for journey in join(self.sightings))

    def journey(self) -> Journey:
        """The journey that matters here: of those that began nearest to the first vantage point, the earliest."""
        journeys = self.journeys()
        if not journeys:
            raise NotFound("No DNS message was seen at these vantage points, so there is no journey to show.")
        return min(journeys, key=lambda journey: self.points.index(journey.hops[0].sighting.point))

    def _chosen(self, point: Place | VantagePoint) -> VantagePoint:
        chosen = point if isinstance(point, VantagePoint) else point.default_point
        if chosen not in self._seen:
            raise NotFound(f"This capture did not listen at {chosen.title}. It listened at: "
                           f"{', '.join(known.title for known in self.points) or 'nothing yet'}.")
        return chosen


def asked_upstream(takes: Sequence[Capture]) -> Capture:
    """The last of several captures in which CoreDNS had to ask another server."""
    found = [seen for seen in takes if seen.journey().upstream_legs]
    if not found:
        raise NotFound(f"In none of {len(takes)} takes did CoreDNS ask another server: its cache had the answer. "
                       "Wait until the answer has expired (30 s), then run this cell again.")
    return found[-1]
