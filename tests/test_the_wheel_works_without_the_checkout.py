"""The wheel holds all that the recorded lab needs: recordings and notebooks too."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import NOTEBOOKS, REPO

pytestmark = pytest.mark.slow     # a build, and every file of the kit copied twice: make test-slow

LADDER = ("from kitlib import open_lab, ladder; import kitlib; print(kitlib.__file__); lab = open_lab()\n"
          "with lab.capture() as seen: lab.client.run('dig', 'www.example.com')\n"
          "print(ladder(seen.journey()).text)")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built out of what git knows and unpacked as pip does it."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, check=True, capture_output=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (REPO / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to(REPO / name)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", built, source], check=True, timeout=300)
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(folder)
    return folder


def python(unpacked: Path, cwd: Path, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, *arguments], cwd=cwd, env=os.environ | {"PYTHONPATH": str(unpacked)},
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_recorded_lab_opens_and_draws(unpacked: Path, tmp_path: Path) -> None:
    words = python(unpacked, tmp_path, "-c", LADDER)
    assert words.startswith(str(unpacked)) and "my-nginx" in words and "CoreDNS" in words


def test_all_labs_and_commands_are_in_it(unpacked: Path, tmp_path: Path) -> None:
    load = ("from importlib.metadata import entry_points; import sys\n"
            "for group in ('labs', 'commands', 'checks', 'recorders'):\n"
            "    for found in entry_points(group=f'kitlib.{group}'): found.load()\n"
            "print(*(sys.modules[name].__file__ for name in ('kind_lab', 'kubernetes_lab', 'live_labs', 'netns_lab')))")
    words = python(unpacked, tmp_path, "-c", load)
    assert words.count(str(unpacked)) == 4


def test_notebooks_are_copied_and_never_overwritten(unpacked: Path, tmp_path: Path) -> None:
    python(unpacked, tmp_path, "-m", "kitlib", "notebooks", "mine")
    copies = sorted((tmp_path / "mine" / "notebooks").glob("*.ipynb"))
    assert [copy.name for copy in copies] == [notebook.name for notebook in NOTEBOOKS]
    assert (tmp_path / "mine" / "docs" / "glossary.md").is_file()
    copies[0].write_text("my own work")
    assert "0 files copied" in python(unpacked, tmp_path, "-m", "kitlib", "notebooks", "mine")
    assert copies[0].read_text() == "my own work"
