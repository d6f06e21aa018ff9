"""Whatever a parser or the rule walk is fed, only the kit's own errors come out: no ValueError, no IndexError."""

from __future__ import annotations

import sys

import pytest

from conftest import REPO

sys.path.insert(0, str(REPO / "benchmarks"))
from fuzz import fuzz


@pytest.mark.parametrize("seed", range(2, 6))
def test_nothing_else_escapes(seed: int) -> None:
    outcomes, strange = fuzz(2000, seed)
    assert not strange, strange[0]
    assert min(outcomes["read"], outcomes["refused"]) > 200
