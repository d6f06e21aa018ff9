"""Kernels can start at once without harm; one that dies at its start gets a second start, then a reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import kernels
import pytest

DIES = [sys.executable, "-c", "import sys; sys.exit('no room left')"]


@pytest.fixture
def kernel() -> Iterator[kernels.OnSockets]:
    made = kernels.OnSockets()
    yield made
    made.shutdown_kernel(now=True)


def dying(kernel: kernels.OnSockets, times: int):
    """The command lines of a kernel that dies at its first so many starts."""
    lives = kernel.format_kernel_cmd
    starts = iter([DIES] * times)
    return lambda *arguments, **options: next(starts, None) or lives(*arguments, **options)


def test_a_kernel_listens_at_files_that_are_its_own_and_leaves_none(kernel) -> None:
    kernel.start_kernel()
    folder, name = Path(kernel.ip).parent, Path(kernel.ip).name
    assert len([*folder.glob(f"{name}-*")]) == 5 and kernels.OnSockets().ip != kernel.ip
    kernel.shutdown_kernel(now=True)
    assert not [*folder.glob(f"{name}-*")]


def test_a_kernel_that_dies_at_its_start_is_started_once_more(kernel, monkeypatch) -> None:
    monkeypatch.setattr(kernels.OnSockets, "format_kernel_cmd", staticmethod(dying(kernel, times=1)))
    kernel.start_kernel()
    assert kernel.is_alive()


def test_a_kernel_that_dies_again_says_why(kernel, monkeypatch) -> None:
    monkeypatch.setattr(kernels.OnSockets, "format_kernel_cmd", staticmethod(dying(kernel, times=2)))
    with pytest.raises(RuntimeError, match=r"(?s)died twice at its start\. It said:\nno room left"):
        kernel.start_kernel()
