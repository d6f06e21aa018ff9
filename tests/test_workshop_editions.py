"""The learner's edition is the solution edition without its solutions; both run, and both are stored as they run."""

from __future__ import annotations

import re

import nbformat
import pytest

import editions
import notebooks
from conftest import REPO, slow_but
from workshop.cases import CASES

SOURCES = editions.sources()


@pytest.fixture(params=SOURCES, ids=[path.stem for path in SOURCES])
def source(request):
    return request.param


def answers(path) -> list[str]:
    """What is written between the marks of a solution, without `answer =`."""
    marked = [block for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
              for block in editions.SOLUTION.findall(cell.source)]
    return [block.split("\n", 1)[1].rsplit("\n", 1)[0].removeprefix("answer = ").strip("\"'\n") for block in marked]


def verdicts(path) -> list[str]:
    return [output.data["text/plain"] for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code" and "check(" in cell.source for output in cell.outputs]


def test_every_case_is_in_the_workshop() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert sorted(map(int, re.findall(r"open_case\((\d+)\)", text))) == sorted(CASES)


def test_the_solution_edition_is_right_everywhere(source) -> None:
    found = verdicts(source)
    assert len(found) == len(answers(source)) > 0
    assert all(verdict.startswith("✓ Right") for verdict in found)


@pytest.mark.parametrize("edition", slow_but("22", SOURCES))
def test_the_solution_edition_is_stored_as_it_runs(edition) -> None:
    assert notebooks.rerun(edition) == edition.read_text(encoding="utf-8"), "make workshop stores it"


def test_the_learners_edition_is_derived_from_it(source) -> None:
    learners = source.parent.parent / source.name
    derived, stored = (nbformat.reads(text, as_version=4).cells
                       for text in (editions.learners(source), learners.read_text(encoding="utf-8")))
    assert [(cell.id, cell.source) for cell in derived] == [(cell.id, cell.source) for cell in stored]


def test_no_solution_is_left_in_the_learners_edition(source) -> None:
    learners = source.parent.parent / source.name
    cells = nbformat.read(learners, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert "SOLUTION" not in code and not [cell for cell in cells if "solution" in cell.metadata.get("tags", [])]
    assert code.count(editions.UNANSWERED) == len(answers(source))
    assert not [answer for answer in answers(source) if len(answer) > 9 and answer in code]
    assert all(verdict.startswith("… Not attempted") for verdict in verdicts(learners))


def test_every_thread_has_its_number_in_title_and_address() -> None:
    links = [found for path in SOURCES for found in
             re.findall(r"\[([\w.-]+/[\w.-]+)#(\d+): [^\]]+\]\(https://github\.com/([\w./-]+)\)",
                        nbformat.writes(nbformat.read(path, as_version=4)))]
    assert len(links) > 12
    assert all(address == f"{repository}/issues/{number}" for repository, number, address in links)


def test_nothing_is_noted_while_notebooks_are_stored() -> None:
    assert not list((REPO / "notebooks").rglob("workshop-progress.json"))
