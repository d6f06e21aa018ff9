"""The rule walk in words: each stop of a packet, each rule that looked at it, why, and what the kernel's trace says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import islice

from kitlib.drawings.table import CELL, MARKED, html_table
from kitlib.netfilter.matches import SkippedRules
from kitlib.netfilter.packet import Packet, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.parsers.xtables_monitor import TraceLine

PLAIN = "background:none;padding:0"      # JupyterLab paints code in a table grey
MOST_SKIPPED = 100        # of a run of skipped rules so many are told one by one
HEAD = ("rule", "what came of it, and why", "the packet here", "the kernel's trace")

Says = Mapping[int, TraceLine]  # what the kernel says, by the id() of the walk's step


def outcome(walk: PacketPath) -> str:
    """What becomes of the packet, in a sentence."""
    changes = ", ".join(f"{what} {change}" for what, change in _changes(walk.packet, walk.after))
    assumed = f" Taken for granted: {'; '.join(walk.assumptions)}." if walk.assumptions else ""
    share = f" So do {walk.probability:.0%} of such packets." if walk.probability < 1 else ""
    return f"The packet {walk.packet} {walk.end}: {changes or 'nothing in it was rewritten'}.{share}{assumed}"


def stop(passage: HookStep) -> str:
    """A stop in a line: table and hook, and what came of it."""
    if not passage.table:
        return f"{passage.hook}: {passage.said}"
    matched = sum(1 for step in passage.matched if step.rule)
    skipped = sum(_count(part) if isinstance(part, SkippedRules) else not part.verdict for part in passage.trail)
    if passage.said or not matched + skipped:
        return f"{passage.table} at {passage.hook}: {passage.said or 'no rules'}"
    changes = [f"{what} {change}" for what, change in _changes(passage.before, passage.after)]
    counts = f"{matched} {'rule' if matched == 1 else 'rules'} matched, {skipped} skipped"
    return "; ".join([f"{passage.table} at {passage.hook}: {counts}", *changes])


def passage_text(passage: HookStep, says: Says | None = None) -> str:
    """The stop and its rules, one a line, deeper chains further in."""
    told = [stop(passage)]
    for part in passage.trail:
        steps = _some(part, passage) if isinstance(part, SkippedRules) else [part]
        told += [f"  {'  ' * step.depth}{_told(step, says)}" for step in steps]
        told += [f"  {'  ' * part.depth}{_more(part)}"] if isinstance(part, SkippedRules) and _more(part) else []
    return "\n".join(told)


def passage_html(passage: HookStep, says: Says | None = None) -> str:
    """The stop as a table; a run of skipped rules is folded away."""
    columns = HEAD[:3 if says is None else 4]
    rows = "".join(_folded(part, passage, len(columns)) if isinstance(part, SkippedRules) else _row(part, says)
                   for part in passage.trail)
    return html_table(stop(passage), columns, rows) if rows else f"<p><b>{escape(stop(passage))}</b></p>"


def _agreement(step: RuleStep, says: Says) -> str:
    """What the kernel's trace has for a step that had a say."""
    met = says.get(id(step))
    if met is None:
        return "says nothing of it" if step.rule else "has no rules there"
    named = met.rule or f"policy of {met.chain}"
    same = (met.table, met.verdict, named) == (step.table, step.verdict, _named(step))
    return f"the same: {met.verdict}" if same else f"differs: {named} {met.verdict}"


def _told(step: RuleStep, says: Says | None) -> str:
    told = [f"{step.outcome.value} {_named(step)}", step.why]
    if step.verdict:
        told += [step.verdict, _packet(step), *([] if says is None else [f"kernel: {_agreement(step, says)}"])]
    return " · ".join(told)


def _row(step: RuleStep, says: Says | None) -> str:
    verdict = f"<br>→ {escape(step.verdict)}" if step.verdict else ""
    kernel = [] if says is None else [escape(_agreement(step, says)) if step.verdict else ""]
    cells = [f'<code style="{PLAIN};margin-left:{14 * step.depth}px;display:block">{escape(_named(step))}</code>',
             f"<b>{step.outcome.value}</b>: {escape(step.why)}{verdict}", escape(_packet(step)), *kernel]
    style = MARKED if step.packet != step.after else CELL
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell in cells) + "</tr>"


def _folded(part: SkippedRules, passage: HookStep, columns: int) -> str:
    lines = [f'<li><code style="{PLAIN}">{escape(_named(step))}</code><br>skipped: {escape(step.why)}</li>'
             for step in _some(part, passage)]
    count = _count(part)
    words = f"{count} {'rule' if count == 1 else 'rules'} of {escape(part.chain.name)} skipped"
    return (f'<tr><td colspan="{columns}" style="{CELL}"><details style="margin-left:{14 * part.depth}px">'
            f"<summary>{words}</summary><ul>{''.join(lines)}</ul>{_more(part)}</details></td></tr>")


def _count(part: SkippedRules) -> int:
    return part.last - part.first + 1


def _some(part: SkippedRules, passage: HookStep) -> Iterator[RuleStep]:
    return islice(part.steps(passage.kernel), MOST_SKIPPED)


def _more(part: SkippedRules) -> str:
    left = _count(part) - MOST_SKIPPED
    return f"… and {left:,} more rules of {part.chain.name}, skipped too" if left > 0 else ""


def _named(step: RuleStep) -> str:
    return step.rule.text if step.rule else f"policy of {step.chain}"


def _packet(step: RuleStep) -> str:
    """Destination and mark, or what the rule changed."""
    changes = [f"{what} rewritten {change}" for what, change in _changes(step.packet, step.after)]
    return "; ".join(changes) or "to {1}, mark {2}".format(*_looks(step.packet))


def _changes(before: Packet, after: Packet) -> list[tuple[str, str]]:
    return [(what, f"{old} → {new}") for what, old, new in zip(
        ("source", "destination", "mark"), _looks(before), _looks(after), strict=True) if old != new]


def _looks(packet: Packet) -> tuple[str, ...]:
    """Source, destination and mark in words."""
    return (*str(packet).split(" → "), f"{packet.mark:#x}")
