"""Predict and check: a question whose right answer comes from the lab's data, and the verdict on an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from html import escape
from string import ascii_lowercase

from kitlib.errors import KitError, ParseError
from kitlib.exercises.answers import WHAT, Answer, words
from kitlib.exercises.progress import note


class Outcome(Enum):
    """How an answer was judged: a sign and a word, so that colour never speaks alone."""

    RIGHT = "✓ Right"
    WRONG = "✗ Wrong"
    NOT_ATTEMPTED = "… Not attempted"
    ERROR = "! Error"


EDGES = {Outcome.RIGHT: "#009E73", Outcome.WRONG: "#D55E00", Outcome.NOT_ATTEMPTED: "#7A8594", Outcome.ERROR: "#B5568F"}


@dataclass(frozen=True)
class Verdict:
    """The outcome and what to tell the learner."""

    outcome: Outcome
    message: str

    def __repr__(self) -> str:
        return f"{self.outcome.value}. {self.message}"

    def _repr_html_(self) -> str:
        return (f'<div class="kit-verdict" role="status" style="border-left:4px solid {EDGES[self.outcome]};'
                f'padding:4px 12px;margin:4px 0;line-height:1.5;white-space:pre-line"><strong>{self.outcome.value}.'
                f"</strong> {marked(self.message)}</div>")


@dataclass(frozen=True, repr=False)
class Question:
    """What to predict or to find out. `right` may be a function: it is asked when an answer is checked.

    `hints` speaks to particular wrong answers: a mapping, or a function of the answer as `read` returns it ("" where
    it has nothing to say); `hint` is for all others, `more` a second hint. `solution` says why the right answer is
    right. `read` brings an answer into the form that compares, see kitlib.exercises.answers. With an `id` it is noted
    in the learner's progress.
    """

    prompt: str
    right: Answer | Callable[[], Answer]
    choices: tuple[Answer, ...] = ()
    hints: Mapping[Answer, str] | Callable[[Answer], str] = field(default_factory=dict, hash=False)
    hint: str = ""
    more: str = ""
    solution: str | Callable[[], str] = ""
    read: Callable[[object], Answer] = words
    id: str = ""

    @property
    def options(self) -> dict[str, Answer]:
        """The choices in order, by letter."""
        return dict(zip(ascii_lowercase, sorted(set(self.choices)), strict=False))

    def __repr__(self) -> str:
        return "\n".join([f"Question: {self.prompt}", *(f"  {option}" for option in self.listed), self._how])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(option)}</li>" for option in self.listed)
        choices = f'<ul style="list-style:none;margin:0;padding-left:12px">{items}</ul>' if items else ""
        return (f'<div class="kit-question"><p><strong>Question:</strong> {marked(self.prompt)}</p>{choices}'
                f"<p>{escape(self._how)}</p></div>")

    @property
    def listed(self) -> list[str]:
        """The choices as they are shown: "a) …"."""
        return [f"{letter}) {choice}" for letter, choice in self.options.items()]

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
            if given == self.read(value_of(self.right)):
                return Verdict(Outcome.RIGHT, value_of(self.solution))
            return Verdict(Outcome.WRONG, self._hint_for(given) or self.hint)
        except KitError as error:
            return Verdict(Outcome.ERROR, str(error))

    def reveal(self) -> str:
        """The right answer, and below it why."""
        try:
            right = value_of(self.right)
            shown = " and ".join(sorted(right)) if isinstance(right, frozenset) else right
            return f"{shown}\n{value_of(self.solution)}".strip()
        except KitError as error:
            return str(error)

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


def check(question: Question, answer: object) -> Verdict:
    """Judge an answer given in a cell: check(question, "b") or check(question, 8)."""
    verdict = question.check(answer)
    if question.id:
        note(question.id, verdict.outcome.value)
    return verdict


def marked(words: str) -> str:
    """Words as HTML: what stands between backquotes as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words))


def value_of(fact):
    """A fact, or what the function that finds it returns."""
    return fact() if callable(fact) else fact
