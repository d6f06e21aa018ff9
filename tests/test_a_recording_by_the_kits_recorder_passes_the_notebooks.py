"""The notebooks play a recording that this kit's recorder made on a real cluster, as they play the kit's own."""

from __future__ import annotations

import json
import re

import pytest
from test_everything_shown_follows_the_recording import shown_by

import kitlib.lab as lab_module
from conftest import NOTEBOOKS, REPO
from recorder.scrub import scrub

FIXTURE = REPO / "tests/fixtures/recorded-by-the-kit"
RECORDED = [notebook for notebook in NOTEBOOKS if notebook.name[:2] <= "05"]     # those that were run while it was made
LESSONS = [notebook for notebook in NOTEBOOKS if notebook.name[:2] <= "10"]


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
    """The kit's own recordings, scrubbed once more than they were."""
    out = tmp_path_factory.mktemp("scrubbed")
    for name in ("kind-test1", "kind-test1-nftables"):
        scrub(REPO / "kitlib/recordings" / name, out / name)
    return out


@pytest.mark.parametrize("notebook", LESSONS, ids=[notebook.stem for notebook in LESSONS])
def test_every_lesson_plays_a_scrubbed_recording(notebook, scrubbed, monkeypatch):
    monkeypatch.setattr(lab_module, "RECORDINGS", scrubbed)
    shown = shown_by(notebook)
    assert shown and not re.search("kind-test1-(?:worker|control)|93.184.216.34|This was not recorded", shown)


def test_it_is_small():
    assert sum(file.stat().st_size for file in FIXTURE.rglob("*") if file.is_file()) < 650_000
