"""How tests and notebooks are run: which worker of `pytest -n` gets what, and on what a notebook's kernel listens."""

from __future__ import annotations

import os

import kernels
import nbval.kernel
from xdist.scheduler import LoadFileScheduling

os.environ.pop("KITLIB_LAB", None)    # a learner may have chosen another lab; the promises are about the recorded one
nbval.kernel.KernelManager = kernels.OnSockets

# What starts many programs begins: each start copies the page tables of a worker, and it only grows.
# No worker is left with a long file at the end, either.
LIVE = ("tests/test_every_notebook_runs_on_the_netns_lab.py", "tests/test_live", "tests/test_netns_lab",
        "tests/test_follow", "tests/test_the_rule_trace", "tests/test_the_kernel_remembers", "tests/test_ipv6_walks",
        "tests/test_notebooks_are_stored_as_they_run.py", "tests/test_the_rule_walk_equals_this_kernel.py",
        "tests/test_the_nftables_walk_equals_this_kernel.py", "tests/test_the_terminal")


def pytest_configure(config) -> None:
    """Let xdist keep the order of the files."""
    config.option.loadscopereorder = False


def pytest_xdist_make_scheduler(config, log) -> LoadFileScheduling:
    """Distribute by file whatever `--dist` says: tests of a file share fixtures, and cells of a notebook a kernel."""
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(items) -> None:
    """Put the live tests first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LIVE))
