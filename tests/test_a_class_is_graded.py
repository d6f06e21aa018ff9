"""The assignment for a class works in nbgrader and in otter; the learners' progress files become one table."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from namespaces import cannot

from conftest import REPO
from kitlib.errors import NotFound
from kitlib.quiz import FILE
from lessons.progress import collect

SCRIPT = REPO / "lab-setup" / "class" / "assignments.py"


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        cannot(f"no {module} here: pip install -e .[class]")


def run(folder: Path, *words: object) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"      # nbgrader calls alembic by its name
    environment = os.environ | {"KITLIB_PROGRESS": os.devnull, "PATH": path}
    done = subprocess.run([sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def course(tmp_path) -> Path:
    run(tmp_path, SCRIPT, tmp_path)
    return tmp_path


def sources(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


@pytest.mark.slow
def test_nbgrader_gives_points_for_right_answers_only(course) -> None:
    needs("nbgrader")
    run(course, "-m", "nbgrader", "generate_assignment", "one-query", "--create")
    released = course / "release" / "one-query" / "one-query.ipynb"
    assert "ACCEPT" not in sources(released) and "SOLUTION" not in sources(released)
    for learner, notebook in (("ada", course / "source" / "one-query" / "one-query.ipynb"), ("bob", released)):
        handed_in = course / "submitted" / learner / "one-query" / "one-query.ipynb"
        handed_in.parent.mkdir(parents=True)
        shutil.copy(notebook, handed_in)
    run(course, "-m", "nbgrader", "autograde", "one-query", "--create")
    run(course, "-m", "nbgrader", "export")
    with (course / "grades.csv").open(encoding="utf-8") as file:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)} == {"ada": 5, "bob": 0}


@pytest.mark.slow
def test_otter_gives_points_for_right_answers_only(course) -> None:
    needs("otter")
    folder = course / "otter"
    run(folder, "-m", "otter", "assign", "one-query.ipynb", "dist")          # runs the tests on the solutions too
    released = folder / "dist" / "student" / "one-query.ipynb"
    assert "ACCEPT" not in sources(released) and "SOLUTION" not in sources(released)
    (grader,) = (folder / "dist" / "autograder").glob("*.zip")
    for notebook, points in ((folder / "dist" / "autograder" / "one-query.ipynb", 5), (released, 0)):
        run(folder, "-m", "otter", "run", "-a", grader, "-o", folder, notebook)
        results = json.loads((folder / "results.json").read_text())["tests"]
        assert sum(test["score"] for test in results if "max_score" in test) == points


def test_progress_files_become_one_table(tmp_path) -> None:
    right, wrong = ({"outcome": outcome, "tries": 2} for outcome in ("✓ Right", "✗ Wrong"))
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / FILE).write_text(json.dumps({"case 3, fix": right, "case 3, why": right}))
    (tmp_path / "bob.json").write_text(json.dumps({"case 3, why": wrong}))
    (tmp_path / "eve.json").write_text("[1]")
    shown = collect(tmp_path)
    assert shown.columns == ("learner", "right", "case 3, fix", "case 3, why")
    assert shown.rows == (("ada", "2 of 2", "✓ 2", "✓ 2"), ("bob", "0 of 1", "", "✗ 2"),
                          ("eve", "cannot be read", "", ""))
    assert "ada" in run(tmp_path, "-m", "kitlib", "progress", "--collect", tmp_path)
    with pytest.raises(NotFound, match="There is no progress file below"):
        collect(tmp_path / "ada" / "nowhere")


def test_progress_alone_shows_ones_own(tmp_path) -> None:
    assert "Your progress" in run(tmp_path, "-m", "kitlib", "progress")
