"""The rule-walk explorer: a packet's stops in a machine, every rule with its why, the kernel's trace beside it."""

from __future__ import annotations

from html import escape

from kitlib.drawings.hooks import box_of, box_places, draw_hooks
from kitlib.drawings.rule_walk import hook_step_html, hook_step_text, outcome, stop
from kitlib.drawings.svg import PAGE, SMALLEST
from kitlib.drawings.table import shorten
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.widgets.controls import WithFallback, select_list

LONGEST = 66        # letters of a line that the list shows on a narrow page
# A box of the strip is a button that chooses in the list; there the arrow keys go on.
CHOOSE = ("const list = this.closest('.kit-widget').querySelector('select'); list.selectedIndex = {}; "
          "list.dispatchEvent(new Event('change', {{bubbles: true}})); list.focus()")


def rule_walk(shown: PacketPath | TracedPath) -> WithFallback:
    """Show a path, with the kernel's trace beside it if there is one; choose a stop to see its rules."""
    is_traced = isinstance(shown, TracedPath)
    path = shown.path if is_traced else shown
    trace = {id(step): line for step, line in shown.pairs if step and line} if is_traced else None
    lines = [shorten(f"{number}. {stop(step)}", LONGEST) for number, step in enumerate(path.hook_steps, 1)]
    # Begin where something is rewritten: that is what to look at.
    start = next((index for index, step in enumerate(path.hook_steps) if step.before[:2] != step.after[:2]), 0)
    summary = [outcome(path), *(_agreement(shown) if is_traced else ())]
    head = "".join(f"<p>{escape(words)}</p>" for words in summary)

    def show(index: int) -> str:
        step = path.hook_steps[index]
        return head + _strip(path, step) + hook_step_html(step, trace)

    strip = draw_hooks(path)
    return WithFallback(head + strip.html + "".join(hook_step_html(step, trace) for step in path.hook_steps),
                        "\n".join([*summary, strip.text, *(hook_step_text(step, trace) for step in path.hook_steps)]),
                        lambda: select_list("Stop", lines, show, start))


def _strip(path: PacketPath, current: HookStep) -> str:
    """Return the strip of hooks with a button on each box: it shows the stop that rewrites there, or nat's."""
    drawing, buttons = draw_hooks(path, current), []
    for box, place in box_places(path, drawing).items():
        stops = [(step.before != step.after, step.table == "nat", -number)
                 for number, step in enumerate(path.hook_steps) if box_of(step.hook, path) == box]
        at = "left:{:.2f}%;top:{:.2f}%;width:{:.2f}%;height:{:.2f}%".format(*place)
        buttons.append(f'<button type="button" title="{box}: show its rules" onclick="{CHOOSE.format(-max(stops)[2])}" '
                       f'style="position:absolute;{at};padding:0;border:0;background:none;cursor:pointer"></button>')
    return (f'<div style="overflow-x:auto"><div style="position:relative;line-height:0;max-width:{PAGE}px;'
            f'min-width:{PAGE * SMALLEST:g}px">{drawing.html}{"".join(buttons)}</div></div>')


def _agreement(traced: TracedPath) -> list[str]:
    """Whether walk and kernel say the same, in words."""
    count = len(traced.trace_lines)
    if not traced.differences:
        return [f"The kernel's own trace has {count} lines of this packet, and the walk says the same in each of them."]
    return [f"The kernel's own trace has {count} lines of this packet. The walk differs:", *traced.differences]


def rules_at(path: PacketPath, hook: str, table: str = "nat") -> WithFallback:
    """Show one stop of a path alone: each rule with its why, the skipped ones folded."""
    step = path.at(hook, table)
    strip = draw_hooks(path, step)
    return WithFallback(strip.html + hook_step_html(step), f"{strip.text}\n{hook_step_text(step)}")
