"""Every notebook is stored as it runs: run again on the recorded lab, it gives the same bytes, cell by cell."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import notebooks
from conftest import NOTEBOOKS, REPO, slow_but


def differing_cells(name: str, stored: str, rerun: str) -> list[str]:
    """One entry for each cell that differs: which one, and how."""
    before, after = (json.loads(text)["cells"] for text in (stored, rerun))
    found = []
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        lines = [json.dumps(cell, indent=1, ensure_ascii=False).splitlines() for cell in (old, new)]
        if lines[0] != lines[1]:
            diff = "\n".join(difflib.unified_diff(*lines, "stored", "run again", lineterm="", n=1))
            found.append(f"{name}, cell {number} ({old['id']}) differs:\n{diff}")
    return found


@pytest.mark.parametrize("notebook", slow_but("08", NOTEBOOKS))      # nbval runs each in the fast suite
def test_running_it_again_gives_the_same_bytes(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    again = notebooks.rerun(notebook)
    cells = differing_cells(notebook.name, text, again)
    assert not cells, "\n\n".join([*cells, "make notebooks stores them"])
    assert text == again, f"{notebook.name}: the cells agree, but not the file around them; make notebooks stores it"


def test_it_is_stored_executed_from_first_to_last_cell(stored: Path) -> None:
    cells = [cell for cell in nbformat.read(stored, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    results = [(cell.execution_count, output.execution_count) for cell in cells for output in cell.outputs
               if output.output_type == "execute_result"]
    assert all(count == of_result for count, of_result in results)


def test_it_is_stored_without_errors_kernel_state_or_machine(stored: Path) -> None:
    text = stored.read_text(encoding="utf-8")
    notebook = json.loads(text)
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    for word in ("widget-view+json", "widget-state+json", '"execution": {', "iopub", '"transient"'):
        assert word not in text
    assert not re.search(r"(?:object|function \S+|method \S+ of .*) at 0x[0-9a-f]{6,}", text)
    assert str(REPO) not in text


def test_no_cell_is_exempt_from_comparison(stored: Path) -> None:
    notebook = nbformat.read(stored, as_version=4)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    assert not [tag for tag in tags if tag.startswith("nbval") or tag in ("raises-exception", "skip-execution")]
    assert not [cell.source for cell in notebook.cells if re.search("nbval|pytest_skip", cell.source, re.IGNORECASE)]


def test_nbval_compares_every_code_cell() -> None:
    """`make test` would be as green if it collected no notebook: count what pytest collects with the kit's settings."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "notebooks"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=180, check=False).stdout
    expected = {f"{path.name}::Cell {number}" for path in NOTEBOOKS
                for number in range(sum(cell.cell_type == "code" for cell in nbformat.read(path, as_version=4).cells))}
    assert expected and set(re.findall(r"^notebooks/(.*::Cell \d+)$", listed, re.MULTILINE)) == expected


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_cell_that_comes_out_differently_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "drift.ipynb", "1 + 1", "import os; os.getpid()")
    first, second = notebooks.rerun(path), notebooks.rerun(path)
    (cell,) = differing_cells("drift.ipynb", first, second)
    assert cell.startswith("drift.ipynb, cell 2 (c1) differs:") and "+++ run again" in cell


def test_what_lives_with_the_kernel_is_not_stored(tmp_path: Path, monkeypatch) -> None:
    """Counts, widgets, timings, display ids and print's pieces come out the same whatever was in the file before."""
    monkeypatch.setenv("KITLIB_LAB", "moon")
    path = write(tmp_path / "live.ipynb",
                 "import os, sys, time\nprint(1, flush=True); time.sleep(0.1); print(2, os.environ.get('KITLIB_LAB'))",
                 "import ipywidgets; ipywidgets.IntSlider()", "display(3, display_id='x')")
    text = notebooks.rerun(path)
    first, second, third = json.loads(text)["cells"]
    assert [output["text"] for output in first["outputs"]] == [["1\n", "2 None\n"]]
    assert [list(output["data"]) for output in second["outputs"]] == [["text/plain"]]
    assert second["outputs"][0]["execution_count"] == second["execution_count"] == 2
    assert set(third["outputs"][0]) == {"data", "metadata", "output_type"}
    worn = json.loads(text) | {"metadata": {"language_info": {"name": "python", "version": "3.0"}, "widgets": {}}}
    worn["cells"][0] |= {"execution_count": 41, "metadata": {"execution": {"iopub.execute_input": "now"}}}
    path.write_text(json.dumps(worn))
    assert notebooks.rerun(path) == text


def test_an_error_in_a_cell_stops_and_stores_nothing(tmp_path: Path, monkeypatch, capsys) -> None:
    path = write(tmp_path / "broken.ipynb", "1 / 0")
    before = path.read_bytes()
    monkeypatch.setattr(sys, "argv", ["notebooks.py", str(path)])
    assert notebooks.main() == 1 and "ZeroDivisionError" in capsys.readouterr().out
    assert path.read_bytes() == before
