"""Reading the files of a recording: every mistake in one is a RecordingError with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kitlib.errors import RecordingError


def read(path: Path) -> bytes:
    """A file's bytes, or a RecordingError that says which file is missing."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: the recording lacks this file ({error.strerror}). Take the recording in again, "
                             "or restore it with git.") from error


def text(path: Path) -> str:
    """A file's text, or a RecordingError that says where it is no UTF-8."""
    raw = read(path)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordingError(f"{path}, line {line}: not UTF-8; the file seems damaged.") from error


def lines(path: Path, parse: Callable[[dict, Path, int], Any]) -> list[Any]:
    """Parse a file of one JSON object a line; `parse` gets the object, the path and the line number."""
    rows = text(path).removesuffix("\n").split("\n")
    return [parse(parse_object(row, path, line), path, line) for line, row in enumerate(rows, start=1)]


def parse_object(row: str, path: Path, line: int) -> dict:
    """A JSON object; `line` 0 means that it is the whole file."""
    try:
        entry = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}, line {line or getattr(error, 'lineno', 1)}: not JSON ({error}); "
                             "the file seems cut or damaged.") from error
    if not isinstance(entry, dict):
        raise RecordingError(f"{path}, line {line or 1}: expected an object, found {type(entry).__name__}.")
    return entry


def get(entry: dict, key: str, kind: type, path: Path, line: int) -> Any:
    """The value of a key that must be there and of that type."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        found = "nothing" if value is None else type(value).__name__
        raise RecordingError(f"{path}, line {line or 1}: expected {key!r} as {kind.__name__}, found {found}.")
    return value


def argv_of(entry: dict, path: Path, line: int) -> tuple[str, ...]:
    """The argument list of a command: words, and nothing else."""
    argv = get(entry, "argv", list, path, line)
    if not argv or not all(isinstance(word, str) for word in argv):
        raise RecordingError(f"{path}, line {line or 1}: expected 'argv' as a list of words, found {argv!r}.")
    return tuple(argv)


def inside(folder: Path, relative: object, path: Path, line: int) -> Path:
    """A path named by the recording, made sure to lie within its folder."""
    if not isinstance(relative, str) or "\0" in relative:
        raise RecordingError(f"{path}, line {line or 1}: expected a path within the recording, found {relative!r}.")
    target = (folder / relative).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise RecordingError(f"{path}, line {line or 1}: {relative} leaves the recording's folder; not opened.")
    return target
