"""The netns lab: how long until it is ready and gone again, and what listening everywhere adds to a query."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Cost, Row, in_turn, not_measured, timed

from kitlib.errors import KitError
from kitlib.lab import Lab
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import read
from netns_lab.holder import NamespaceHolder

NAME = "www.example.com"
READY_S, GONE_S, CAPTURE_S = 1, 0.5, 0.35
BARS = {"netns lab ready": f"at most {READY_S} s on the clock", "netns lab gone": f"at most {GONE_S} s on the clock",
        "a capture at all points of the netns lab": f"adds at most {CAPTURE_S} s to the query on an idle machine"}


def rows(rounds: int, _folder: Path) -> Iterator[Row]:
    """Yield the rows about the netns lab."""
    try:
        holder = up(read(), "benchmark")
    except KitError as error:
        yield from (not_measured(what, bar, str(error).splitlines()[0]) for what, bar in BARS.items())
        return
    capture = _capture(rounds, holder)
    took = (*_up_and_down(rounds), capture.seconds)
    notes = ("", "", f" at {capture.result} points{_load()}")
    for (what, bar), seconds, note, most in zip(BARS.items(), took, notes, (READY_S, GONE_S, CAPTURE_S), strict=True):
        yield Row(what, bar, f"{seconds:.2f} s{note}", seconds <= most)


def _load() -> str:
    """Say so if this machine is not idle, for then the clock measures more than the kit."""
    load = os.getloadavg()[0]
    return f"; this machine is not idle, load average {load:.1f}" if load > 1 else ""


def _capture(rounds: int, holder: NamespaceHolder) -> Cost:
    """Return the seconds that a capture everywhere adds to a query, and at how many points that is."""
    lab = Lab(NetnsLab(holder))
    try:
        _everywhere(lab)            # loads what reads packets
        query, capture = in_turn(rounds, {"dig in a pod": lambda: _on_the_clock(lambda: lab.client.dig(NAME)),
                                          "with a capture everywhere": lambda: _on_the_clock(lambda: _everywhere(lab))}
                                 ).values()
    finally:
        holder.end()
    return Cost(capture.seconds - query.seconds, result=capture.result)


def _everywhere(lab: Lab) -> int:
    with lab.capture() as seen:
        lab.client.dig(NAME)
    return len(seen.points)


def _up_and_down(rounds: int) -> tuple[float, float]:
    """Return how long a lab took to be ready, and to be gone."""
    holders: list[NamespaceHolder] = []
    ready, gone = in_turn(rounds, {
        "lab up": lambda: _on_the_clock(lambda: holders.append(up(read(), "benchmark"))),
        "lab down": lambda: _on_the_clock(lambda: holders.pop().end())}).values()
    return ready.seconds, gone.seconds


def _on_the_clock(work: Callable) -> Cost:
    seconds, result = timed(work, time.monotonic)
    return Cost(seconds, result=result)
