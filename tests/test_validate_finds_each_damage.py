"""A sound recording has no problem; each damage is found, and said with the file that it is in."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest

from conftest import REPO
from kitlib.__main__ import main
from recorder.validate import validate

FIXTURE = REPO / "tests/fixtures/recorded-by-the-kit"


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(FIXTURE, tmp_path / "copy")


def first_take(folder):
    return folder / json.loads((folder / "recording.json").read_text())["scenes"][0]["takes"][0]


def change_lines(path, change) -> None:
    """Each JSON line as `change` gives it back; None leaves it out."""
    entries = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries if entry is not None))


def test_the_kits_recorders_own_is_sound():
    assert validate(FIXTURE) == []


def without(*argv):
    return lambda entry: None if entry["argv"][:len(argv)] == list(argv) else entry


@pytest.mark.parametrize("asked", [("kubectl", "get", "nodes"), ("docker", "network"), ("ps",), ("ip", "route")])
def test_an_answer_that_every_notebook_needs_is_missed(copy, asked):
    change_lines(copy / "facts.jsonl", without(*asked))
    assert any(" ".join(asked) in problem for problem in validate(copy))


@pytest.mark.parametrize("suffix", [".jsonl", ".pcapng"])
def test_a_missing_or_cut_file_of_a_take_is_named(copy, suffix):
    take = first_take(copy).with_suffix(suffix)
    take.write_bytes(take.read_bytes()[:100])
    assert any(take.name in problem for problem in validate(copy))
    take.unlink()
    assert any(take.name in problem for problem in validate(copy))


MORE_TEXT, ELSEWHERE = "09:02:18.589782 IP (one more)\n", "node:elsewhere"


@pytest.mark.parametrize(("kind", "is_meant", "change", "problem"), [
    ("command", lambda _: True, lambda _: {"argv": ["dig", "elsewhere"]}, "it should begin with 'dig www.example.com'"),
    ("point", lambda point: point["text"], lambda point: {"text": point["text"] + MORE_TEXT}, "tcpdump's text has"),
    # Where nothing was caught, only the place is wrong.
    ("point", lambda point: not point["text"], lambda _: {"place": ELSEWHERE}, "a place that the lab does not have")])
def test_a_take_that_does_not_fit_is_found(copy, kind, is_meant, change, problem):
    change_lines(first_take(copy), lambda entry: {kind: entry[kind] | change(entry[kind])}
                 if kind in entry and is_meant(entry[kind]) else entry)
    assert any(problem in found for found in validate(copy))


def test_a_secret_is_found_with_its_line(copy):
    with (copy / "facts.jsonl").open("a") as file:
        file.write(json.dumps({"place": "host", "argv": ["cat"], "rc": 0, "stderr": "",
                               "stdout": 'x "client-key-data": "TFMwdExTMUNSVWRKVGlC"'}) + "\n")
    count = len((copy / "facts.jsonl").read_text().splitlines())
    assert any(f"facts.jsonl, line {count}: this looks like a kubeconfig" in problem for problem in validate(copy))


def test_another_format_and_no_recording_at_all_are_said(copy, tmp_path):
    index = json.loads((copy / "recording.json").read_text())
    (copy / "recording.json").write_text(json.dumps({**index, "format": 9}))
    assert "format 1" in validate(copy)[0] and "recording.json" in validate(tmp_path)[0]


def test_the_command_says_it_and_its_exit_code_tells(copy, tmp_path, capsys, monkeypatch):
    """It also runs the lessons: what they lack is no fault of a recording. Here 06 alone, all in make test-slow."""
    for path in REPO.glob("notebooks/06*.ipynb"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr("recorder.validate.course_folder", lambda _: tmp_path)
    monkeypatch.setattr(sys, "argv", ["kitlib", "validate", str(copy)])
    assert main() == 0 and "Nothing is wrong with it" in (said := capsys.readouterr().out)
    assert re.findall(r"^notebook (\d\d) lacks: docker exec \S+-worker3 sysctl net.ipv4", said, re.M) == ["06"]
    (copy / "facts.jsonl").write_text("{")
    assert main() == 1 and "not JSON" in (said := capsys.readouterr().out) and "lacks" not in said
