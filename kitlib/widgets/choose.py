"""A list to choose from with the mouse or the arrow keys, and what belongs to the choice below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget

MOST_ROWS = 10


def choose(label: str, options: Sequence[str], show: Callable[[int], str]) -> list[Widget]:
    """The list called `label`, the first option chosen; `show` gives the HTML for the option with this number."""
    import ipywidgets

    rows = max(2, min(MOST_ROWS, len(options)))
    listed = ipywidgets.Select(options=list(zip(options, range(len(options)), strict=True)), value=0, rows=rows,
                               description=label, tooltip=f"{label}: choose with the arrow keys",
                               layout={"width": "100%", "max_width": "820px", "height": f"{rows * 20 + 12}px"})
    shown = ipywidgets.HTML(show(0))
    listed.observe(lambda change: setattr(shown, "value", show(change["new"])), "value")
    return [listed, shown]
