"""The rule walk as text and HTML: each stop of a packet, each rule and why, and what the kernel's trace says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import islice

from kitlib.drawings.table import CELL, MARKED, html_table, rule_html
from kitlib.netfilter.packet import Packet, RuleStep
from kitlib.netfilter.path import HookStep, PacketPath, SkippedRules
from kitlib.parsers.xtables_monitor import TraceLine

PLAIN = "background:none;padding:0"      # JupyterLab paints code in a table grey
MOST_SKIPPED = 100        # of a run of skipped rules so many are told one by one
HEAD = ("rule, its result and why", "the packet here", "the kernel's trace")
BESIDE = "display:flex;flex-wrap:wrap;gap:2px 14px"     # one below the other on a narrow page

Trace = Mapping[int, TraceLine]  # the kernel's lines, by the id() of the walk's step


def ending(path: PacketPath) -> str:
    """Say how a path ends, and why."""
    return f"{path.end} ({path.why})" if path.why else path.end


def outcome(path: PacketPath) -> str:
    """Say in a sentence what becomes of the packet."""
    changes = ", ".join(change_words(path.packet, path.after))
    share = f" So do {path.probability:.0%} of such packets." if path.probability < 1 else ""
    if path.assumptions:
        share = f" Taken for granted: {'; '.join(path.assumptions)}."
    return f"The packet {path.packet} {ending(path)}: {changes or 'nothing in it was rewritten'}.{share}"


def stop(step: HookStep) -> str:
    """Say in a line what came of a stop."""
    if not step.table:
        return f"{step.hook}: {step.why}"
    matched = sum(1 for rule_step in step.matched if rule_step.rule)
    skipped = sum(part.count if isinstance(part, SkippedRules) else not part.verdict for part in step.trail)
    if step.why or not matched + skipped:
        return f"{step.where}: {step.why or 'no rules'}"
    counts = f"{matched} {'rule' if matched == 1 else 'rules'} matched, {skipped} skipped"
    return "; ".join([f"{step.where}: {counts}", *change_words(step.before, step.after)])


def hook_step_text(step: HookStep, trace: Trace | None = None) -> str:
    """Write a stop and its rules, one a line, deeper chains further in."""
    lines = [stop(step)]
    for part in step.trail:
        steps = _some(part, step) if isinstance(part, SkippedRules) else [part]
        lines += [f"  {'  ' * each.depth}{_line(each, trace)}" for each in steps]
        lines += [f"  {'  ' * part.depth}{_more(part)}"] if isinstance(part, SkippedRules) and _more(part) else []
    return "\n".join(lines)


def hook_step_html(step: HookStep, trace: Trace | None = None) -> str:
    """Write a stop as a table; a run of skipped rules is folded away."""
    columns = HEAD[:2 if trace is None else 3]
    rows = "".join(_folded(part, step, len(columns)) if isinstance(part, SkippedRules) else _row(part, trace)
                   for part in step.trail)
    return html_table(stop(step), columns, rows) if rows else f"<p><b>{escape(stop(step))}</b></p>"


def _agreement(step: RuleStep, trace: Trace) -> str:
    """What the kernel's trace has for a step that had a say."""
    line = trace.get(id(step))
    if line is None:
        return "says nothing of it" if step.rule else "has no rules there"
    named = line.rule or f"policy of {line.chain}"
    same = (line.table, line.verdict, named) == (step.table, step.verdict, _named(step))
    return f"the same: {line.verdict}" if same else f"differs: {named} {line.verdict}"


def _line(step: RuleStep, trace: Trace | None) -> str:
    parts = [f"{step.outcome.value} {_named(step)}", step.why]
    if step.verdict:
        parts += [step.verdict, _packet(step), *([] if trace is None else [f"kernel: {_agreement(step, trace)}"])]
    return " · ".join(parts)


def _row(step: RuleStep, trace: Trace | None) -> str:
    verdict = f"<br>→ {escape(step.verdict)}" if step.verdict else ""
    kernel = [] if trace is None else [escape(_agreement(step, trace)) if step.verdict else ""]
    rule = (f'<div style="{BESIDE};padding-left:{14 * step.depth}px"><div style="flex:3 1 400px">'
            f'<code style="{PLAIN}">{rule_html(_named(step))}</code></div>'
            f'<div style="flex:2 1 220px"><b>{step.outcome.value}</b>: {escape(step.why)}{verdict}</div></div>')
    cells = [rule, escape(_packet(step)), *kernel]
    style = MARKED if step.packet != step.after else CELL
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell in cells) + "</tr>"


def _folded(part: SkippedRules, hook_step: HookStep, columns: int) -> str:
    lines = [f'<li><code style="{PLAIN}">{rule_html(_named(step))}</code><br>skipped: {escape(step.why)}</li>'
             for step in _some(part, hook_step)]
    words = f"{part.count} {'rule' if part.count == 1 else 'rules'} of {escape(part.chain.name)} skipped"
    return (f'<tr><td colspan="{columns}" style="{CELL}"><details style="margin-left:{14 * part.depth}px">'
            f"<summary>{words}</summary><ul>{''.join(lines)}</ul>{_more(part)}</details></td></tr>")


def _some(part: SkippedRules, hook_step: HookStep) -> Iterator[RuleStep]:
    return islice(part.steps(hook_step.netfilter), MOST_SKIPPED)


def _more(part: SkippedRules) -> str:
    left = part.count - MOST_SKIPPED
    return f"… and {left:,} more rules of {part.chain.name}, skipped too" if left > 0 else ""


def _named(step: RuleStep) -> str:
    return step.rule.text if step.rule else f"policy of {step.chain}"


def _packet(step: RuleStep) -> str:
    """Destination and mark, or what the rule changed."""
    changes = [f"{what} rewritten {change}" for what, change in packet_changes(step.packet, step.after)]
    return "; ".join(changes) or "to {1}, mark {2}".format(*_looks(step.packet))


def packet_changes(before: Packet, after: Packet) -> list[tuple[str, str]]:
    """Return what differs of source, destination and mark: [("destination", "10.96.0.10:53 → 10.244.0.3:53")]."""
    return [(what, f"{old} → {new}") for what, old, new in zip(
        ("source", "destination", "mark"), _looks(before), _looks(after), strict=True) if old != new]


def change_words(before: Packet, after: Packet) -> list[str]:
    """Return the same as words: ["destination 10.96.0.10:53 → 10.244.0.3:53"]."""
    return [f"{what} {change}" for what, change in packet_changes(before, after)]


def _looks(packet: Packet) -> tuple[str, ...]:
    """Source, destination and mark in words."""
    return (*str(packet).split(" → "), f"{packet.mark:#x}")
