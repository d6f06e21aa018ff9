"""Run the notebooks on the recorded lab and store them normalised, so that the same run gives the same bytes.

Without arguments: every notebook of notebooks/. Stops at the first cell that raises an error.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import kernels
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

REPO = Path(__file__).resolve().parent.parent
CELL_TIMEOUT_S = 60
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT = ("tags", "jupyter")                                   # of a cell's metadata: marks, folded away
LIVE_ONLY = "application/vnd.jupyter.widget-view+json"      # a widget without its kernel is an empty box


def notebooks() -> list[Path]:
    """List every notebook of the kit, in order."""
    return sorted((REPO / "notebooks").glob("*.ipynb"))


def rerun(path: Path) -> str:
    """Run a notebook from its first cell, in a kernel of its own, and return its new text."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name=KERNEL["name"], store_widget_state=False,
                            kernel_manager_class=kernels.AsyncOnSockets, record_timing=False,
                            resources={"metadata": {"path": str(path.resolve().parent)}},
                            extra_arguments=["--IPKernelApp.log_level=ERROR"])
    mine = {name: value for name, value in os.environ.items() if name != "KITLIB_LAB"}
    client.execute(env=mine | {"KITLIB_PROGRESS": os.devnull})     # what is stored here is nobody's progress
    return normalised(notebook)


def normalised(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook as it is stored: counts 1 to N, nothing of this machine, this moment or this kernel."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)})
        if cell.cell_type == "code":
            count += 1
            cell.outputs = [normal_output(output, count) for output in merged(cell.outputs)]
            cell.execution_count = count
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def merged(outputs: list) -> list:
    """Join neighbouring pieces of one stream: how a kernel cuts print's output is chance."""
    joined: list = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def normal_output(output: nbformat.NotebookNode, count: int) -> nbformat.NotebookNode:
    """Return an output without what only lives with its kernel."""
    output.pop("transient", None)
    if "data" in output:
        output.data.pop(LIVE_ONLY, None)
        output.metadata = nbformat.from_dict({})
    if output.output_type == "execute_result":
        output.execution_count = count
    return output


def main() -> int:
    """Run and store; return 1 at an error in a notebook."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="only these files")
    paths = parser.parse_args().notebooks or notebooks()
    if not paths:
        print("There is no notebook in notebooks/.", file=sys.stderr)
        return 1
    for path in paths:
        started, before = time.monotonic(), path.read_text(encoding="utf-8")
        print(f"{path.name}: ", end="", flush=True)
        try:
            text = rerun(path)
        except CellExecutionError as error:
            print(f"stopped, nothing stored\n{error}")
            return 1
        path.write_text(text, encoding="utf-8")
        print(f"{'unchanged' if text == before else 'stored'} after {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
