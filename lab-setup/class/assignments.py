"""Writes an assignment for a class, for nbgrader and for otter: the checks of notebook 05 and those of workshop case 3.

    python lab-setup/class/assignments.py FOLDER

FOLDER then holds source/one-query/one-query.ipynb, which `nbgrader generate_assignment one-query` releases, and
otter/one-query.ipynb, which `otter assign` releases. A test is the kit's own check: its message is what learners see.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

NAME = "one-query"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LESSON = """from kitlib import check, ladder, open_lab
from kitlib.quiz import Outcome
from lessons import rewrite

lab = open_lab()
with lab.capture() as seen:
    lab.client.dig("www.example.com")
ladder(seen.journey())"""
CASE = """from workshop import open_case, questions

case = open_case(3)
with case.lab.capture() as lost:
    case.pod.dig("+tries=1", "+timeout=3", "www.example.com")
ladder(lost.journey(), verdict=False)"""


class Task(NamedTuple):
    """One question: its name, how its cell makes it, a right answer, and what must run before (once)."""

    name: str
    question: str
    answer: str
    setup: str = ""


TASKS = (
    Task("ttl", "rewrite.ttl_at(seen, seen.journey().client_leg.queries[-1].sighting.point)", "62", LESSON),
    Task("rewritten", "rewrite.where_it_was_rewritten(seen)",
         'f"between {lab.client.veth.title} and {lab.client.node.eth0.title}"'),
    Task("where", "questions.where(case, lost)", "case.pod.veth.title", CASE),
    Task("why", "questions.why(case, lost)",
         '"a node drops what it should forward: a rule or a policy of FORWARD"'),
    Task("fix", "questions.fix(case, lost)", "'node.run(\"iptables\", \"-P\", \"FORWARD\", \"ACCEPT\")'"),
)


def nbgrader_notebook() -> nbformat.NotebookNode:
    """Return the source for `nbgrader generate_assignment`: solutions between marks, tests in locked cells."""
    cells = [new_markdown_cell("# One query\n\nWrite each answer between the quotes, and run the cell below it.")]
    for task in TASKS:
        cells += _shown(task)
        cells.append(_graded(f"### BEGIN SOLUTION\n{task.name}_answer = {task.answer}\n### END SOLUTION", task.name,
                             solution=True))
        cells.append(_graded(_test(task), f"test-{task.name}", grade=True, locked=True, points=1))
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def otter_notebook() -> nbformat.NotebookNode:
    """Return the source for `otter assign`: raw cells mark where a question, its solution and its tests begin."""
    cells = [new_raw_cell(f"# ASSIGNMENT CONFIG\nname: {NAME}\ncheck_all_cell: false\nexport_cell: false\n"
                          "tests:\n  files: true\n")]
    for task in TASKS:
        *setup, question = _shown(task)
        cells += [*setup, new_raw_cell(f"# BEGIN QUESTION\nname: {task.name}\npoints: 1"), question,
                  new_raw_cell("# BEGIN SOLUTION"), new_code_cell(f"{task.name}_answer = {task.answer} # SOLUTION"),
                  new_raw_cell("# END SOLUTION"), new_raw_cell("# BEGIN TESTS"), new_code_cell(_test(task)),
                  new_raw_cell("# END TESTS"), new_raw_cell("# END QUESTION")]
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def _shown(task: Task) -> list[nbformat.NotebookNode]:
    setup = [new_code_cell(task.setup)] if task.setup else []
    return [*setup, new_code_cell(f"{task.name} = {task.question}\n{task.name}")]


def _test(task: Task) -> str:
    return (f"verdict = check({task.name}, {task.name}_answer)\n"
            "assert verdict.outcome is Outcome.RIGHT, verdict.message")


def _graded(source: str, grade_id: str, **marks: object) -> nbformat.NotebookNode:
    """Return a code cell with nbgrader's metadata (schema version 3)."""
    kind = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": kind | {"grade_id": grade_id} | marks})


def main(folder: Path) -> int:
    """Write both sources below this folder."""
    for path, notebook in ((folder / "source" / NAME / f"{NAME}.ipynb", nbgrader_notebook()),
                           (folder / "otter" / f"{NAME}.ipynb", otter_notebook())):
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        print(path)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"Say where to write the assignment: python {sys.argv[0]} FOLDER")
    sys.exit(main(Path(sys.argv[1])))
