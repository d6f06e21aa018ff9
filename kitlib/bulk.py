"""What work on very many objects needs: no garbage collection meanwhile, and a bar that shows how far it is."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

MANY = 20_000             # so many frames, queries or legs take about two seconds

Item = TypeVar("Item")


@contextmanager
def collection_paused() -> Iterator[None]:
    """Leave the cyclic garbage collector off while the block (or decorated function) runs.

    It looks at all that was built so far again and again, and finds nothing: half of the time where there are millions
    of objects. Memory without cycles is freed all the same.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def progress_bar(items: Collection[Item], description: str) -> Iterable[Item]:
    """Return the items to loop over; if there are many, a bar shows how far the loop is once it has taken a second."""
    if len(items) < MANY:
        return items
    from tqdm.auto import tqdm

    return tqdm(items, description, delay=1, leave=False, disable=None)     # None: quiet unless a terminal or notebook
