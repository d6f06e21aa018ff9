"""The labs, and what each must be able to do; they differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from kitlib.result import Result
from kitlib.sighting import Frame, VantagePoint

# The live labs: name, and the function that gives its backend, imported when asked for.
LIVE: dict[str, str] = {"kind": "kitlib.labs.kind.kind_lab"}

Caught = tuple[str, str, Result, tuple[Frame, ...]]     # place, interface, tcpdump's own words, frames


class Backend(Protocol):
    """How argv reaches a place, and how a capture is taken."""

    name: str
    live: bool        # commands run now; if not, they are played

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def capture(self, points: Sequence[VantagePoint]) -> AbstractContextManager[list[Caught]]:
        """Listen while a block runs; the list fills on exit. A recording gives all the points that it has."""
