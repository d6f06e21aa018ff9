"""The strip of netfilter's hooks in one machine: which of them a packet meets, what each changes, where it is now.

    in → PREROUTING → route → FORWARD → POSTROUTING → out
                        ↓                    ↑
                      INPUT  →  program → OUTPUT
"""

from __future__ import annotations

from itertools import pairwise

from kitlib.drawings import svg
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.rule_walk import change_words, outcome, packet_changes
from kitlib.drawings.svg import FAINT, INK, LINE, MARGIN, SIZE, Shade
from kitlib.netfilter.path import HookStep, PacketPath

UPPER = ("in", "PREROUTING", "route", "FORWARD", "POSTROUTING", "out")
LOWER = {"INPUT": "route", "program": "FORWARD", "OUTPUT": "POSTROUTING"}       # and what each stands below
ARROWS = (*pairwise(UPPER), ("route", "INPUT"), ("INPUT", "program"), ("program", "OUTPUT"), ("OUTPUT", "POSTROUTING"))
THROUGH, TO_HERE, FROM_HERE = UPPER, (*UPPER[:3], "INPUT", "program"), ("program", "OUTPUT", "POSTROUTING", "out")
HERE = "here: "
NARROWEST, HIGH, BETWEEN = 90, 2 * LINE + 10, 34        # a box, and what is between the two rows
NODE, CHANGED, UNMET = svg.shade("node"), Shade(svg.ACCENT, svg.ACCENT_FILL), Shade(FAINT, svg.PAPER)


def draw_hooks(path: PacketPath, current: HookStep | None = None) -> Drawing:
    """Draw the hooks of a machine, those that this packet meets, and in a thick frame the one where it is."""
    title, notes = _title(path, current), [words for step in path.hook_steps if (words := _note(step))]
    alt = " ".join([_way_words(path), *(f"{words}." for words in notes)])
    page = svg.Page()
    page.add_title(title)
    _strip(page, path, current)
    for words in notes:
        page.add_paragraph(words, bold=current is not None and words == _note(current))
    return Drawing(title, alt, page.finish(title, alt), "\n".join([title, _way_words(path), *notes]))


def box_places(path: PacketPath, drawing: Drawing) -> dict[str, tuple[float, float, float, float]]:
    """Return where each box that has stops lies in its drawing: left, top, width and height, in percent of it."""
    page = svg.Page()
    page.add_title(drawing.title)
    wide, high = map(int, svg.SIZES.search(drawing.svg).groups())
    return {box: (100 * x / wide, 100 * y / high, 100 * width / wide, 100 * HIGH / high)
            for box, (x, y, width) in _places(path, page.y).items() if box in _met(path)}


def way(path: PacketPath) -> tuple[str, ...]:
    """Return the boxes of the strip that this packet meets, in order."""
    if not path.packet.in_interface:
        whole = FROM_HERE
    else:
        whole = TO_HERE if path.end == "is delivered here" or "INPUT" in _met(path) else THROUGH
    return whole if path.gets_through else whole[:max(map(whole.index, _met(path)), default=0) + 1]


def _met(path: PacketPath) -> list[str]:
    return [box_of(step.hook, path) for step in path.hook_steps]


def box_of(hook: str, path: PacketPath) -> str:
    """Return the box of a stop; what is made here is routed on its way to OUTPUT, and perhaps again after it."""
    if not hook.startswith("routing"):
        return hook
    return "route" if path.packet.in_interface else "OUTPUT"


def _state(path: PacketPath, box: str) -> str:
    """Say in a word what this packet has to do with a box."""
    passed = way(path)
    if box not in passed:
        return "not met"
    if box == passed[-1] and not path.gets_through:
        return "undecided" if path.end == "is undecided" else "ends here"
    if box == "program":
        return "receives it" if box == passed[-1] else "sends it"
    if box == "in":
        return path.packet.in_interface
    if box == "out":
        return path.end.split()[-1]
    what = [name for step in path.hook_steps if box_of(step.hook, path) == box
            for name, _ in packet_changes(step.before, step.after)]
    return "rewritten" if {"source", "destination"} & set(what) else "marked" if what else "passed"


