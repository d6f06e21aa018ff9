"""Reading JSON that programs print: every missing or misplaced field is a ParseError that names it."""

from __future__ import annotations

import json
from ipaddress import ip_address
from types import UnionType
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


def take(value: Any, kind: type | UnionType, *path: str, what: str, default: Any = _REQUIRED) -> Any:
    """The field of type `kind` at `path`; null and absent mean `default`. Raises ParseError."""
    for depth, key in enumerate(path):
        if not isinstance(value, dict):
            raise ParseError(what, f"an object with {key!r}", value, ".".join(path[:depth]))
        value = value.get(key)
        if value is None:
            break
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        found = "nothing" if value is None else value
        raise ParseError(what, f"a value of type {getattr(kind, '__name__', kind)}", found, ".".join(path))
    return value


def take_address(value: Any, *path: str, what: str, other: tuple[str, ...] = ()) -> str:
    """The IP address at `path`, or one of the words that may stand instead; "" among them: it may be absent."""
    text = take(value, str, *path, what=what, default="" if "" in other else _REQUIRED)
    try:
        if text not in other:
            ip_address(text)
    except ValueError:
        raise ParseError(what, "an IP address", text, ".".join(path)) from None
    return text


def take_words(value: Any, *path: str, what: str) -> dict[str, str]:
    """The labels at `path`: words by name, none if absent. Raises ParseError."""
    found = take(value, dict, *path, what=what, default={})
    return {name: take(found, str, name, what=what) for name in found}
