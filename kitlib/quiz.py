"""Predict and check: questions whose right answers come from the lab's data, verdicts on answers, progress.

First the readers, which bring what learners type into the form in which answers compare.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from html import escape
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kitlib.backends.recording import read
from kitlib.drawings.drawing import note
from kitlib.drawings.table import OPTION, Table, breakable, table
from kitlib.errors import KitError, ParseError
from kitlib.escapes import printable
from kitlib.widgets.controls import WithFallback

if TYPE_CHECKING:
    from ipywidgets import Widget

Answer = str | int | frozenset[str]
WHAT = "your answer"
TRIES = 2                             # different wrong answers before the solution is offered
NO_BREAK_HYPHEN = "\N{NON-BREAKING HYPHEN}"
EDGES = {"RIGHT": "#009E73", "WRONG": "#D55E00", "NOT_ATTEMPTED": "#7A8594", "ERROR": "#B5568F"}
FILE = "workshop-progress.json"       # beside the notebook, unless KITLIB_PROGRESS names another file


def words(answer: object) -> str:
    """Read text, whatever its spaces and case; ParseError if it is not text."""
    if not isinstance(answer, str):
        raise ParseError(WHAT, "words in quotes", answer)
    return " ".join(answer.split()).casefold()


def number(answer: object) -> int:
    """Read a whole number, also as text; ParseError if it is none."""
    text = str(answer).strip()
    if isinstance(answer, bool) or not (text.isascii() and text.isdigit()):
        raise ParseError(WHAT, "a whole number in digits", text)
    return int(text)


def dns_name(answer: object) -> str:
    """Read a DNS name, with or without its final dot, in either case (RFC 4343); ParseError if it is none."""
    text = str(answer).strip().casefold().removesuffix(".")
    if not text or any(not label or any(map(str.isspace, label)) for label in text.split(".")):
        raise ParseError(WHAT, "a DNS name: labels with dots between", text)
    return text


def address(answer: object) -> str:
    """Read an IP address, which a final dot or DNS's port (:53, #53) may follow; ParseError if it is none."""
    text = re.sub("[:#]53$", "", str(answer).strip().removesuffix("."))
    try:
        return str(ip_address(text))
    except ValueError:
        raise ParseError(WHAT, "an IP address", text) from None


def some_of(known: dict[str, str], answer: object) -> frozenset[str]:
    """Read names with commas or "and" between; `known` leads from each spelling to its name, ParseError from others."""
    listed = not isinstance(answer, str) and isinstance(answer, Iterable)
    text = ",".join(map(str, answer)) if listed else str(answer)
    given = [part.strip() for part in text.replace(" and ", ",").split(",") if part.strip()]
    unknown = [part for part in given if part.casefold() not in known]
    if unknown or not given:
        raise ParseError(WHAT, f"one or several of {', '.join(dict.fromkeys(known.values()))}", ", ".join(unknown))
    return frozenset(known[part.casefold()] for part in given)


class Outcome(Enum):
    """How an answer was judged: a sign and a word, so that colour never speaks alone."""

    RIGHT = "✓ Right"
    WRONG = "✗ Wrong"
    NOT_ATTEMPTED = "… Not attempted"
    ERROR = "! Error"


@dataclass(frozen=True)
class Verdict:
    """The outcome and what to tell the learner."""

    outcome: Outcome
    message: str

    def __repr__(self) -> str:
        return printable(f"{self.outcome.value}. {self.message}")

    def _repr_html_(self) -> str:
        return (f'<div class="kit-verdict" role="status" style="border-left:4px solid {EDGES[self.outcome.name]};'
                f'padding:4px 12px;margin:4px 0;line-height:1.5;white-space:pre-line"><strong>{self.outcome.value}.'
                f"</strong> {_marked(self.message)}</div>")


