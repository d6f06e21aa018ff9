"""The one module that starts programs: argument lists through `sh`, never a shell string."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from queue import Queue
from typing import Any

from kitlib.errors import KitError, TimedOut

POLL_S = 0.002
READ_BYTES = 65536
MOST_BYTES = 16 * 2**20     # of one program's output


@dataclass(frozen=True)
class Completed:
    """A program that has ended: its exit code, and its two outputs as text."""

    rc: int
    stdout: str
    stderr: str


def run(argv: Sequence[str], timeout: float, stdin: str | bytes = "") -> Completed:
    """Run a program to its end with `stdin` as its input, and return its outcome, whatever its exit code.

    `timeout` is in seconds. Raises TimedOut, and KitError if the program is missing or writes without end.
    """
    deadline = time.monotonic() + timeout
    running = Running(argv, stdin)
    try:
        while running.is_running and not running.is_full and time.monotonic() < deadline:
            time.sleep(POLL_S)
        has_ended = not running.is_running
    finally:
        output = running.stop(patience=0)
    if running.is_full:
        raise KitError(f"{argv[0]!r} was stopped: it wrote more than {MOST_BYTES // 2**20} MB. Ask for less.")
    if not has_ended:
        raise TimedOut(f"{argv[0]!r} was stopped after {timeout:g} s: it had not ended.")
    return Completed(running.rc, output.decode(errors="replace"), running.stderr)


def complaints(argv: Sequence[str]) -> list[str]:
    """Run a program that changes nothing and should succeed; return the lines of what went wrong, if something did."""
    try:
        outcome = run(argv, timeout=10)
    except KitError as error:
        return [str(error)]
    return (outcome.stderr.strip() or f"exit code {outcome.rc}").splitlines() if outcome.rc else []


class _Output(BytesIO):
    """What a program writes; behind MOST_BYTES nothing is kept any more."""

    def write(self, data: bytes) -> int:
        """Keep what a program has written, or let it go."""
        return super().write(data) if self.tell() <= MOST_BYTES else len(data)


class Running:
    """A program running in the background, in a session of its own, so that a Ctrl-C does not reach it."""

    def __init__(self, argv: Sequence[str], stdin: str | bytes | Queue[str] = "") -> None:
        self.argv = tuple(argv)
        self._stdout, self._stderr = _Output(), _Output()
        # The caller keeps the time limit: sh's own costs a tenth of a second with every command. Files need no closing
        # in the program: Python's close themselves there (PEP 446).
        self._process = _program(argv)(
            *argv[1:], _in=stdin, _out=self._stdout, _err=self._stderr, _bg=True, _bg_exc=False, _new_session=True,
            _tty_out=False, _close_fds=False, _out_bufsize=0, _err_bufsize=0, _env=_environment(),
            _ok_code=range(-64, 256)).process
        for stream in (self._process._stdout_stream, self._process._stderr_stream):
            stream.bufsize = READ_BYTES     # what sh hands on at once, it would also read byte by byte

    @property
    def rc(self) -> int:
        """Return its exit code once it has ended: negative, the signal's number, if a signal ended it."""
        return self._process.exit_code

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended yet."""
        return self._process.is_alive()[0]

    @property
    def stdout(self) -> bytes:
        """Return what it has written to stdout so far."""
        return self._stdout.getvalue()

    @property
    def stderr(self) -> str:
        """Return what it has written to stderr so far."""
        return self._stderr.getvalue().decode(errors="replace")

    @property
    def written(self) -> int:
        """Return how many bytes it has written so far; of very many not all are counted."""
        return self._stdout.tell() + self._stderr.tell()

    @property
    def is_full(self) -> bool:
        """Say whether it has written more than is kept."""
        return self.written > MOST_BYTES

    def wait_for(self, words: str, timeout: float) -> None:
        """Wait until `words` appear in either output. Raises KitError if it ends, or the time is up, before that."""
        deadline = time.monotonic() + timeout
        while words not in self.stderr and words.encode() not in self.stdout:
            is_running = self.is_running
            if not is_running or time.monotonic() > deadline:
                self.stop()
                problem = f"did not say {words!r} within {timeout:g} s" if is_running else "ended at once"
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
        """Wait for its end, but no longer than this, and say whether it came."""
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):      # it may end by itself just now
            if self.is_running:
                self._process.signal_group(number)


@contextmanager
def background(argv: Sequence[str]) -> Iterator[Running]:
    """Run a program while the `with` block does, and no longer."""
    running = Running(argv)
    try:
        yield running
    finally:
        running.stop()


def foreground(argv: Sequence[str]) -> int:
    """Run a program in this terminal, keyboard and all, and return its exit code."""
    import sh  # late: see _program

    try:
        _program(argv)(*argv[1:], _fg=True, _env=_environment())
    except sh.ErrorReturnCode as error:
        return error.exit_code if error.exit_code >= 0 else 128 - error.exit_code      # a signal's, as a shell says it
    return 0


def has(name: str) -> bool:
    """Say whether this program is on this machine."""
    return shutil.which(name, path=_environment()["PATH"]) is not None


def _program(argv: Sequence[str]) -> Any:
    if isinstance(argv, str) or not argv:
        raise KitError(f"A command is a list of arguments, such as ['ip', 'route']; found: {argv!r}")
    for word in argv:
        if "\0" in word or word.encode(errors="replace").decode() != word:
            raise KitError(f"An argument is text in UTF-8 without a NUL character; found: {word!r}")
    try:
        import sh  # late: a recorded lab starts no program, and a browser has no sh
    except ImportError:
        raise KitError("This Python can start no programs, as in a browser: use the recorded lab. Elsewhere, "
                       "install the package sh: make lab.") from None
    path = shutil.which(argv[0], path=_environment()["PATH"])
    if not path:
        raise KitError(f"The program {argv[0]!r} is not on this machine: install it, or add its folder to PATH.")
    return sh.Command(path)


def _environment() -> dict[str, str]:
    """Return ours with the sbin beside each bin: some systems keep ip, tcpdump and the like out of a user's PATH."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    beside = [f"{folder[:-3]}sbin" for folder in path if folder.endswith("/bin")]
    return {**os.environ, "PATH": os.pathsep.join([*path, *beside])}
