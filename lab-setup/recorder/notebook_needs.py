"""What a recording lacks for each notebook: the lessons are run on it, and what their cells do not find is listed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.errors import KitError
from kitlib.lacking import NOT_IN_THIS_CAPTURE, NOTHING_TO_SHOW
from lessons.copies import course_folder

CELL_TIMEOUT_S = 120
ERROR = ["--IPKernelApp.log_level=ERROR"]


def lacking(folder: Path) -> list[str]:
    """List what the lessons do not find in the recording of this folder, one line for each thing."""
    return [f"notebook {path.stem[:2]} lacks: {what}" for path in lessons()
            for what in dict.fromkeys(_said_by(path, folder))]


def lessons() -> list[Path]:
    """List the notebooks that tell of the lab they run on, in order: the workshop behind them brings its own."""
    return sorted(path for path in course_folder("notebooks").glob("*.ipynb") if path.stem < "20")


def run(path: Path, **options: Any) -> Any:
    """Run a notebook from its first cell in a kernel of its own, and return it with its outputs."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError:
        raise KitError("nbclient is not installed here: without it no notebook can be run (make install).") from None
    client = NotebookClient(nbformat.read(path, as_version=4), timeout=CELL_TIMEOUT_S, extra_arguments=ERROR,
                            resources={"metadata": {"path": str(path.parent)}}, **options)
    return client.execute(env=dict(os.environ))


def _said_by(path: Path, folder: Path) -> Iterator[str]:
    """Yield what the cells of a notebook say they lack; those that build on them say so too, and are left out here."""
    before = dict(os.environ)
    os.environ |= {"KITLIB_LAB": "recorded", "KITLIB_RECORDING": str(folder.resolve()), "KITLIB_MODE": "",
                   "KITLIB_POD": ""}
    try:
        notebook = run(path, allow_errors=True)
    finally:
        os.environ.clear()
        os.environ.update(before)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        words = output.get("text", "").removeprefix(NOTHING_TO_SHOW)
        if words != output.get("text", ""):
            lines = [line.strip() for line in words.strip().splitlines()]
            yield lines[1] if lines[0].endswith("not recorded:") else lines[0]
        elif words.startswith(NOT_IN_THIS_CAPTURE):
            yield words.strip()
        elif output.output_type == "error" and output.ename != "NameError":      # by what a cell above did not make
            yield f"{output.ename}: {output.evalue.partition(chr(10))[0]}"
