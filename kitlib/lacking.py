"""In a notebook: where the lab lacks what a cell needs, a calm sentence instead of a traceback; the rest runs.

What such a cell would have made is remembered, so that the cells that build on it say so too.
"""

from __future__ import annotations

import ast
import linecache
import sys
import traceback
from types import TracebackType
from typing import Any

from kitlib.errors import NotFound, NotRecorded

LAB_LACKS = (NotFound, NotRecorded)
NOT_THERE = (StopIteration, IndexError, ValueError)     # next(), [0] and unpacking of what a capture does not hold
NOTHING_TO_SHOW = "This cell has nothing to show on this lab."
NOT_IN_THIS_CAPTURE = "What this cell looks for is not there on this lab, or not in this capture:"
_not_made: set[str] = set()


def explain_what_is_lacking() -> None:
    """Install this in the notebook that runs here, if one does; once."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and _forgive not in shell.events.callbacks["post_run_cell"]:
        shell.set_custom_exc((*LAB_LACKS, NameError, *NOT_THERE), _show)
        shell.events.register("post_run_cell", _forgive)


def sentence(error: BaseException, trace: TracebackType | None) -> str:
    """Say what is lacking; "" for an error of another kind, which is to be shown as it is."""
    if isinstance(error, LAB_LACKS):
        return f"{NOTHING_TO_SHOW} {error}"
    if isinstance(error, NameError):
        return f"This cell needs `{error.name}`, which a cell above could not make on this lab." \
            if error.name in _not_made else ""
    frames = traceback.extract_tb(trace)
    is_of_the_cell = len(frames) > 0 and "ipykernel" in frames[-1].filename
    if not is_of_the_cell or (isinstance(error, ValueError) and "to unpack" not in str(error)):
        return ""
    line = frames[-1].line or linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f"{NOT_IN_THIS_CAPTURE} `{line}`"


def _show(shell: Any, kind: type, error: BaseException, trace: TracebackType, tb_offset: int | None = None) -> None:
    """Print the sentence, or the traceback of an error of another kind: a handler for IPython's set_custom_exc."""
    error.__kitlib_sentence__ = sentence(error, trace)
    if error.__kitlib_sentence__:
        print(error.__kitlib_sentence__)
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _forgive(result: Any) -> None:
    """Let the notebook go on after a cell that said what it lacks: a handler for IPython's post_run_cell."""
    if not getattr(result.error_in_exec, "__kitlib_sentence__", ""):
        return
    result.error_in_exec = None
    nodes = list(ast.walk(ast.parse(result.info.raw_cell)))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made -= {node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)}
    _not_made.update(made)
    for name in made:       # what an earlier cell called so is another thing
        sys.modules["IPython"].get_ipython().user_ns.pop(name, None)
