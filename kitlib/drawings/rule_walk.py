"""The rule walk in words: each stop of a packet, each rule that looked at it, why, and what the kernel's trace says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import islice

from kitlib.drawings.table import CELL, MARKED
from kitlib.netfilter.matches import Stretch
from kitlib.netfilter.packet import Packet, Step
from kitlib.netfilter.path import Passage, Walk
from kitlib.parsers.rule_trace import Met

PLAIN = "background:none;padding:0"      # JupyterLab paints code in a table grey
MOST_SKIPPED = 100        # of a run of skipped rules so many are told one by one
HEAD = ("rule", "what came of it, and why", "the packet here", "the kernel's trace")

Says = Mapping[int, Met]  # what the kernel says, by the id() of the walk's step; empty without a trace


def outcome(walk: Walk) -> str:
    """What becomes of the packet, in a sentence."""
    changes = ", ".join(f"{what} {change}" for what, change in _changes(walk.packet, walk.after))
    assumed = f" Taken for granted: {'; '.join(walk.assumptions)}." if walk.assumptions else ""
    share = f" So do {walk.probability:.0%} of such packets." if walk.probability < 1 else ""
    return f"The packet {walk.packet} {walk.end}: {changes or 'nothing in it was rewritten'}.{share}{assumed}"


def stop(passage: Passage) -> str:
    """A stop in a line: table and hook, and what came of it."""
    if not passage.table:
        return f"{passage.hook}: {passage.said}"
    matched = sum(1 for step in passage.matched if step.rule)
    skipped = sum(_count(part) if isinstance(part, Stretch) else not part.verdict for part in passage.trail)
    if passage.said or not matched + skipped:
        return f"{passage.table} at {passage.hook}: {passage.said or 'no rules'}"
    changes = [f"{what} {change}" for what, change in _changes(passage.before, passage.after)]
    counts = f"{matched} {'rule' if matched == 1 else 'rules'} matched, {skipped} skipped"
    return "; ".join([f"{passage.table} at {passage.hook}: {counts}", *changes])


def passage_text(passage: Passage, says: Says, traced: bool) -> str:
    """The stop and its rules, one a line, deeper chains further in."""
    told = [f"{stop(passage)}"]
    for part in passage.trail:
        steps = _some(part, passage) if isinstance(part, Stretch) else [part]
        told += [f"  {'  ' * step.depth}{' · '.join(_told(step, says, traced))}" for step in steps]
        told += [f"  {'  ' * part.depth}{_more(part)}"] if isinstance(part, Stretch) and _more(part) else []
    return "\n".join(told)


def passage_html(passage: Passage, says: Says, traced: bool) -> str:
    """The stop as a table; a run of skipped rules is folded away."""
    rows = "".join(_folded(part, passage, traced) if isinstance(part, Stretch) else _row(part, says, traced)
                   for part in passage.trail)
    if not rows:
        return f"<p><b>{escape(stop(passage))}</b></p>"
    head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in HEAD[:4 if traced else 3])
    caption = f'<caption style="text-align:left;font-weight:bold;padding:4px 8px">{escape(stop(passage))}</caption>'
    return ('<div class="kit-table" style="overflow-x:auto"><table style="margin:8px 0;border-collapse:collapse">'
            f"{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")


def agreement(step: Step, says: Says) -> str:
    """What the kernel's trace has for a step."""
    met = says.get(id(step))
    if met is None:
        return "says nothing of it" if step.rule else "has no rules there"
    same = (met.table, met.chain, met.verdict, met.rule) == (step.table, step.chain, step.verdict, _rule(step))
    return f"the same: {met.verdict}" if same else f"differs: {met.rule or f'policy of {met.chain}'} {met.verdict}"


def _told(step: Step, says: Says, traced: bool) -> list[str]:
    kernel = [f"kernel: {agreement(step, says)}"] if traced and step.verdict else []
    return [f"{step.outcome.value} {_named(step)}", step.why, *([step.verdict, _packet(step)] if step.verdict else []),
            *kernel]


def _row(step: Step, says: Says, traced: bool) -> str:
    verdict = f"<br>→ {escape(step.verdict)}" if step.verdict else ""
    came = f"<b>{step.outcome.value}</b>: {escape(step.why)}{verdict}"
    cells = [f'<code style="{PLAIN};margin-left:{14 * step.depth}px;display:block">{escape(_named(step))}</code>', came,
             escape(_packet(step)), *([escape(agreement(step, says)) if step.verdict else ""] if traced else [])]
    style = MARKED if step.packet != step.after else CELL
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell in cells) + "</tr>"


def _folded(part: Stretch, passage: Passage, traced: bool) -> str:
    lines = [f'<li><code style="{PLAIN}">{escape(_named(step))}</code><br>skipped: {escape(step.why)}</li>'
             for step in _some(part, passage)]
    count = _count(part)
    words = f"{count} {'rule' if count == 1 else 'rules'} of {escape(part.chain.name)} skipped"
    return (f'<tr><td colspan="{4 if traced else 3}" style="{CELL}"><details style="margin-left:{14 * part.depth}px">'
            f"<summary>{words}</summary><ul>{''.join(lines)}</ul>{_more(part)}</details></td></tr>")


def _count(part: Stretch) -> int:
    return part.last - part.first + 1


def _some(part: Stretch, passage: Passage) -> Iterator[Step]:
    return islice(part.steps(passage.kernel), MOST_SKIPPED)


def _more(part: Stretch) -> str:
    left = _count(part) - MOST_SKIPPED
    return f"… and {left:,} more rules of {part.chain.name}, skipped too" if left > 0 else ""


def _rule(step: Step) -> str:
    return step.rule.text if step.rule else ""


def _named(step: Step) -> str:
    return _rule(step) or f"policy of {step.chain}"


def _packet(step: Step) -> str:
    """Destination and mark, as they were and as the rule left them."""
    changes = [f"{what} rewritten {change}" for what, change in _changes(step.packet, step.after)]
    return "; ".join(changes) or f"to {step.packet.destination}:{_port(step.packet.dport)}, mark {step.packet.mark:#x}"


def _changes(before: Packet, after: Packet) -> Iterator[tuple[str, str]]:
    for what, old, new in (("source", _end(before, "source", "sport"), _end(after, "source", "sport")),
                           ("destination", _end(before, "destination", "dport"), _end(after, "destination", "dport")),
                           ("mark", f"{before.mark:#x}", f"{after.mark:#x}")):
        if old != new:
            yield what, f"{old} → {new}"


def _end(packet: Packet, address: str, port: str) -> str:
    return f"{getattr(packet, address)}:{_port(getattr(packet, port))}"


def _port(port: int | None) -> str:
    return "?" if port is None else str(port)