def _way_words(path: PacketPath) -> str:
    """Say which hooks this packet meets, in order, and which it does not."""
    passed = way(path)
    met = " → ".join(box if (state := _state(path, box)) == "passed" else f"{box} ({state})" for box in passed)
    return f"{met}. Not met: {', '.join(box for box in (*UPPER, *LOWER) if box not in passed)}."


def _note(step: HookStep) -> str:
    """Say what changed at a stop, or what the routing decision was; "" if nothing is to be said."""
    said = change_words(step.before, step.after)
    return f"{step.where}: {', '.join(said) or step.why}" if said or not step.table else ""


def _title(path: PacketPath, current: HookStep | None) -> str:
    if current is None:
        return outcome(path).removesuffix(".")
    said = ", ".join(change_words(current.before, current.after))
    return f"Here: {current.where}. {said.capitalize() or 'Nothing is changed'}"


def _strip(page: svg.Page, path: PacketPath, current: HookStep | None) -> None:
    """Draw both rows of boxes, and the arrows between them."""
    places = _places(path, page.y)
    lit = current and box_of(current.hook, path)
    travelled = set(pairwise(way(path)))
    for pair in ARROWS:
        page.marks.append(_arrow(*(places[box] for box in pair), pair in travelled))
    for box, (x, y, wide) in places.items():
        _box(page, x, y, wide, (box, _state(path, box)), box == lit)
    page.y += 2 * HIGH + BETWEEN + 12


def _places(path: PacketPath, y: float) -> dict[str, tuple[float, float, float]]:
    """Return x, y and width of each box."""
    wide = {box: max(NARROWEST, svg.width(box, SIZE, True) + 14, svg.width(HERE + _state(path, box)) + 8)
            for box in (*UPPER, *LOWER)}
    gap = (svg.PAGE - 2 * MARGIN - sum(wide[box] for box in UPPER)) / (len(UPPER) - 1)
    places, x = {}, float(MARGIN)
    for box in UPPER:
        places[box] = (x, y, wide[box])
        x += wide[box] + gap
    for box, above in LOWER.items():
        middle = places[above][0] + places[above][2] / 2
        places[box] = (middle - wide[box] / 2, y + HIGH + BETWEEN, wide[box])
    return places


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float], is_travelled: bool) -> str:
    (x1, y1, wide), (x2, y2, _) = start, end
    if y1 == y2:
        ends = x1 + wide + 1, y1 + HIGH / 2, x2 - 1, y1 + HIGH / 2
    elif y1 < y2:
        ends = x1 + wide / 2, y1 + HIGH + 1, x1 + wide / 2, y2 - 1
    else:
        ends = x1 + wide / 2, y1 - 1, x1 + wide / 2, y2 + HIGH + 1
    return svg.arrow(*ends, not is_travelled, INK if is_travelled else FAINT)


def _box(page: svg.Page, x: float, y: float, wide: float, words: tuple[str, str], is_lit: bool) -> None:
    """Draw a box with its name and its state; the accent where something is rewritten, dashed where nothing passes."""
    name, state = words
    is_met, is_changed = state != "not met", state in ("rewritten", "marked")
    colours = CHANGED if is_changed else NODE if is_met else UNMET
    page.marks.append(svg.box(x, y, wide, HIGH, colours.fill, svg.FOCUS if is_lit else colours.edge,
                              thick=3.5 if is_lit else 1.5, dashed=not is_met))
    ink = INK if is_met else svg.QUIET
    page.marks += [svg.text(x + wide / 2, y + LINE, name, SIZE, is_met, ink, "middle"),
                   svg.text(x + wide / 2, y + 2 * LINE, f"{HERE if is_lit else ''}{state}", SIZE, False, ink, "middle")]
