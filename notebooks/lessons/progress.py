"""`python -m kitlib progress`: what was answered so far, by the learner here or by a whole class."""

from __future__ import annotations

import argparse
from pathlib import Path

from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound
from kitlib.quiz import FILE, progress, read_progress


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `progress`."""
    command = commands.add_parser("progress", help="show what was answered so far, by you or by a class")
    command.add_argument("--collect", type=Path, metavar="FOLDER", help="one table of all progress files below it")
    command.set_defaults(do=_progress)


def _progress(arguments: argparse.Namespace) -> int:
    print(collect(arguments.collect) if arguments.collect else progress())
    return 0


def collect(folder: Path) -> Table:
    """Read every progress file below this folder: a row for each learner, a column for each question.

    A learner is called as the folder or the file that was handed in: ada/workshop-progress.json, or ada.json.
    Raises NotFound if there is none.
    """
    known = {_learner(folder, path): read_progress(path) for path in sorted(folder.rglob("*.json"))}
    if not known:
        raise NotFound(f"There is no progress file below {folder}: put the learners' {FILE} there, each in a folder "
                       "of the learner's name, or as NAME.json.")
    questions = list(dict.fromkeys(question for answers in known.values() for question in answers))
    rows = [{"learner": learner, "right": _right(answers)}
            | {question: _cell(answers.get(question)) for question in questions} for learner, answers in known.items()]
    return table(rows, title=f"Progress of {len(rows)} learners: the outcome, and how many tries it took")


def _learner(folder: Path, path: Path) -> str:
    below = path.relative_to(folder)
    return str(below.parent) if path.name == FILE and len(below.parts) > 1 else str(below.with_suffix(""))


def _right(answers: dict[str, dict]) -> str:
    if not answers:
        return "cannot be read"
    return f"{sum(_sign(entry) == '✓' for entry in answers.values())} of {len(answers)}"


def _cell(entry: dict | None) -> str:
    return f"{_sign(entry)} {entry.get('tries', '')}".strip() if entry else ""


def _sign(entry: dict) -> str:
    return str(entry.get("outcome", "?"))[:1]
