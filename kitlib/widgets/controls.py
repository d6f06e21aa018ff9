"""A widget and its static twin in one output: who has no kernel (a reader on the web, a PDF) sees the twin.

Controls, and what belongs to their values below them.

JupyterLab takes the arrow keys for its cells while a list has the focus, so two buttons (Tab, then Space or Enter)
step through it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from kitlib.errors import KitError

if TYPE_CHECKING:
    from ipywidgets import Widget


VIEW = "application/vnd.jupyter.widget-view+json"
# Long choices wrap, where ipywidgets would cut them; and what is typed is as readable as the page around it.
STYLE = """<style>
.kit-widget .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; padding: 3px 0;
  display: flex; flex-direction: row-reverse; justify-content: flex-end; align-items: flex-start }
.kit-widget .widget-radio-box input { flex: none }
.kit-widget .widget-html, .kit-widget .widget-html-content { min-width: 0; max-width: 100% }
.kit-widget .widget-html-content { height: auto; line-height: 1.5 }
.kit-widget :focus-visible { outline: 2px solid #0072B2; outline-offset: 1px }
</style>"""


@dataclass(frozen=True, repr=False)
class WithFallback:
    """What a cell shows: the widget where one can be live, the same in HTML and text everywhere else."""

    html: str
    text: str
    widget: Widget | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        live = self.widget._repr_mimebundle_() if self.widget is not None else {}
        return {"text/plain": self.text, "text/html": self.html, **{key: live[key] for key in (VIEW,) if key in live}}


def numbered(lines: Iterable[str]) -> str:
    """Lines that bring their own numbers, as a list in HTML."""
    items = "".join(f"<li>{escape(words)}</li>" for words in lines)
    return f'<ol style="list-style:none;padding-left:8px">{items}</ol>'


def with_fallback(build: Callable[[], list[Widget]], html: str, text: str) -> WithFallback:
    """The parts that `build` returns in one box, with their twin; only the twin where ipywidgets is missing."""
    try:
        import ipywidgets
    except ImportError:
        return WithFallback(html, text)
    box = ipywidgets.VBox([*build(), ipywidgets.HTML(STYLE, layout={"display": "none"})], layout={"max_width": "100%"})
    box.add_class("kit-widget")
    return WithFallback(html, text, box)


MOST_ROWS = 10


def chooser(label: str, options: Sequence[str], show: Callable[[int], str], start: int = 0) -> list[Widget]:
    """The list called `label`, option number `start` (from 0) chosen; `show` gives an option's HTML."""
    import ipywidgets

    rows = max(2, min(MOST_ROWS, len(options)))
    listed = ipywidgets.Select(options=list(zip(options, range(len(options)), strict=True)), value=start, rows=rows,
                               description=label, tooltip=f"{label}: choose one of the list",
                               layout={"width": "auto", "max_width": "820px", "height": f"{rows * 20 + 12}px"})
    return [listed, ipywidgets.HBox(_buttons(label, listed, 0, len(options) - 1)), redrawn([listed], show)]


def player(label: str, count: int, show: Callable[[int], str], step_ms: int, note: str) -> list[Widget]:
    """A slider over `count` options that also plays by itself, `step_ms` an option; `show` gives an option's HTML.

    The `note` stands beside the buttons.
    """
    import ipywidgets

    at = ipywidgets.IntSlider(1, 1, count, description=label, tooltip=f"{label}: choose one",
                              layout={"width": "auto", "max_width": "520px"})
    player = ipywidgets.Play(value=1, min=1, max=count, interval=step_ms, show_repeat=False, description="Play",
                             tooltip=f"{label}: one after the other, by themselves")
    ipywidgets.link((player, "value"), (at, "value"))
    return [ipywidgets.HBox([*_buttons(label, at, 1, count), player, ipywidgets.HTML(note)],
                            layout={"flex_flow": "row wrap", "align_items": "center"}), at,
            redrawn([at], lambda number: show(number - 1))]


def redrawn(controls: Sequence[Widget], show: Callable[..., str]) -> Widget:
    """The HTML that `show` makes of the controls' values, again at every change; or what is wrong with them."""
    import ipywidgets

    shown = ipywidgets.HTML()

    def update(_: object) -> None:
        try:
            shown.value = show(*(control.value for control in controls))
        except KitError as error:
            shown.value = f"<p>{escape(str(error))}</p>"

    for control in controls:
        control.observe(update, "value")
    update(None)
    return shown


def _buttons(label: str, control: Widget, first: int, last: int) -> list[Widget]:
    """Two buttons that step through the control's values and stop at its ends."""
    import ipywidgets

    back = ipywidgets.Button(description="Previous", tooltip=f"{label}: the one before")
    on = ipywidgets.Button(description="Next", tooltip=f"{label}: the one after")
    back.on_click(lambda _: setattr(control, "value", max(control.value - 1, first)))
    on.on_click(lambda _: setattr(control, "value", min(control.value + 1, last)))
    return [back, on]
