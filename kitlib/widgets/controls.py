"""What the widgets share: an output that also reads without a kernel, and controls with what they show below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from kitlib.errors import KitError
from kitlib.escapes import printable

if TYPE_CHECKING:
    from ipywidgets import Widget

VIEW = "application/vnd.jupyter.widget-view+json"
MOST_ROWS = 10
# JupyterLab takes keys that arrive at the page for its cells: an arrow goes to the next one, x cuts this one. So keys
# pressed in a widget end there; Ctrl, Alt, Meta and Shift go on, for Shift+Enter runs the cell and Ctrl+S saves it.
KEYS_STAY = """this.closest('.kit-widget').addEventListener('keydown', event => {
  if (!(event.ctrlKey || event.altKey || event.metaKey || event.shiftKey)) event.stopPropagation(); })"""
# Long choices wrap, where ipywidgets would cut them; and what is typed is as readable as the page around it.
STYLE = """<style onload="KEYS_STAY">
.kit-widget .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; padding: 3px 0;
  display: flex; flex-direction: row-reverse; justify-content: flex-end; align-items: flex-start }
.kit-widget .widget-radio-box input { flex: none }
.kit-widget .widget-html, .kit-widget .widget-html-content { min-width: 0; max-width: 100% }
.kit-widget .widget-html-content { height: auto; line-height: 1.5 }
.kit-widget :focus-visible { outline: 2px solid #0072B2; outline-offset: 1px }
</style>""".replace("KEYS_STAY", KEYS_STAY)


@dataclass(frozen=True, repr=False)
class WithFallback:
    """What a cell shows: a widget in a live notebook, the same as HTML and text on a web page, in a PDF, on GitHub."""

    html: str
    text: str
    build: Callable[[], list[Widget]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("html", "text"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __repr__(self) -> str:
        return self.text

    @cached_property
    def widget(self) -> Widget | None:
        """The parts that `build` returns, in one box; None where there is nothing to click, or no ipywidgets."""
        if self.build is None:
            return None
        try:
            import ipywidgets  # late: it takes longer to import than all the rest
        except ImportError:
            return None
        style = ipywidgets.HTML(STYLE, layout={"display": "none"})
        box = ipywidgets.VBox([*self.build(), style], layout={"max_width": "100%"})
        box.add_class("kit-widget")
        return box

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        static = {"text/plain": self.text, "text/html": self.html}
        return static if self.widget is None else {**static, VIEW: self.widget._repr_mimebundle_()[VIEW]}


def html_list(lines: Iterable[str]) -> str:
    """Return lines that bring their own numbers as an HTML list."""
    items = "".join(f"<li>{escape(words)}</li>" for words in lines)
    return f'<ol style="list-style:none;padding-left:8px">{items}</ol>'


def select_list(label: str, options: Sequence[str], show: Callable[[int], str], start: int = 0) -> list[Widget]:
    """Build a list to choose from, option number `start` (from 0) chosen; `show` returns an option's HTML."""
    import ipywidgets

    rows = max(2, min(MOST_ROWS, len(options)))
    options = [(printable(words), index) for index, words in enumerate(options)]
    select = ipywidgets.Select(options=options, value=start, rows=rows,
                               description=label, tooltip=f"{label}: choose one of the list",
                               layout={"width": "auto", "max_width": "820px", "height": f"{rows * 17 + 10}px"})
    return [select, ipywidgets.HBox(_buttons(label, select, 0, len(options) - 1)), html_output([select], show)]


def play_slider(label: str, count: int, show: Callable[[int], str], step_ms: int, hint: str) -> list[Widget]:
    """Build a slider over `count` options that also plays by itself, `step_ms` an option, with a hint beside it.

    `show` returns the HTML of an option, counted from 0.
    """
    import ipywidgets

    slider = ipywidgets.IntSlider(1, 1, count, description=label, tooltip=f"{label}: choose one",
                                  layout={"width": "auto", "max_width": "520px"})
    play = ipywidgets.Play(value=1, min=1, max=count, interval=step_ms, show_repeat=False, description="Play",
                           tooltip=f"{label}: one after the other, by themselves")
    ipywidgets.link((play, "value"), (slider, "value"))
    return [ipywidgets.HBox([*_buttons(label, slider, 1, count), play, ipywidgets.HTML(hint)],
                            layout={"flex_flow": "row wrap", "align_items": "center"}), slider,
            html_output([slider], lambda number: show(number - 1))]


def html_output(controls: Sequence[Widget], show: Callable[..., str]) -> Widget:
    """Show the HTML that `show` makes of the controls' values, again at every change; or what is wrong with them."""
    import ipywidgets

    output = ipywidgets.HTML()

    def update(_: object) -> None:
        try:
            output.value = printable(show(*(control.value for control in controls)))
        except KitError as error:
            output.value = f"<p>{escape(str(error))}</p>"

    for control in controls:
        control.observe(update, "value")
    update(None)
    return output


def _buttons(label: str, control: Widget, first: int, last: int) -> list[Widget]:
    """Build two buttons that step through the control's values and stop at its ends."""
    import ipywidgets

    back = ipywidgets.Button(description="Previous", tooltip=f"{label}: the one before")
    on = ipywidgets.Button(description="Next", tooltip=f"{label}: the one after")
    back.on_click(lambda _: setattr(control, "value", max(control.value - 1, first)))
    on.on_click(lambda _: setattr(control, "value", min(control.value + 1, last)))
    return [back, on]
