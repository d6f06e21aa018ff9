"""kitlib.shell starts programs from argument lists: every outcome is told, nothing is ever read by a shell."""

from __future__ import annotations

import sys
import time

import pytest

from kitlib.errors import KitError
from kitlib.shell import run


def python(code: str, *args: str, timeout: float = 20):
    return run([sys.executable, "-c", code, *args], timeout)


def test_both_outputs_and_the_exit_code_are_kept() -> None:
    outcome = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (outcome.rc, outcome.stdout, outcome.stderr) == (3, "out\n", "err\n")
    assert 0 < outcome.seconds < 20


def test_success_is_exit_code_zero() -> None:
    assert python("pass").rc == 0


@pytest.mark.parametrize("argument", ["$(touch /tmp/never)", "; exit 9", "`id`", "a b", "*", "--x=1", "", "ä"])
def test_an_argument_arrives_as_it_was_given(argument: str) -> None:
    outcome = python("import sys; sys.stdout.buffer.write(sys.argv[1].encode())", argument)
    assert (outcome.rc, outcome.stdout) == (0, argument)


def test_the_program_sees_no_terminal_and_an_empty_stdin() -> None:
    outcome = python("import sys; print(sys.stdout.isatty(), sys.stdin.isatty(), repr(sys.stdin.read()))")
    assert outcome.stdout == "False False ''\n"


def test_a_long_output_is_not_cut() -> None:
    outcome = python("import sys; print('x' * 300_000); print('y' * 300_000, file=sys.stderr); sys.exit(1)")
    assert (len(outcome.stdout), len(outcome.stderr)) == (300_001, 300_001)


def test_bytes_that_are_no_text_do_not_end_the_run() -> None:
    assert python(r"import sys; sys.stdout.buffer.write(b'\xff\xfeok')").stdout.endswith("ok")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(KitError, match="'no-such-program-here' is not on this machine"):
        run(["no-such-program-here", "--version"], 5)


def test_a_program_that_never_ends_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(KitError, match=r"stopped after 0\.5 s"):
        python("import time; time.sleep(60)", timeout=0.5)
    assert time.monotonic() - started < 10


def test_a_program_killed_by_a_signal_has_a_negative_exit_code() -> None:
    assert python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").rc == -9


@pytest.mark.parametrize("argv", ["ip route", [], ()])
def test_a_shell_string_or_nothing_is_refused(argv) -> None:
    with pytest.raises(KitError, match="list of arguments"):
        run(argv, 5)
