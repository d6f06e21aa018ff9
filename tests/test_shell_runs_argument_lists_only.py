"""live_labs.shell starts programs from argument lists: every outcome is told, nothing is ever read by a shell."""

from __future__ import annotations

import os
import sys
import time

import pytest

from kitlib.errors import KitError, TimedOut
from kitlib.lab import open_lab
from live_labs.shell import Running, background, run


def python(code: str, *args: str, timeout: float = 20):
    return run([sys.executable, "-c", code, *args], timeout)


def test_both_outputs_and_the_exit_code_are_kept() -> None:
    outcome = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (outcome.rc, outcome.stdout, outcome.stderr) == (3, "out\n", "err\n")


@pytest.mark.parametrize("argument", ["$(touch /tmp/never)", "; exit 9", "`id`", "a b", "*", "--x=1", "", "ä"])
def test_an_argument_arrives_as_it_was_given(argument: str) -> None:
    outcome = python("import sys; sys.stdout.buffer.write(sys.argv[1].encode())", argument)
    assert (outcome.rc, outcome.stdout) == (0, argument)


def test_the_program_sees_no_terminal_and_an_empty_stdin() -> None:
    outcome = python("import sys; print(sys.stdout.isatty(), sys.stdin.isatty(), repr(sys.stdin.read()))")
    assert outcome.stdout == "False False ''\n"


def test_a_long_output_is_not_cut() -> None:
    """Read byte by byte, this takes longer than the two seconds that sh goes on reading after a program's end."""
    outcome = python("import sys; print('x' * 4_000_000); print('y' * 300_000, file=sys.stderr); sys.exit(1)")
    assert (len(outcome.stdout), len(outcome.stderr)) == (4_000_001, 300_001)


def test_bytes_that_are_no_text_do_not_end_the_run() -> None:
    assert python(r"import sys; sys.stdout.buffer.write(b'\xff\xfeok')").stdout.endswith("ok")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(KitError, match="'no-such-program-here' is not on this machine"):
        run(["no-such-program-here", "--version"], 5)


def test_a_program_that_never_ends_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"stopped after 0\.5 s"):
        python("import time; time.sleep(60)", timeout=0.5)
    assert time.monotonic() - started < 10


def test_a_program_that_writes_without_end_is_stopped_in_time() -> None:
    """What it wrote is kept, so without a limit it would fill the memory."""
    with pytest.raises(KitError, match="wrote more than 16 MB"):
        python("while True: print('x' * 100_000)")


def test_a_python_that_can_start_no_programs_says_so(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sh", None)
    with pytest.raises(KitError, match="This Python can start no programs"):
        open_lab("kind")


def test_a_program_killed_by_a_signal_has_a_negative_exit_code() -> None:
    assert python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").rc == -9


@pytest.mark.parametrize("argv", ["ip route", [], ()])
def test_a_shell_string_or_nothing_is_refused(argv) -> None:
    with pytest.raises(KitError, match="list of arguments"):
        run(argv, 5)


SERVER = "import os, sys, time; sys.stdout.buffer.write(b'\\xd4\\n\\xff'); sys.stdout.flush(); " \
         "print(os.getpid(), 'ready', file=sys.stderr, flush=True); time.sleep(60)"      # with "ready", the id is there


def is_there(running: Running) -> bool:
    """Is the process still there that said its id?"""
    try:
        os.kill(int(running.stderr.split()[0]), 0)
    except ProcessLookupError:
        return False
    return True


def test_input_is_handed_over_as_text_or_bytes() -> None:
    copy = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"]
    assert run(copy, 20, stdin="line\n" * 3000).stdout == "line\n" * 3000
    assert run(copy, 20, stdin="ä".encode()).stdout == "ä"


def test_a_program_in_the_background_is_waited_for_and_ends_with_the_block() -> None:
    with background([sys.executable, "-c", SERVER]) as running:
        running.wait_for("\n", timeout=20)
        running.wait_for("ready", timeout=20)
        assert is_there(running)
    assert running.stdout == b"\xd4\n\xff" and not is_there(running)


def test_an_interrupted_block_ends_the_program_too() -> None:
    with pytest.raises(KeyboardInterrupt), background([sys.executable, "-c", SERVER]) as running:
        running.wait_for("ready", timeout=20)
        raise KeyboardInterrupt
    assert not is_there(running)


def test_a_program_that_ignores_the_interrupt_is_killed_and_its_output_kept() -> None:
    stubborn = Running([sys.executable, "-c", f"import signal; signal.signal(2, signal.SIG_IGN); {SERVER}"])
    stubborn.wait_for("ready", timeout=20)
    started = time.monotonic()
    assert stubborn.stop(patience=0.2) == b"\xd4\n\xff"
    assert 0.2 <= time.monotonic() - started < 10


def test_waiting_for_what_never_comes_tells_what_was_said_instead() -> None:
    with pytest.raises(KitError, match="ended at once; it said: no such device"):
        Running([sys.executable, "-c", "import sys; sys.exit('no such device')"]).wait_for("ready", timeout=20)
    with pytest.raises(KitError, match=r"did not say 'steady' within 1 s; it said: \d+ ready"):
        Running([sys.executable, "-c", SERVER]).wait_for("steady", timeout=1)
