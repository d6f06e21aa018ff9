"""Progress of work that takes seconds: a bar in a terminal or notebook, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

MANY = 20_000             # so many frames, queries or legs take about two seconds

Item = TypeVar("Item")


def progress(items: Collection[Item], description: str) -> Iterable[Item]:
    """Return the items to loop over; if there are many, a bar shows how far the loop is once it has taken a second."""
    if len(items) < MANY:
        return items
    from tqdm.auto import tqdm

    return tqdm(items, description, delay=1, leave=False, disable=None)     # None: quiet unless a terminal or notebook
