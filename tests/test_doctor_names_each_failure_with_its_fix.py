"""The doctor: the same few lines on every machine that is ready, and for each failure what to do about it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

from conftest import REPO
from kind_lab import needs as kind
from kitlib import checkup as clinic
from kitlib.checkup import Check, Report
from kitlib.errors import KitError
from live_labs import shell
from live_labs.shell import Completed
from netns_lab import needs as netns

HEALTHY = """\
ok      Python 3.11 to 3.14
ok      packages as pinned
ok      JupyterLab shows widgets
ok      the lab in use: recorded
This machine is ready."""


def terminal(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "kitlib", *arguments], cwd=REPO, env=os.environ | env,
                          capture_output=True, text=True, timeout=60, check=False)


def test_a_ready_machine_reads_the_same_everywhere() -> None:
    report = clinic.doctor()
    assert repr(report) == HEALTHY and report.ready
    assert terminal("doctor").stdout == HEALTHY + "\n"


def test_in_a_browser_it_looks_at_the_lab_only(monkeypatch) -> None:
    """There is no JupyterLab of ours, no terminal and no pinned package to look at, and the Python is the browser's."""
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert repr(clinic.doctor(labs=True)) == "ok      the lab in use: recorded\nThis machine is ready."


def test_a_wrong_python_is_named(monkeypatch) -> None:
    monkeypatch.setattr(clinic, "SUPPORTED", ((3, 0), (3, 1)))
    check = clinic.python_check()
    assert (check.what, check.state) == ("Python 3.0 to 3.1", "FAILED")
    assert sys.version.split()[0] in check.problem and "make lab" in check.fix


def test_wrong_and_missing_packages_are_named(monkeypatch) -> None:
    monkeypatch.setattr(clinic, "pins", lambda: {"sh": "0.1", "no-such-package": "1", "scapy": installed("scapy")})
    check = clinic.packages_check()
    assert check.problem == f"sh is {installed('sh')}, not 0.1, no-such-package is missing"
    assert "make lab" in check.fix


def installed(name: str) -> str:
    return importlib.metadata.version(name)


def test_a_kit_that_is_not_installed_is_named(monkeypatch) -> None:
    def missing(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert clinic.packages_check().problem == "kitlib itself is not installed here"


def test_missing_widgets_are_seen(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    assert "is missing" in clinic.widgets_check().problem


@pytest.mark.parametrize("disabled, seen", [
    ({clinic.WIDGETS: True}, True), ({clinic.WIDGETS: False}, False), ([clinic.WIDGETS], True), ({}, False),
    ({"@jupyterlab/help-extension": True}, False),
])
def test_widgets_that_are_switched_off_are_seen(monkeypatch, tmp_path, disabled, seen: bool) -> None:
    (tmp_path / "labconfig").mkdir()
    (tmp_path / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": disabled}))
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(tmp_path)])
    check = clinic.widgets_check()
    assert ("is switched off" in check.problem) is seen
    assert ("labextension enable" in check.fix) is seen


def test_an_unknown_lab_fails_with_its_fix_and_exit_code_1() -> None:
    told = terminal("doctor", KITLIB_LAB="moon")
    assert told.returncode == 1
    assert "FAILED  the lab in use" in told.stdout and "'moon'" in told.stdout and "→ Unset KITLIB_LAB" in told.stdout
    assert told.stdout.endswith("see the fixes above.\n")


def test_other_labs_are_tried_and_never_make_the_machine_unready(monkeypatch) -> None:
    def nothing_here(argv, timeout):
        raise KitError(f"The program {argv[0]!r} is not on this machine")

    monkeypatch.setattr(shell, "run", nothing_here)
    monkeypatch.setattr(netns, "has", lambda program: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    report = clinic.doctor(labs=True)
    others = [check for check in report.checks if check.optional]
    assert [check.what for check in others] == [
        "kind lab: Docker", "kind lab: kind", "kind lab: kubectl",
        "kind lab: captures with the tcpdump of the node",
        *(f"netns lab: {', '.join(programs)}" for programs in netns.packages().values()),
        *(f"netns lab: {what}" for what in ("namespaces", "veth pairs", "bridges", "iptables", "connection tracking"))]
    assert all(check.state == "missing" and check.fix for check in others)
    assert report.ready and report.verdict == "This machine is ready, but not for the kind lab and the netns lab."


def test_what_a_failing_program_says_is_told(monkeypatch) -> None:
    monkeypatch.setattr(shell, "run", lambda argv, timeout: Completed(1, "", "first\nCannot connect\n"))
    assert next(kind.problems())[:2] == ("kind lab: Docker", "Cannot connect")
    monkeypatch.setattr(shell, "run", lambda argv, timeout: Completed(0, "fine", "a warning"))
    assert next(kind.problems())[:2] == ("kind lab: Docker", "")


def test_the_table_says_in_words_what_it_found_and_escapes_it() -> None:
    checks = Check("a <b>"), Check("c", "gone & lost", "look"), Check("d", "no", "get", optional=True)
    page = Report(checks)._repr_html_()
    assert all(word in page for word in (">ok<", ">FAILED<", ">missing<", "a &lt;b&gt;", "gone &amp; lost", ">look<"))


def test_help_says_what_there_is() -> None:
    assert "--labs" in terminal("doctor", "--help").stdout
    assert terminal().returncode == 2
