"""Reading JSON that programs print: dataclasses whose fields say where they stand in it.

Every missing or misplaced field is a ParseError that names it; the parser adds what it was reading (`told_of`).
"""

from __future__ import annotations

import json
from dataclasses import MISSING, field, fields
from ipaddress import ip_address
from types import UnionType
from typing import Any

from kitlib.errors import ParseError

WHAT = "JSON"


def load(text: str) -> Any:
    """The value of a JSON text. Raises ParseError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ParseError(WHAT, "JSON", text.strip(), where) from None


def facts(cls: type, value: Any, **known: Any) -> Any:
    """A `cls` from a JSON object: `known`, and the fields made by the functions below. Raises ParseError."""
    found = {one.name: one.metadata["read"](value) for one in fields(cls)
             if "read" in one.metadata and one.name not in known}
    return cls(**found, **known)


def at(kind: type | UnionType, *path: str, default: Any = MISSING, absent: Any = MISSING) -> Any:
    """A field of type `kind` at `path`; null and absent mean `absent`, or the field's own default."""
    other = default if absent is MISSING else absent
    return field(default=default, metadata={"read": lambda value: take(value, kind, *path, default=other)})


def address_at(*path: str, other: tuple[str, ...] = ()) -> Any:
    """A field with the IP address at `path`; see take_address."""
    return field(metadata={"read": lambda value: take_address(value, *path, other=other)})


def words_at(*path: str) -> Any:
    """A field with the labels at `path`: words by name, none if absent."""
    def read(value: Any) -> dict[str, str]:
        found = take(value, dict, *path, default={})
        return {name: take(found, str, name) for name in found}

    return field(hash=False, metadata={"read": read})


def each_at(cls: type, *path: str) -> Any:
    """A field with the objects of the list at `path`, each as `cls`; none if absent."""
    return field(metadata={"read": lambda value: tuple(
        facts(cls, item) for item in take(value, list, *path, default=[]))})


def take(value: Any, kind: type | UnionType, *path: str, default: Any = MISSING) -> Any:
    """The value of type `kind` at `path`; null and absent mean `default`. Raises ParseError."""
    for depth, key in enumerate(path):
        if not isinstance(value, dict):
            raise ParseError(WHAT, f"an object with {key!r}", value, ".".join(path[:depth]))
        value = value.get(key)
        if value is None:
            break
    if value is None and default is not MISSING:
        return default
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        found = "nothing" if value is None else value
        raise ParseError(WHAT, f"a value of type {getattr(kind, '__name__', kind)}", found, ".".join(path))
    return value


def take_address(value: Any, *path: str, other: tuple[str, ...] = ()) -> str:
    """The IP address at `path`, or one of the words that may stand instead; "" among them: it may be absent."""
    text = take(value, str, *path, default="" if "" in other else MISSING)
    try:
        if text not in other:
            ip_address(text)
    except ValueError:
        raise ParseError(WHAT, "an IP address", text, ".".join(path)) from None
    return text
