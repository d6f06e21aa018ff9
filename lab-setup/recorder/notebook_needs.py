"""What a recording lacks for each notebook: the lessons' cells are run on it, and what they do not find is listed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kitlib.errors import KitError, NotRecorded

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def lacking(folder: Path) -> list[str]:
    """List what the notebooks 00 to 09 do not find in the recording of this folder, one line for each thing."""
    environment = dict(os.environ)
    os.environ |= {"KITLIB_LAB": "recorded", "KITLIB_RECORDING": str(folder.resolve())}
    for setting in ("KITLIB_MODE", "KITLIB_POD"):
        os.environ.pop(setting, None)
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        return [f"notebook {path.stem[:2]} lacks: {what}" for path in sorted(NOTEBOOKS.glob("0[1-9]*.ipynb"))
                for what in dict.fromkeys(_lacking_in(path))]
    finally:
        sys.path.remove(str(NOTEBOOKS))
        os.environ.clear()
        os.environ.update(environment)


def _lacking_in(notebook: Path) -> Iterator[str]:
    """Run a notebook's cells; those that build on a cell which found nothing say nothing of their own."""
    names: dict[str, object] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("".join(cell["source"]), f"{notebook.name} {cell['id']}", "exec"), names)
        except NotRecorded as error:
            lines = str(error).splitlines()
            yield lines[1].strip() if len(lines) > 1 else lines[0]
        except KitError as error:
            yield str(error).splitlines()[0]
        except (NameError, LookupError, StopIteration, ValueError):
            continue
