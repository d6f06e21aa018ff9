"""A live lab: commands run for real, packets are caught as they pass. Labs differ only in how argv reaches a place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial

from kitlib.backends import CaptureData, PointCapture
from kitlib.backends.rule_trace import tracing
from kitlib.errors import KitError, ParseError
from kitlib.parsers.dns import sightings
from kitlib.parsers.pcap import frames
from kitlib.result import Result, typed_on_host
from kitlib.shell import Running, background, has, run
from kitlib.sighting import VantagePoint

Words = Callable[[str, tuple[str, ...]], tuple[str, ...]]
LISTEN = ("--immediate-mode", "-U", "-w", "-", "port", "53")
READ = ("tcpdump", "-v", "-n", "-r", "-")
START_S = 20        # a tcpdump that does not listen by then never will
QUIET_S = 0.1       # nothing more came for so long: what was asked has been answered
PATIENCE_S = 1      # … or will not be answered any more


class LiveLab:
    """Runs commands and captures. `reach(place, argv)` gives the argv that, run here, runs `argv` at the place."""

    live, listens_everywhere = True, False

    def __init__(self, name: str, reach: Words, typed: Callable[[str, tuple[str, ...]], str] = typed_on_host,
                 timeout: float = 60) -> None:
        self.name, self.reach, self.typed, self.timeout = name, reach, typed, timeout
        self._arm: Callable[[Sequence[str]], None] | None = None        # before a command runs under a rule trace

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; KitError if it has not ended after `timeout` seconds."""
        if arm := self._arm:
            self._arm = None        # it runs commands itself
            arm(argv)
            self._arm = arm
        outcome = run(self.reach(place, argv), self.timeout)
        return Result(self.typed(place, argv), argv, outcome.rc, outcome.stdout, outcome.stderr)

    def result(self, place: str, argv: tuple[str, ...], stdout: str) -> Result:
        """What a program that ran beside a block has said."""
        return Result(self.typed(place, argv), argv, 0, stdout, note="live")

    @contextmanager
    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str] = ()) -> Iterator[CaptureData]:
        """Listen at all the points while the block runs, until what it asked is answered; trace the rules meanwhile."""
        caught = CaptureData()
        argvs = [("tcpdump", "-i", point.interface, *LISTEN) for point in points]
        with ExitStack() as stack:
            listeners = [stack.enter_context(background(self.reach(point.place, argv)))
                         for point, argv in zip(points, argvs, strict=True)]
            for listener in listeners:
                listener.wait_for("listening on", START_S)
            if traced:
                self._arm = stack.enter_context(tracing(self, traced, caught))
            try:
                yield caught
            finally:
                self._arm = None
            _settle(listeners)
            for listener in listeners:
                listener.interrupt()
        for point, argv, listener in zip(points, argvs, listeners, strict=True):
            pcap = listener.stdout
            words = cache(partial(self._words, point, argv, pcap))      # a program each, and seldom asked for
            caught.seen.append(PointCapture(point.place, point.interface, "live", words, frames(pcap, point.title)))

    def _words(self, point: VantagePoint, argv: tuple[str, ...], pcap: bytes) -> Result:
        typed = f"{self.typed(point.place, argv)} | {' '.join(READ)}"
        if not has(READ[0]):        # where a node or an image listens, this machine need not be able to
            return Result(typed, argv, 0, "", note="live; this machine has no tcpdump that could print it")
        read = run(READ, self.timeout, stdin=pcap)
        if read.rc:
            raise KitError(f"tcpdump could not read what it caught at {point.title}: {read.stderr.strip()}")
        return Result(typed, argv, 0, read.stdout, note="live")


def _settle(listeners: list[Running]) -> None:
    """Wait until every query seen anywhere has been answered and nothing more comes; PATIENCE_S at the most."""
    end, before = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < end:
        now = [listener.stdout for listener in listeners]
        if now == before and all(map(_answered, now)):
            return
        before = now
        time.sleep(QUIET_S)


def _answered(pcap: bytes) -> bool:
    try:
        seen = sightings(frames(pcap))
    except ParseError:      # a packet is just being written
        return False
    return 2 * sum(not sighting.message.is_response for sighting in seen) <= len(seen)
