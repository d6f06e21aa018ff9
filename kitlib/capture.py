"""Listening while something runs: what every vantage point saw of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from kitlib.backends import CaptureData, PointCapture, RuleTrace
from kitlib.bulk import progress_bar
from kitlib.errors import KitError, NotFound, NotRecorded, first_of
from kitlib.escapes import printable
from kitlib.place import Node, Place
from kitlib.result import Result
from kitlib.sighting import DNS_PORT, Frame, LeftOut, Sighting, VantagePoint, left_out_lines

if TYPE_CHECKING:
    from scapy.packet import Packet

    from kitlib.journey.model import Journey
    from kitlib.netfilter.compare import TracedPath
    from kitlib.parsers.sightings import Reading

# Imported late, in the methods: the readers of DNS, the join, the rules; opening a lab needs none of them.


class Capture:
    """`with lab.capture(pod, node) as seen:` listens until the block ends; then `seen` can be asked."""

    def __init__(self, listening: AbstractContextManager[CaptureData], points: tuple[VantagePoint, ...],
                 vantage_point: Callable[[str, str], VantagePoint], ports: Sequence[int] = (DNS_PORT,)) -> None:
        self.points = points
        self._ports = ports
        self._vantage_point = vantage_point
        self._listening = listening
        self._seen: dict[VantagePoint, PointCapture] = {}
        self._readings: dict[VantagePoint, Reading] = {}
        self._has_failed = False

    def __enter__(self) -> Capture:
        self._caught = self._listening.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.__exit__(*error)
        self._has_failed = error[0] is not None
        if not self._has_failed:
            self._keep()

    def _keep(self) -> None:
        for seen in self._caught.seen:
            point = self._vantage_point(seen.place, seen.interface)
            if point in self.points or (not self.points and seen.interface != "any"):
                if before := self._seen.get(point):
                    seen = seen._replace(frames=before.frames + seen.frames,
                                         is_whole=before.is_whole and seen.is_whole)
                self._seen[point] = seen
        missing = [point.title for point in self.points if point not in self._seen]
        if missing:
            there = ", ".join(self._vantage_point(place, interface).title for place, interface, *_ in self._caught.seen)
            raise NotRecorded(f"No capture was recorded at {', '.join(missing)}. Recorded were: {there}. "
                              "To have it, record a cluster of your own: python -m kitlib record --help")
        self.points = tuple(self._seen)

    def __repr__(self) -> str:
        counts = [f"{len(self.at(point)):>4} at {point.title}" for point in self.points]
        lines = left_out_lines(self.left_out)
        return printable("\n".join([f"DNS messages seen{f' ({self.note})' if self.note else ''}:", *counts,
                                    *(["Left out:"] if lines else []), *(f"   {line}" for line in lines)]))

    @property
    def note(self) -> str:
        """Say which take of how many this is, if it can come out differently."""
        return "; ".join(dict.fromkeys(seen.note for seen in self._seen.values() if seen.note))

    def tcpdump(self, point: Place | VantagePoint) -> Result:
        """Return what tcpdump printed at one vantage point."""
        return self._seen[self._chosen(point)].words()

    def trace(self, node: Node) -> Result:
        """Return what the node's kernel said of the rules met: `xtables-monitor --trace`, or `nft monitor trace`."""
        return self._traced(node).words

    def traced_paths(self, node: Node) -> tuple[TracedPath, ...]:
        """Return every packet that this node's kernel traced, and beside it the rule walk by the rules of that time."""
        from kitlib.netfilter.compare import traced_paths
        from kitlib.parsers import xtables_monitor

        traced = self._traced(node)
        netfilter = node.netfilter(traced.rules, traced.native)
        if netfilter.nft:
            from kitlib.netfilter.nft_compare import traced_by_nft

            return traced_by_nft(netfilter, traced.words.text, traced.listing.text if traced.listing else "")
        return traced_paths(netfilter, xtables_monitor.traces(traced.words.text))

    def traced_query(self, node: Node) -> TracedPath:
        """Return the client's query among those packets, on the node whose kernel it met first."""
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
        """Return the raw frames at one vantage point."""
        return self._seen[self._chosen(point)].frames

    def packets(self, point: Place | VantagePoint) -> tuple[Packet, ...]:
        """Return the frames at one vantage point as scapy's packets: to show, to change, to write to a file."""
        try:
            from scapy.layers import dns, inet, inet6, l2  # noqa: F401  (with these scapy takes IP and DNS apart too)
            from scapy.packet import Raw
        except ImportError:
            raise KitError("scapy is not installed here: `at` and `frames` show the packets without it.") from None
        layers = {1: l2.Ether, 113: l2.CookedLinux, 276: l2.CookedLinuxV2, 0: l2.Loopback, 108: l2.Loopback,
                  101: inet.IP, 228: inet.IP, 229: inet6.IPv6}
        packets = tuple(layers.get(frame.link_type, Raw)(frame.data) for frame in self.frames(point))
        for packet, frame in zip(packets, self.frames(point), strict=True):
            packet.time = frame.time_ns / 10**9
        return packets

    def at(self, point: Place | VantagePoint) -> tuple[Sighting, ...]:
        """Return the DNS messages seen at one vantage point, in order of time."""
        return self._reading(self._chosen(point)).sightings

    def _reading(self, point: VantagePoint) -> Reading:
        from kitlib.parsers.sightings import read_frames

        if point not in self._readings:
            frames = progress_bar(self._seen[point].frames, f"Reading {point.title}")
            self._readings[point] = read_frames(frames, point, self._ports)
        return self._readings[point]

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Return the frames in which no DNS message could be read, each with the reason."""
        return tuple(one for point in self._seen for one in self._reading(point).left_out)

    @cached_property
    def sightings(self) -> tuple[Sighting, ...]:
        """The DNS messages seen at all vantage points, in order of time."""
        self._check_success()
        every = (sighting for point in self.points for sighting in self.at(point))
        return tuple(sorted(every, key=lambda sighting: sighting.time_ns))

    def journeys(self) -> tuple[Journey, ...]:
        """Return the sightings joined into journeys, in the order in which the queries started."""
        return self._journeys

    @cached_property
    def _journeys(self) -> tuple[Journey, ...]:
        from kitlib.journey.join import join

        is_whole = all(seen.is_whole for seen in self._seen.values())
        return tuple(replace(journey, note=self.note, left_out=self.left_out, is_whole=is_whole)
                     for journey in join(self.sightings))

    def journey(self) -> Journey:
        """Return the earliest of the journeys that began nearest to the first vantage point."""
        journeys = self.journeys()
        if not journeys:
            lines = [f"\n   {line}" for line in left_out_lines(self.left_out)]
            raise NotFound("No DNS message was seen at these vantage points, so there is no journey to show."
                           + "".join([" Left out were:", *lines] if lines else []))
        return min(journeys, key=lambda journey: self.points.index(journey.hops[0].sighting.point))

    def _check_success(self) -> None:
        if self._has_failed:
            raise NotFound("Nothing was captured: the block of this capture ended with an error. Run it again.")

    def _chosen(self, point: Place | VantagePoint) -> VantagePoint:
        self._check_success()
        chosen = point if isinstance(point, VantagePoint) else point.default_point
        if chosen not in self._seen:
            raise NotFound(f"This capture did not listen at {chosen.title}. It listened at: "
                           f"{', '.join(known.title for known in self.points) or 'nothing yet'}.")
        return chosen


def asked_upstream(takes: Sequence[Capture]) -> Capture:
    """Return the last of several captures in which CoreDNS had to ask another server."""
    return first_of((seen for seen in reversed(takes) if seen.journey().upstream_legs),
                    f"In none of {len(takes)} takes did CoreDNS ask another server: its cache had the answer. "
                    "Wait until the answer has expired (30 s), then run this cell again.")
