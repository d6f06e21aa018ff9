"""The one module that starts programs: argument lists through `sh`, never a shell string."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Queue
from typing import Any

from kitlib.errors import KitError

POLL_S = 0.002


@dataclass(frozen=True)
class Completed:
    """What a program did: exit code, its two outputs as text, and how long it took."""

    rc: int
    stdout: str
    stderr: str
    seconds: float


def run(argv: Sequence[str], timeout: float, stdin: str | bytes = "") -> Completed:
    """Run one program to its end, with `stdin` as its input; any exit code is an outcome, not an error.

    `timeout` is in seconds. Raises KitError if the program is missing, or still runs when the time is up.
    """
    started = time.monotonic()
    running = Running(argv, stdin, 65536)       # sh stops reading 2 s after the end: 200 kB byte by byte were cut
    try:
        ended = running.ends_within(timeout)
    finally:
        output = running.stop(patience=0)
    if not ended:
        raise KitError(f"{argv[0]!r} was stopped after {timeout:g} s without coming to an end.")
    return Completed(running.rc, output.decode(errors="replace"), running.stderr, time.monotonic() - started)


class Running:
    """A program that runs beside us, in a session of its own: an interrupt from the keyboard passes it by."""

    def __init__(self, argv: Sequence[str], stdin: str | bytes | Queue[str] = "", read: int = 0) -> None:
        self.argv = tuple(argv)
        # A time limit is kept by the caller: sh's own costs a tenth of a second with every command.
        self._process = _program(argv)(
            *argv[1:], _in=stdin, _bg=True, _bg_exc=False, _new_session=True, _tty_out=False, _out_bufsize=read,
            _err_bufsize=read, _env=_environment(), _ok_code=range(-64, 256)).process

    @property
    def rc(self) -> int:
        """Its exit code, once it has ended; the signal's number, negative, if one ended it."""
        return self._process.exit_code

    @property
    def stdout(self) -> bytes:
        """What it has written to its stdout so far."""
        return self._process.stdout

    @property
    def stderr(self) -> str:
        """What it has written to its stderr so far."""
        return self._process.stderr.decode(errors="replace")

    def wait_for(self, words: str, timeout: float) -> None:
        """Wait until it has said `words` on either output; KitError if it ends, or the time is up, before that."""
        end = time.monotonic() + timeout
        while words not in self.stderr and words.encode() not in self.stdout:
            alive = self._process.is_alive()[0]
            if not alive or time.monotonic() > end:
                self.stop()
                problem = f"did not say {words!r} within {timeout:g} s" if alive else "ended at once"
                raise KitError(f"{self.argv[0]!r} {problem}; it said: {self.stderr.strip() or 'nothing'}")
            time.sleep(POLL_S)

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        self._signal(signal.SIGINT)

    def stop(self, patience: float = 2) -> bytes:
        """Interrupt it, kill it if it still runs after `patience` seconds, and return all that it wrote to stdout."""
        self.interrupt()
        if not self.ends_within(patience):
            self._signal(signal.SIGKILL)
        self._process.wait()
        return self.stdout

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long and no longer: has it come?"""
        deadline = time.monotonic() + seconds
        while alive := self._process.is_alive()[0]:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        return not alive

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):      # it may end by itself just now
            if self._process.is_alive()[0]:
                self._process.signal_group(number)


@contextmanager
def background(argv: Sequence[str]) -> Iterator[Running]:
    """A program that runs while the `with` block does, and never longer."""
    running = Running(argv)
    try:
        yield running
    finally:
        running.stop()


def foreground(argv: Sequence[str]) -> int:
    """Run a program in this terminal, keyboard and all, and give its exit code."""
    import sh

    try:
        _program(argv)(*argv[1:], _fg=True, _env=_environment())
    except sh.ErrorReturnCode as ended:
        return ended.exit_code
    return 0


def has(name: str) -> bool:
    """Is this program on this machine?"""
    return shutil.which(name, path=_environment()["PATH"]) is not None


def _program(argv: Sequence[str]) -> Any:
    import sh  # late: `import kitlib` starts nothing

    if isinstance(argv, str) or not argv:
        raise KitError(f"A command is a list of arguments, such as ['ip', 'route']; found: {argv!r}")
    path = shutil.which(argv[0], path=_environment()["PATH"])
    if not path:
        raise KitError(f"The program {argv[0]!r} is not on this machine: install it, or add its folder to PATH.")
    return sh.Command(path)


def _environment() -> dict[str, str]:
    """Ours, with the sbin beside each bin: some systems keep ip, tcpdump and their like out of a user's PATH."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    beside = [f"{folder[:-3]}sbin" for folder in path if folder.endswith("/bin")]
    return {**os.environ, "PATH": os.pathsep.join([*path, *beside])}
