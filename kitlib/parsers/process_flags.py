"""The flags that a running program was started with, out of `ps -ef`: ps(1)."""

from __future__ import annotations

from pathlib import PurePosixPath

from kitlib.errors import ParseError

HEADING = "UID PID PPID C STIME TTY TIME CMD"


def flag(text: str, process: str, name: str) -> str:
    """Return a flag ("cluster-cidr") of the one process whose program is called `process`. Raises ParseError.

    A flag without a value is "true". ps joins the arguments with spaces: a value that holds spaces itself cannot be
    told from further arguments.
    """
    flags: dict[str, str] = {}
    arguments = _arguments(text, process)
    for word, following in zip(arguments, (*arguments[1:], "-"), strict=False):
        if word.startswith("-"):
            key, equals, value = word.lstrip("-").partition("=")
            flags[key] = value if equals else ("true" if following.startswith("-") else following)
    if name not in flags:
        raise ParseError(f"the flags of {process}", f"--{name}", ", ".join(f"--{known}" for known in flags))
    return flags[name]


def _arguments(text: str, process: str) -> tuple[str, ...]:
    heading, *rows = text.splitlines() or [""]
    if heading.split() != HEADING.split():
        raise ParseError("ps -ef", f"the heading {HEADING}", heading, "line 1")
    commands = [_command(row, number) for number, row in enumerate(rows, start=2) if row.strip()]
    found = {command for command in commands if PurePosixPath(command[0]).name == process}
    if len(found) != 1:
        others = ", ".join(dict.fromkeys(command[0] for command in commands))
        raise ParseError("ps -ef", f"one process {process}", f"{len(found)} different ones" if found else others)
    return found.pop()[1:]


def _command(row: str, number: int) -> tuple[str, ...]:
    values = row.split(None, len(HEADING.split()) - 1)
    if len(values) < len(HEADING.split()) or not (values[1].isdigit() and values[2].isdigit()):
        raise ParseError("ps -ef", "UID, PID, PPID … CMD", row, f"line {number}")
    return tuple(values[-1].split())
