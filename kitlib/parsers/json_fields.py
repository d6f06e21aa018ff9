"""Reading JSON that programs print: every missing or misplaced field is a ParseError that names it."""

from __future__ import annotations

import json
from typing import Any

from kitlib.errors import ParseError

_REQUIRED = object()


def load(text: str, what: str) -> Any:
    """The value of a JSON text; `what` names its origin in errors. Raises ParseError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ParseError(what, "JSON", text.strip(), where) from None


def take(value: Any, kind: type, *path: str, what: str, default: Any = _REQUIRED) -> Any:
    """The field of type `kind` at `path`; null and absent mean `default`. Raises ParseError."""
    for depth, key in enumerate(path):
        if not isinstance(value, dict):
            raise ParseError(what, f"an object with {key!r}", value, ".".join(path[:depth]))
        value = value.get(key)
        if value is None:
            break
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "nothing" if value is None else value
        raise ParseError(what, f"a value of type {kind.__name__}", found, ".".join(path))
    return value
