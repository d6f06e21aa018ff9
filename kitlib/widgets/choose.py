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
    return [listed, ipywidgets.HBox(_buttons(label, listed, len(options))), _shown(listed, show)]


def play(label: str, count: int, show: Callable[[int], str], step_ms: int, note: str) -> list[Widget]:
    """A slider over `count` options that also plays by itself, `step_ms` an option; `show` gives an option's HTML.

    The `note` stands beside the buttons.
    """
    import ipywidgets

    at = ipywidgets.IntSlider(1, 1, count, description=label, tooltip=f"{label}: choose one",
                              layout={"width": "auto", "max_width": "520px"})
    player = ipywidgets.Play(value=1, min=1, max=count, interval=step_ms, show_repeat=False, description="Play",
                             tooltip=f"{label}: one after the other, by themselves")
    ipywidgets.link((player, "value"), (at, "value"))
    return [ipywidgets.HBox([*_buttons(label, at, count, 1), player, ipywidgets.HTML(note)],
                            layout={"flex_flow": "row wrap", "align_items": "center"}), at,
            _shown(at, lambda number: show(number - 1))]


def _buttons(label: str, control: Widget, count: int, first: int = 0) -> list[Widget]:
    """Two buttons that step through the control's values and stop at its ends."""
    import ipywidgets

    back = ipywidgets.Button(description="Previous", tooltip=f"{label}: the one before")
    on = ipywidgets.Button(description="Next", tooltip=f"{label}: the one after")
    back.on_click(lambda _: setattr(control, "value", max(control.value - 1, first)))
    on.on_click(lambda _: setattr(control, "value", min(control.value + 1, first + count - 1)))
    return [back, on]


def _shown(control: Widget, show: Callable[[int], str]) -> Widget:
    import ipywidgets

    shown = ipywidgets.HTML(show(control.value))
    control.observe(lambda change: setattr(shown, "value", show(change["new"])), "value")
    return shown