@dataclass(frozen=True, repr=False)
class Quiz:
    """What to predict or to find out. `right` may be a function: it is called when an answer is checked.

    `choices` in a tuple keep their order; those in a set are sorted.

    `hints` speaks to particular wrong answers: a mapping, or a function of the answer as `read` returns it ("" where
    it has nothing to say); `hint` is for all others, `more` a second hint. `solution` says why the right answer is
    right. `read` brings an answer into the form that compares, see the readers above. With an `id` it is noted
    in the learner's progress.
    """

    prompt: str
    right: Answer | Callable[[], Answer]
    choices: tuple[Answer, ...] | AbstractSet[Answer] = field(default=(), hash=False)
    hints: Mapping[Answer, str] | Callable[[Answer], str] = field(default_factory=dict, hash=False)
    hint: str = ""
    more: str = ""
    solution: str | Callable[[], str] = ""
    read: Callable[[object], Answer] = words
    id: str = ""

    @property
    def options(self) -> dict[str, Answer]:
        """Return the choices by letter."""
        in_order = dict.fromkeys(self.choices) if isinstance(self.choices, tuple) else sorted(self.choices)
        return dict(zip(ascii_lowercase, in_order, strict=False))

    def __repr__(self) -> str:
        lines = [f"Question: {self.prompt}", *(f"  {option}" for option in self.choice_lines), self._how]
        return printable("\n".join(lines))

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{breakable(option)}</li>" for option in self.choice_lines)
        choices = f'<ul style="list-style:none;margin:0;padding-left:12px">{items}</ul>' if items else ""
        return (f'<div class="kit-question"><p><strong>Question:</strong> {_marked(self.prompt)}</p>{choices}'
                f"<p>{escape(self._how)}</p></div>")

    @property
    def choice_lines(self) -> list[str]:
        """Return the choices as they are shown: "a) …"."""
        return [printable(f"{letter}) {choice}") for letter, choice in self.options.items()]

    @property
    def _how(self) -> str:
        return f"Answer with check(question, {'LETTER' if self.choices else 'ANSWER'})."

    def check(self, answer: object) -> Verdict:
        """Judge an answer: the learner's words, value, or letter of a choice."""
        if answer is None or answer is ... or (isinstance(answer, str) and not answer.strip()):
            wanted = f"one of the letters {', '.join(self.options)}" if self.choices else "an answer"
            return Verdict(Outcome.NOT_ATTEMPTED, f"Give {wanted}; a guess is welcome.")
        try:
            given = self._given(answer)
            if given == self.read(_value_of(self.right)):
                return Verdict(Outcome.RIGHT, _value_of(self.solution))
            return Verdict(Outcome.WRONG, self._hint_for(given) or self.hint)
        except KitError as error:
            return Verdict(Outcome.ERROR, str(error))

    def labelled_hints(self) -> list[tuple[str, str]]:
        """Return the hints that are for everybody, in order, each with its label: "Hint", or "Hint 1 of 2"."""
        if not self.more:
            return [("Hint", self.hint)]
        return [("Hint 1 of 2", self.hint), ("Hint 2 of 2", self.more)]

    def reveal(self) -> tuple[str, str]:
        """Return the right answer, and why it is right; if it cannot be had, why not."""
        try:
            right = _value_of(self.right)
            return " and ".join(sorted(right)) if isinstance(right, frozenset) else str(right), _value_of(self.solution)
        except KitError as error:
            return str(error), ""

    def _given(self, answer: object) -> Answer:
        choice = self.options.get(answer.strip().casefold()) if isinstance(answer, str) else None
        given = self.read(answer if choice is None else choice)
        if self.read is words and self.choices and given not in map(words, self.choices):
            raise ParseError(WHAT, f"one of the letters {', '.join(self.options)}, or a choice in full", str(answer))
        return given

    def _hint_for(self, given: Answer) -> str:
        if callable(self.hints):
            return self.hints(given)
        return {self.read(wrong): hint for wrong, hint in self.hints.items()}.get(given, "")


