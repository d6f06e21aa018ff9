"""Runs one notebook's cells inside Pyodide and compares what they show with what is stored; check.mjs calls it."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

WIDGET = "application/vnd.jupyter.widget-view+json"     # never stored


class Shell(InteractiveShell):
    """IPython that keeps what cells show instead of printing it."""

    shown: list[dict]

    class displayhook_class(DisplayHook):
        """Keeps the last value of a cell as a MIME bundle."""

        def __call__(self, result: object = None) -> None:
            """Keep the value that a cell ends with."""
            if result is not None:
                self.shell.shown.append(self.shell.display_formatter.format(result)[0])


def check(path: str) -> str:
    """Run a notebook from its first cell; return the differences, one a line, "" if there are none."""
    os.environ["KITLIB_PROGRESS"] = os.devnull
    os.chdir(Path(path).parent)
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    shell = Shell(config=Config({"HistoryManager": {"enabled": False}}))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return "\n".join(f"cell {number}: {problem}" for number, cell in enumerate(cells, start=1)
                     for problem in differences(cell, shell))


def differences(cell: dict, shell: Shell) -> Iterator[str]:
    """Run one cell and yield what it shows otherwise than stored."""
    shell.shown = []
    with capture_output() as streams:
        ran = shell.run_cell("".join(cell["source"]), store_history=False)
    if not ran.success:
        yield "".join(traceback.format_exception_only(ran.error_in_exec or ran.error_before_exec)).strip()
        return
    if "".join(cell["source"]).endswith("doctor()"):      # it looks at the machine, and this one is a browser
        words = shell.shown[-1]["text/plain"]
        if not words.endswith("This machine is ready."):
            yield words
        return
    bundles = [*(output.data for output in streams.outputs), *shell.shown]
    stored = SimpleNamespace(text="", bundles=[])
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            stored.text += "".join(output["text"])
        else:
            stored.bundles.append({mime: "".join(text) for mime, text in output["data"].items()})
    now = [{mime: text for mime, text in bundle.items() if mime != WIDGET} for bundle in bundles]
    if streams.stdout != stored.text:
        yield f"prints {streams.stdout!r}, stored is {stored.text!r}"
    if now != stored.bundles:
        texts = [[bundle.get("text/plain", "") for bundle in side] for side in (now, stored.bundles)]
        yield f"shows {texts[0]!r}, stored is {texts[1]!r}"
