"""A widget and its static twin in one output: who has no kernel (a reader on the web, a PDF) sees the twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

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
class Twin:
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


def with_twin(build: Callable[[], list[Widget]], html: str, text: str) -> Twin:
    """The parts that `build` returns in one box, with their twin; only the twin where ipywidgets is missing."""
    try:
        import ipywidgets
    except ImportError:
        return Twin(html, text)
    box = ipywidgets.VBox([*build(), ipywidgets.HTML(STYLE, layout={"display": "none"})], layout={"max_width": "100%"})
    box.add_class("kit-widget")
    return Twin(html, text, box)
