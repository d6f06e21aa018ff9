"""The rule-walk explorer: a packet's stops in a kernel, every rule with its why, the kernel's trace beside it."""

from __future__ import annotations

from html import escape

from kitlib.drawings.rule_walk import outcome, passage_html, passage_text, stop
from kitlib.drawings.table import shorten
from kitlib.netfilter.compare import TracedPath
from kitlib.netfilter.path import PacketPath
from kitlib.widgets.controls import WithFallback, select_list

LONGEST = 66        # letters of a line that the list shows on a narrow page


def rule_walk(walked: PacketPath | TracedPath) -> WithFallback:
    """A walk, with the kernel's trace beside it if it was followed by one; choose a stop to see its rules."""
    walk = walked.walk if isinstance(walked, TracedPath) else walked
    says = None if walk is walked else {id(step): met for step, met in walked.pairs if step and met}
    told = [outcome(walk), *([] if walk is walked else _agreement(walked))]
    lines = [shorten(f"{number}. {stop(passage)}", LONGEST) for number, passage in enumerate(walk.hook_steps, 1)]
    # Begin where something is rewritten: that is what to look at.
    start = next((index for index, passage in enumerate(walk.hook_steps) if passage.before[:2] != passage.after[:2]), 0)
    head = "".join(f"<p>{escape(words)}</p>" for words in told)

    def show(index: int) -> str:
        return head + passage_html(walk.hook_steps[index], says)

    return WithFallback(head + "".join(passage_html(passage, says) for passage in walk.hook_steps),
                        "\n".join([*told, *(passage_text(passage, says) for passage in walk.hook_steps)]),
                        lambda: select_list("Stop", lines, show, start))


def _agreement(followed: TracedPath) -> list[str]:
    """Whether walk and kernel say the same, in words."""
    count = len(followed.met)
    if not followed.differences:
        return [f"The kernel's own trace has {count} lines of this packet, and the walk says the same in each of them."]
    return [f"The kernel's own trace has {count} lines of this packet. The walk differs:", *followed.differences]


def rules_at(walk: PacketPath, hook: str, table: str = "nat") -> WithFallback:
    """One stop of a walk alone: each rule with its why, the skipped ones folded."""
    passage = walk.at(hook, table)
    return WithFallback(passage_html(passage), passage_text(passage))
