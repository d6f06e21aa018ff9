"""A cause of a lost query, and what shows that it holds or does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kitlib.exercises.case import Case


class Finding(NamedTuple):
    """Does a cause hold, and what shows that it does or does not."""

    holds: bool
    words: str


class Cause(NamedTuple):
    """A cause: its name as faults are called, what one says of it, and how to look whether it holds."""

    name: str
    words: str
    look: Callable[[Case], Finding]
