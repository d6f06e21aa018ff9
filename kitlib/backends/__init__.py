"""The labs, and what each must be able to do; they differ in nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kitlib.result import Result
from kitlib.sighting import Frame, VantagePoint


class PointCapture(NamedTuple):
    """What one vantage point caught: tcpdump's own words (made when somebody asks for them), and the frames."""

    place: str
    interface: str
    note: str
    words: Callable[[], Result]
    frames: tuple[Frame, ...]


class RuleTrace(NamedTuple):
    """What a node's kernel told of the rules that packets met there, and the rules as they stood meanwhile."""

    words: Result
    rules: Result


@dataclass
class CaptureData:
    """What a backend fills while it listens: a PointCapture for each vantage point, and what was traced, by place."""

    seen: list[PointCapture] = field(default_factory=list)
    traces: dict[str, RuleTrace] = field(default_factory=dict)


class Backend(Protocol):
    """How argv reaches a place, and how a capture is taken."""

    name: str
    live: bool        # commands run now; if not, they are played
    listens_everywhere: bool        # at all places, whatever the learner names: a recording must be able to replay

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str]) -> AbstractContextManager[CaptureData]:
        """Listen at the points while a block runs, and to the kernels of the places `traced`; it fills on exit.

        A recording gives all the points that it has.
        """
