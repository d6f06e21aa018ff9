"""Derive the learner's edition of the workshop from the solution edition, run both and store them.

notebooks/solutions/NN-*.ipynb is the source; notebooks/NN-*.ipynb is what learners get. On the way:
 * lines from ### BEGIN SOLUTION to ### END SOLUTION (nbgrader's marks) become an empty answer;
 * cells with the tag `solution` are left out;
 * links lose one `../`, because the file moves one folder up.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

from notebooks import REPO, normalised, rerun

SOLUTIONS = REPO / "notebooks" / "solutions"
SOLUTION = re.compile(r"### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL)
UNANSWERED = 'answer = ""'


def sources() -> list[Path]:
    """List the notebooks of the solution edition, in order."""
    return sorted(SOLUTIONS.glob("*.ipynb"))


def learners(source: Path) -> str:
    """Derive the learner's edition of one notebook, not yet run."""
    notebook = nbformat.read(source, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source, cell.outputs = SOLUTION.sub(UNANSWERED, cell.source), []
        else:
            cell.source = cell.source.replace("](../", "](")
    return normalised(notebook)


def main() -> int:
    """Run and store both editions; return 1 at an error in a notebook."""
    for source in sources():
        for path, text in ((source, None), (SOLUTIONS.parent / source.name, learners(source))):
            print(f"{path.relative_to(REPO)}: ", end="", flush=True)
            if text is not None:
                path.write_text(text, encoding="utf-8")
            try:
                path.write_text(rerun(path), encoding="utf-8")
            except CellExecutionError as error:
                print(f"stopped\n{error}")
                return 1
            print("stored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
