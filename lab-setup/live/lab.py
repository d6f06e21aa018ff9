"""What live labs share: commands that run now, packets caught as they pass. They differ in how they reach a place."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial

from kitlib.backends import CaptureData, PointCapture
from kitlib.errors import ParseError
from kitlib.parsers.pcap import frames, whole_records
from kitlib.parsers.sightings import sightings
from kitlib.result import Result, typed_on_host
from kitlib.sighting import DNS_PORT, VantagePoint
from live_labs.rule_trace import tracing
from live_labs.shell import MOST_BYTES, Running, has, run

Reach = Callable[[str, tuple[str, ...]], tuple[str, ...]]
MOST_PACKETS = 100_000      # at one vantage point: on a busy machine tcpdump would fill the memory
LISTEN = ("--immediate-mode", "-U", "-c", str(MOST_PACKETS), "-w", "-")
FRAGMENTS = "(ip[6:2] & 0x1fff != 0) or (ip6[6] == 44)"       # behind the first they have no ports (pcap-filter(7))
READ = ("tcpdump", "-v", "-n", "-r", "-")
START_S = 20        # a tcpdump that does not listen by then never will
AT_ONCE = 4         # starting a program is mostly waiting for it
QUIET_S = 0.1       # nothing more came for so long: what was asked has been answered
PATIENCE_S = 1      # … or will not be answered any more
POLL_S = 0.005
WHOLE = "live"      # the note of a capture that lacks nothing


class LiveLab:
    """Runs commands and captures. `reach(place, argv)` gives the argv that, run here, runs `argv` at the place."""

    live, listens_everywhere = True, False

    def __init__(self, name: str, reach: Reach, typed: Callable[[str, tuple[str, ...]], str] = typed_on_host,
                 timeout: float = 60) -> None:
        self.name, self.reach, self.typed, self.timeout = name, reach, typed, timeout
        self._arm: Callable[[Sequence[str]], None] | None = None        # before a command runs under a rule trace

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place. Raises TimedOut if it has not ended after `timeout` seconds."""
        if arm := self._arm:
            self._arm = None        # it runs commands itself
            arm(argv)
            self._arm = arm
        outcome = run(self.reach(place, argv), self.timeout)
        return Result(self.typed(place, argv), argv, outcome.rc, outcome.stdout, outcome.stderr)

    @contextmanager
    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str] = (), ports: Sequence[int] = (DNS_PORT,)
                ) -> Iterator[CaptureData]:
        """Listen at all the points while the block runs, until what it asked is answered; trace the rules meanwhile."""
        data = CaptureData()
        listen = (*LISTEN, " or ".join([*(f"(port {port})" for port in ports), FRAGMENTS]))
        argvs = [("tcpdump", "-i", point.interface, *listen) for point in points]
        with ExitStack() as stack:
            listeners = _start(stack, [self.reach(point.place, argv)
                                       for point, argv in zip(points, argvs, strict=True)])
            if traced:
                self._arm = stack.enter_context(tracing(self, traced, data, ports))
            try:
                yield data
            finally:
                self._arm = None
            _settle(listeners, ports)
            notes = [_note(listener) for listener in listeners]
            for listener in listeners:
                listener.interrupt()
        for point, argv, listener, ended in zip(points, argvs, listeners, notes, strict=True):
            pcap, note = listener.stdout, "; ".join([ended, *_dropped(listener)])
            pcap = pcap if ended == WHOLE else whole_records(pcap)
            words = cache(partial(self._words, point, argv, pcap))      # a program each, and seldom asked for
            data.seen.append(PointCapture(point.place, point.interface, note, words, frames(pcap, point.title),
                                          note == WHOLE))

    def _words(self, point: VantagePoint, argv: tuple[str, ...], pcap: bytes) -> Result:
        typed = f"{self.typed(point.place, argv)} | {' '.join(READ)}"
        if not has(READ[0]):        # where a node or an image listens, this machine need not be able to
            return Result(typed, argv, 0, "", note="live; this machine has no tcpdump that could print it")
        read = run(READ, self.timeout, stdin=pcap)
        return Result(typed, argv, read.rc, read.stdout, read.stderr if read.rc else "", note="live")


def _start(stack: ExitStack, argvs: list[tuple[str, ...]]) -> list[Running]:
    """Start all the listeners side by side, then wait until each listens; the stack stops them.

    The threads stay until then: what dies with its parent (setpriv --pdeathsig) dies with the thread that started it.
    """
    def start(argv: tuple[str, ...]) -> Running:
        listener = Running(argv)
        stack.callback(listener.stop)
        return listener

    listeners = list(stack.enter_context(ThreadPoolExecutor(AT_ONCE)).map(start, argvs))
    for listener in listeners:
        listener.wait_for("listening on", START_S)
    return listeners


def _note(listener: Running) -> str:
    """Return how these frames were caught; a listener that has ended by itself did not hear everything."""
    if listener.is_full:
        return f"live; what came after {MOST_BYTES // 2**20} MB was left out: capture for a shorter time"
    if listener.is_running:
        return WHOLE
    if f"{MOST_PACKETS} packets captured" in listener.stderr:
        return f"live; what came after {MOST_PACKETS:,} packets was left out: capture for a shorter time"
    return f"live; tcpdump ended early: {' '.join(listener.stderr.split()) or 'it did not say why'}"


def _dropped(listener: Running) -> list[str]:
    """Say how many packets passed that tcpdump could not take; it tells when it ends (tcpdump(1))."""
    return [f"{count} packets were dropped by the {where} and are not seen" for count, where
            in re.findall(r"^(\d+) packets? dropped by (\w+)", listener.stderr, re.M) if int(count)]


def _settle(listeners: list[Running], ports: Sequence[int]) -> None:
    """Wait until every query seen anywhere has been answered and nothing more comes; PATIENCE_S at the most.

    Only what is new is read, and only when nothing more came for QUIET_S.
    """
    now = time.monotonic()
    end, quiet_at, sizes = now + PATIENCE_S, now + QUIET_S, [-1] * len(listeners)
    while now < end:
        if (written := [listener.written for listener in listeners]) != sizes:
            sizes, quiet_at = written, now + QUIET_S
        elif now >= quiet_at:
            if all(_is_answered(listener.stdout, ports) for listener in listeners):
                return
            quiet_at = end
        time.sleep(POLL_S)
        now = time.monotonic()


def _is_answered(pcap: bytes, ports: Sequence[int]) -> bool:
    try:
        seen = sightings(frames(pcap), ports=ports)
    except ParseError:      # a packet is just being written
        return False
    return 2 * sum(not sighting.message.is_response for sighting in seen) <= len(seen)
