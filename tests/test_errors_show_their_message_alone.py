"""A notebook shows of the kit's own error its message and no Python frames; a program keeps its traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

BAD_COMMAND = 'from kitlib import open_lab; open_lab("recorded").pod("my-nginx").run("ip", "neigh", "show")'


@pytest.mark.parametrize("cell", [BAD_COMMAND, 'from kitlib import open_lab; open_lab("moon")'])
def test_a_cell_shows_the_message_alone(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    failed = InteractiveShell().run_cell(cell, store_history=False).error_in_exec
    shown = capsys.readouterr().out
    assert shown.strip() == f"{type(failed).__name__}: {failed}"


def test_an_error_of_python_keeps_its_frames_in_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    InteractiveShell().run_cell("1 / 0", store_history=False)
    assert "Traceback" in capsys.readouterr().out


def test_a_program_keeps_its_traceback() -> None:
    ran = subprocess.run([sys.executable, "-c", BAD_COMMAND], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1 and "Traceback" in ran.stderr and "kitlib.errors.NotRecorded: " in ran.stderr
