"""A list to choose from, and what belongs to the choice below it.

JupyterLab takes the arrow keys for its cells while a list has the focus, so two buttons (Tab, then Space or Enter)
step through it too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget

MOST_ROWS = 10


def choose(label: str, options: Sequence[str], show: Callable[[int], str], start: int = 0) -> list[Widget]:
    """The list called `label`, option number `start` (from 0) chosen; `show` gives an option's HTML."""
    import ipywidgets

    rows = max(2, min(MOST_ROWS, len(options)))
    listed = ipywidgets.Select(options=list(zip(options, range(len(options)), strict=True)), value=start, rows=rows,
                               description=label, tooltip=f"{label}: choose one of the list",
                               layout={"width": "auto", "max_width": "820px", "height": f"{rows * 20 + 12}px"})
    back = ipywidgets.Button(description="Previous", tooltip=f"{label}: the one before")
    on = ipywidgets.Button(description="Next", tooltip=f"{label}: the one after")
    shown = ipywidgets.HTML(show(start))
    listed.observe(lambda change: setattr(shown, "value", show(change["new"])), "value")
    back.on_click(lambda _: setattr(listed, "value", max(listed.value - 1, 0)))
    on.on_click(lambda _: setattr(listed, "value", min(listed.value + 1, len(options) - 1)))
    return [listed, ipywidgets.HBox([back, on]), shown]
