"""The README's picture is the ladder of the recorded query, and its words are true."""

import runpy

from conftest import REPO


def test_the_picture_is_what_the_kit_draws_today(tmp_path):
    drawn = runpy.run_path(str(REPO / "lab-setup/picture.py"))["draw"](tmp_path / "today.svg")
    stored = REPO / "docs/one-query.svg"
    assert drawn.read_bytes() == stored.read_bytes(), "draw it again: .venv/bin/python lab-setup/picture.py"
    assert "docs/one-query.svg" in (REPO / "README.md").read_text()


def test_every_folder_of_the_repository_is_in_the_readme():
    told = (REPO / "README.md").read_text()
    made = ("screenshots", "kitlib.egg-info", "build", "__pycache__")
    folders = [path.name for path in REPO.iterdir() if path.is_dir() and not path.name.startswith(".")
               and any(path.rglob("*.*")) and path.name not in made]
    assert [name for name in folders if f"`{name}/`" not in told] == []
