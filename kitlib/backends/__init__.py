"""The ways to reach a lab, one file each, and here what each of them must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kitlib.result import Result
from kitlib.sighting import Frame, VantagePoint

KUBE_PROXY = "table ip kube-proxy"      # is there where kube-proxy is in nftables mode


class PointCapture(NamedTuple):
    """What one vantage point caught: the frames, and what tcpdump prints of them (made when somebody asks for it).

    It is not whole where packets passed that it does not hold; the note, or who made it, says why.
    """

    place: str
    interface: str
    note: str
    words: Callable[[], Result]
    frames: tuple[Frame, ...]
    is_whole: bool = True


class RuleTrace(NamedTuple):
    """What a node's kernel reported of the rules that packets met there, and the rules as they stood meanwhile.

    Where nftables decides also these: `native` from `nft -j list ruleset`, and `listing` from `nft -a list ruleset`.
    """

    words: Result
    rules: Result
    native: Result | None = None
    listing: Result | None = None


@dataclass
class CaptureData:
    """What a backend fills while it listens: a PointCapture for each vantage point, a RuleTrace for each place."""

    seen: list[PointCapture] = field(default_factory=list)
    traces: dict[str, RuleTrace] = field(default_factory=dict)


class Backend(Protocol):
    """A way to reach places and to capture there."""

    name: str
    live: bool                  # commands run now; if not, they are played
    listens_everywhere: bool    # at all points, whichever the learner names: a recording must be able to replay any

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str], ports: Sequence[int]
                ) -> AbstractContextManager[CaptureData]:
        """Listen at the points for these ports, and to the kernels of the places `traced`; fill the data on exit.

        A recording gives all the points that it has.
        """
