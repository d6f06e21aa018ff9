"""The flags that a running program was started with, out of `ps -ef`."""

from __future__ import annotations

from pathlib import PurePosixPath

from kitlib.errors import ParseError

HEADING = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


def process_flags(text: str, process: str) -> dict[str, str]:
    """The flags of the process whose program is called `process`: name without dashes -> value. Raises ParseError.

    A flag without a value is "true". ps(1) joins the arguments with spaces: a value that holds spaces itself
    cannot be told from further arguments.
    """
    what = "ps -ef"
    heading, *rows = text.splitlines() or [""]
    if tuple(heading.split()) != HEADING:
        raise ParseError(what, f"the heading {' '.join(HEADING)}", heading, "line 1")
    commands = [_command(row, number) for number, row in enumerate(rows, start=2) if row.strip()]
    found = {tuple(argv) for argv in commands if PurePosixPath(argv[0]).name == process}
    if len(found) != 1:
        seen = f"{len(found)} different ones" if found else ", ".join(dict.fromkeys(argv[0] for argv in commands))
        raise ParseError(what, f"one process {process}", seen)
    return _flags(found.pop()[1:])


def flag(text: str, process: str, name: str) -> str:
    """The value of one flag, such as "cluster-cidr" of "kube-controller-manager". Raises ParseError."""
    flags = process_flags(text, process)
    if name not in flags:
        raise ParseError(f"the flags of {process}", f"--{name}", ", ".join(f"--{known}" for known in flags))
    return flags[name]


def _command(row: str, number: int) -> list[str]:
    values = row.split(None, len(HEADING) - 1)
    if len(values) < len(HEADING) or not (values[1].isdigit() and values[2].isdigit()):
        raise ParseError("ps -ef", "UID, PID, PPID … CMD", row, f"line {number}")
    return values[-1].split()


def _flags(arguments: tuple[str, ...]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word, following in zip(arguments, (*arguments[1:], "-"), strict=False):
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            flags[name] = value if equals else ("true" if following.startswith("-") else following)
    return flags
