"""How tests and notebooks are run: which worker of `pytest -n` gets what, and on what a notebook's kernel listens."""

from __future__ import annotations

import os

import kernels
import nbval.kernel
from xdist.scheduler import LoadFileScheduling

os.environ.pop("KITLIB_LAB", None)    # a learner may have chosen another lab; the promises are about the recorded one
nbval.kernel.KernelManager = kernels.OnSockets

# Each of their tests stands alone and takes long: they begin, so that no worker is left with one at the end.
LIVE_NOTEBOOKS = "tests/test_every_notebook_runs_on_the_netns_lab.py"
LONG = ("tests/test_live_faults_break_and_fix.py", "tests/test_the_rule_walk_equals_this_kernel.py",
        "tests/test_notebooks_are_stored_as_they_run.py")


class ByFile(LoadFileScheduling):
    """Keeps a file on one worker, for its tests share fixtures and a notebook's cells a kernel."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(LIVE_NOTEBOOKS) else super()._split_scope(nodeid)


def pytest_configure(config) -> None:
    """Let xdist keep the order of the files."""
    config.option.loadscopereorder = False


def pytest_xdist_make_scheduler(config, log) -> ByFile:
    """Distribute by file whatever `--dist` says: the cells of a notebook cannot be run in any other way."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items) -> None:
    """Put the live notebooks first, the last and longest of them before the others; then the other long files."""
    live = [item for item in items if item.nodeid.startswith(LIVE_NOTEBOOKS)]
    long = [item for item in items if item.nodeid.startswith(LONG)]
    others = [item for item in items if item not in live and item not in long]
    items[:] = [*reversed(live), *long, *others]
