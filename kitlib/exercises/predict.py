"""A question with buttons: predict first, then look."""

from __future__ import annotations

from kitlib.exercises.question import Outcome, Question, marked
from kitlib.widgets.twin import Twin, with_twin

TRIES = 2        # different wrong answers before the solution is offered


def predict(question: Question) -> Twin:
    """Show the question with its choices (or a field to type in), a Check and a Hint button.

    Without a kernel its twin shows the question and the choices, never the answer.
    """
    return with_twin(lambda: _parts(question), question._repr_html_(), repr(question))


def _parts(question: Question) -> list:
    import ipywidgets

    about = f"Your answer to: {question.prompt}"
    if question.choices:
        options = list(zip(question.listed, question.options, strict=True))
        field = ipywidgets.RadioButtons(options=options, index=None, layout={"width": "auto"}, tooltip=about)
    else:
        field = ipywidgets.Text(description="Answer", placeholder="type it here", continuous_update=False,
                                tooltip=about)
    check = ipywidgets.Button(description="Check", tooltip="Check your answer")
    hint = ipywidgets.Button(description="Hint", tooltip="Show a hint")
    said = ipywidgets.HTML()
    wrong: set[str] = set()

    def judge(_: object) -> None:
        verdict = question.check(field.value)
        if verdict.outcome is Outcome.WRONG:
            wrong.add(field.value)
        said.value = verdict._repr_html_() + (_folded(question) if len(wrong) >= TRIES else "")

    check.on_click(judge)
    hint.on_click(lambda _: setattr(said, "value", f"<p><strong>Hint:</strong> {marked(question.hint)}</p>"))
    if not question.choices:
        field.observe(judge, "value")     # Enter in the field checks too
    asked = ipywidgets.HTML(f"<p><strong>Predict:</strong> {marked(question.prompt)}</p>")
    return [asked, field, ipywidgets.HBox([check, hint]), said]


def _folded(question: Question) -> str:
    right, _, why = question.reveal().partition("\n")
    return f"<details><summary>Solution</summary><p><strong>{marked(right)}</strong></p><p>{marked(why)}</p></details>"
