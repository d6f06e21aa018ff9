"""Read the JSON that kubectl and docker print; what is missing or misplaced is a ParseError that names its path."""

from __future__ import annotations

import json
import re
from types import UnionType
from typing import Any

from kitlib.errors import ParseError

REQUIRED = object()
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, also for half a surrogate pair and for a key that is there
    twice, of which every reader takes another value; RecursionError if it is too deep.
    """
    value = json.loads(text, object_pairs_hook=_object)
    if SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises ParseError."""
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ParseError("JSON", "JSON", text.strip(), where) from None


def value_at(item: Any, path: str, kind: type | UnionType = str, default: Any = REQUIRED) -> Any:
    """Return the value at a path ("spec.nodeName") of an object; null counts as absent. Raises ParseError."""
    value, passed = item, []
    for key in path.split("."):
        if not isinstance(value, dict):
            raise ParseError("JSON", f"an object with {key!r}", value, ".".join(passed))
        value = value.get(key)
        passed.append(key)
        if value is None:
            break
    if value is None and default is not REQUIRED:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ParseError("JSON", f"a value of type {kind.__name__}", "nothing" if value is None else value, path)
    return value


def words_at(item: Any, path: str) -> dict[str, str]:
    """Return the object at a path whose values are words, such as labels; {} if it is absent. Raises ParseError."""
    found = value_at(item, path, dict, {})
    if not all(isinstance(word, str) for word in found.values()):
        raise ParseError("JSON", "words by name", found, path)
    return found
