"""A learner's progress, kept in one file on their own machine: delete it to start over."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitlib.drawings.table import Table

FILE = "workshop-progress.json"       # beside the notebook, unless KITLIB_PROGRESS names another file


def progress() -> Table:
    """What was answered so far, and how often it was tried."""
    from kitlib.drawings.table import table

    rows = [{"question": question, **entry} for question, entry in _read().items()]
    return table(rows, title=f"Your progress, kept in {_file().name}: delete that file to start over")


def note(question: str, outcome: str) -> None:
    """Remember how an answer was judged; an untouched question is not noted."""
    if outcome.endswith("Not attempted"):
        return
    known = _read()
    known[question] = {"outcome": outcome, "tries": known.get(question, {}).get("tries", 0) + 1}
    with suppress(OSError):          # a folder that cannot be written must not keep anybody from learning
        _file().write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _file() -> Path:
    return Path(os.environ.get("KITLIB_PROGRESS") or FILE)


def _read() -> dict[str, dict]:
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
