"""The one module that starts programs: argument lists through `sh`, never a shell string."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kitlib.errors import KitError

POLL_S = 0.002


@dataclass(frozen=True)
class Outcome:
    """What a program did: exit code, its two outputs as text, and how long it took."""

    rc: int
    stdout: str
    stderr: str
    seconds: float


def run(argv: Sequence[str], timeout: float, stdin: str | bytes = "") -> Outcome:
    """Run one program to its end, with `stdin` as its input; any exit code is an outcome, not an error.

    `timeout` is in seconds. Raises KitError if the program is missing, or still runs when the time is up.
    """
    import sh  # late: `import kitlib` starts nothing

    started = time.monotonic()
    try:
        done = _start(argv, _in=stdin, _timeout=timeout, _return_cmd=True)
    except sh.TimeoutException:
        raise KitError(f"{argv[0]!r} was stopped after {timeout:g} s without coming to an end.") from None
    return Outcome(done.exit_code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"),
                   time.monotonic() - started)


class Running:
    """A program that runs beside us, in a session of its own: an interrupt from the keyboard passes it by."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self._process = _start(argv, _in="", _bg=True, _bg_exc=False, _new_session=True, _out_bufsize=0,
                               _err_bufsize=0).process

    @property
    def pid(self) -> int:
        """Its process id, which is its session's id too."""
        return self._process.pid

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
        end = time.monotonic() + patience
        while self._process.is_alive()[0]:
            if time.monotonic() > end:
                self._signal(signal.SIGKILL)
            time.sleep(POLL_S)
        self._process.wait()
        return self.stdout

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):      # it may have ended by itself just now
            self._process.signal_group(number)


@contextmanager
def background(argv: Sequence[str]) -> Iterator[Running]:
    """A program that runs while the `with` block does, and never longer."""
    running = Running(argv)
    try:
        yield running
    finally:
        running.stop()


def _start(argv: Sequence[str], **how: Any) -> Any:
    import sh

    if isinstance(argv, str) or not argv:
        raise KitError(f"A command is a list of arguments, such as ['ip', 'route']; found: {argv!r}")
    name, *rest = argv
    try:
        program = sh.Command(name)
    except sh.CommandNotFound:
        raise KitError(f"The program {name!r} is not on this machine: install it, or add its folder to PATH.") from None
    return program(*rest, _tty_out=False, _truncate_exc=False, _ok_code=range(-64, 256), _decode_errors="replace",
                   **how)
