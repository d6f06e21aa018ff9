"""What every lab offers behind the same interface: run a command, listen while something runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kitlib.result import Result
from kitlib.sighting import Frame, VantagePoint


class Seen(NamedTuple):
    """What one vantage point caught: tcpdump's own words, and the frames."""

    place: str
    interface: str
    words: Result
    frames: tuple[Frame, ...]


@dataclass
class Caught:
    """What a backend fills while it listens: a Seen for each vantage point, and by place what the kernel traced."""

    seen: list[Seen] = field(default_factory=list)
    traces: dict[str, Result] = field(default_factory=dict)


class Backend(Protocol):
    """The only thing in which labs differ: how argv reaches a place, and how a capture is taken."""

    name: str

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def capture(self, points: tuple[VantagePoint, ...], trace: bool) -> AbstractContextManager[Caught]:
        """Listen at these points (at all that there are, if none is named); with `trace`, to the nodes' kernels too."""