def _marked(words: str) -> str:
    """Return words as HTML: what stands between backquotes as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(printable(words)))


def _value_of(fact):
    """Return a fact, or what the function that finds it returns."""
    return fact() if callable(fact) else fact


def check(question: Quiz, answer: object) -> Verdict:
    """Judge an answer given in a cell: check(question, "b") or check(question, 8)."""
    verdict = question.check(answer)
    if question.id and verdict.outcome is not Outcome.NOT_ATTEMPTED:
        _record(question.id, verdict.outcome)
    return verdict


_hints_given: WeakKeyDictionary[Quiz, int] = WeakKeyDictionary()


def hint(question: Quiz) -> note:
    """Give a hint; asked again for the same question, a second one if there is one, and then the solution."""
    given, hints = _hints_given.get(question, 0), question.labelled_hints()
    _hints_given[question] = given + 1
    if given < len(hints):
        label, text = hints[given]
        return note(f"**{label}:** {text}")
    right, why = question.reveal()
    return note(f"**Solution:** {right}\n\n{why}")


def predict(question: Quiz) -> WithFallback:
    """Show the question with its choices or a field to type in, Check and Hint; before a check, never the answer."""
    return WithFallback(question._repr_html_(), repr(question), lambda: _controls(question))


def _controls(question: Quiz) -> list[Widget]:
    import ipywidgets

    prompt = ipywidgets.HTML(f"<p><strong>Predict:</strong> {_marked(question.prompt)}</p>")
    field, feedback = _answer_field(question), ipywidgets.HTML()
    check_button = ipywidgets.Button(description="Check", tooltip="Check your answer")
    hint_button = ipywidgets.Button(description="Hint", tooltip="Show a hint")
    wrong: set[str] = set()
    hints = cycle(question.labelled_hints())

    def show_hint(_: object) -> None:
        label, text = next(hints)
        feedback.value = f"<p><strong>{label}:</strong> {_marked(text)}</p>"

    def judge(_: object) -> None:
        verdict = question.check(field.value)
        if verdict.outcome is Outcome.WRONG:
            wrong.add(field.value)
        feedback.value = verdict._repr_html_() + (_folded_solution(question) if len(wrong) >= TRIES else "")

    check_button.on_click(judge)
    hint_button.on_click(show_hint)
    if not question.choices:
        field.observe(judge, "value")     # Enter in the field checks too
    return [prompt, field, ipywidgets.HBox([check_button, hint_button]), feedback]


def _answer_field(question: Quiz) -> Widget:
    import ipywidgets

    tooltip = printable(f"Your answer to: {question.prompt}")
    if question.choices:
        # A browser would break a rule within an option: --random-⏎fully.
        lines = [line.replace("-", NO_BREAK_HYPHEN) if OPTION.search(line) else line for line in question.choice_lines]
        options = list(zip(lines, question.options, strict=True))
        return ipywidgets.RadioButtons(options=options, index=None, layout={"width": "auto"}, tooltip=tooltip)
    return ipywidgets.Text(description="Answer", placeholder="type it here", continuous_update=False, tooltip=tooltip)


def _folded_solution(question: Quiz) -> str:
    right, why = question.reveal()
    return (f"<details><summary>Solution</summary><p><strong>{_marked(right)}</strong></p>"
            f"<p>{_marked(why)}</p></details>")


def progress() -> Table:
    """Return what was answered so far, and how often it was tried: kept in one file on the learner's own machine."""
    rows = [{"question": question, **entry} for question, entry in read_progress(_file()).items()]
    return table(rows, title=f"Your progress, kept in {_file().name}: delete that file to start over")


def _record(question: str, outcome: Outcome) -> None:
    """Note how an answer was judged."""
    known = read_progress(_file())
    known[question] = {"outcome": outcome.value, "tries": known.get(question, {}).get("tries", 0) + 1}
    with suppress(OSError):          # a folder that cannot be written must not keep anybody from learning
        _file().write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_progress(file: Path) -> dict[str, dict]:
    """Read a progress file: outcome and number of tries for each question; nothing from what is no such file."""
    try:
        known = json.loads(read(file))
    except (KitError, ValueError, RecursionError):
        return {}
    is_progress = isinstance(known, dict) and all(isinstance(entry, dict) for entry in known.values())
    return known if is_progress else {}


def _file() -> Path:
    return Path(os.environ.get("KITLIB_PROGRESS") or FILE)
