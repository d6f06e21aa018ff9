"""The one module that starts programs: argument lists through `sh`, never a shell string."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kitlib.errors import KitError


@dataclass(frozen=True)
class Outcome:
    """What a program did: exit code, its two outputs as text, and how long it took."""

    rc: int
    stdout: str
    stderr: str
    seconds: float


def run(argv: Sequence[str], timeout: float) -> Outcome:
    """Run one program to its end, with nothing on its stdin; any exit code is an outcome, not an error.

    `timeout` is in seconds. Raises KitError if the program is missing, or still runs when the time is up.
    """
    import sh  # late: `import kitlib` starts nothing

    if isinstance(argv, str) or not argv:
        raise KitError(f"A command is a list of arguments, such as ['ip', 'route']; found: {argv!r}")
    name, *rest = argv
    try:
        program = sh.Command(name)
    except sh.CommandNotFound:
        raise KitError(f"The program {name!r} is not on this machine: install it, or add its folder to PATH.") from None
    started = time.monotonic()
    try:
        done = program(*rest, _in="", _tty_out=False, _timeout=timeout, _truncate_exc=False, _ok_code=range(-64, 256),
                       _return_cmd=True, _decode_errors="replace")
    except sh.TimeoutException:
        raise KitError(f"{name!r} was stopped after {timeout:g} s without coming to an end.") from None
    return Outcome(done.exit_code, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"),
                   time.monotonic() - started)
