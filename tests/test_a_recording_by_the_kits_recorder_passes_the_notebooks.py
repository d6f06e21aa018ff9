"""The notebooks play a recording that this kit's recorder made on a real cluster, as they play the kit's own."""

from __future__ import annotations

import json

import pytest
from test_everything_shown_follows_the_recording import shown_by

from conftest import NOTEBOOKS, REPO
from recorder.scrub import scrub

FIXTURE = REPO / "tests/fixtures/recorded-by-the-kit"
RECORDED = [notebook for notebook in NOTEBOOKS if notebook.name[:2] <= "05"]     # those that were run while it was made
LESSONS = [notebook for notebook in NOTEBOOKS if notebook.name[:2] <= "09"]


@pytest.mark.parametrize("notebook", RECORDED, ids=[notebook.stem for notebook in RECORDED])
def test_every_notebook_that_was_recorded_shows_that_cluster(notebook, monkeypatch):
    monkeypatch.setenv("KITLIB_RECORDING", str(FIXTURE))
    shown = shown_by(notebook)
    facts = [json.loads(line) for line in (FIXTURE / "facts.jsonl").read_text().splitlines()]
    pods = json.loads(next(fact["stdout"] for fact in facts if fact["argv"][:3] == ["kubectl", "get", "pods"]
                           and "json" in fact["argv"]))
    address = next(pod["status"]["podIP"] for pod in pods["items"] if pod["metadata"]["name"].startswith("my-nginx"))
    assert "kind-test1" not in shown
    assert address in shown or "AAAA" in shown


@pytest.fixture(scope="module")
def scrubbed(tmp_path_factory):
    """The kit's own recording, scrubbed once more than it was."""
    out = tmp_path_factory.mktemp("scrubbed") / "clean"
    scrub(REPO / "kitlib/recordings/kind-test1", out)
    return out


@pytest.mark.parametrize("notebook", LESSONS, ids=[notebook.stem for notebook in LESSONS])
def test_every_lesson_plays_a_scrubbed_recording(notebook, scrubbed, monkeypatch):
    monkeypatch.setenv("KITLIB_RECORDING", str(scrubbed))
    shown = shown_by(notebook)
    assert shown and "kind-test1" not in shown and "93.184.216.34" not in shown


def test_it_is_small():
    assert sum(file.stat().st_size for file in FIXTURE.rglob("*") if file.is_file()) < 650_000
