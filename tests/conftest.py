"""What every test stands on: the recorded lab, and generated inputs that are the same in every run."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

REPO = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))

settings.register_profile("kit", derandomize=True, deadline=None, database=None)
settings.load_profile("kit")
os.environ.pop("KITLIB_LAB", None)    # a learner may have chosen another lab; the promises are about the recorded one


def pytest_generate_tests(metafunc) -> None:
    """A test with an argument `stored` runs once for each stored notebook."""
    if "stored" in metafunc.fixturenames:
        metafunc.parametrize("stored", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
