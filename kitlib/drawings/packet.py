"""The packet view: every header field with its value and meaning, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kitlib.drawings.table import Table
from kitlib.parsers.dns_headers import Field


def packet(fields: Iterable[Field], title: str, changed: Mapping[tuple[str, str], object] | None = None) -> Table:
    """The fields as a table; `changed` gives the old value of each (layer, name) that changed."""
    fields, changed = list(fields), changed or {}
    rows, layer = [], ""
    for field in fields:
        old = changed.get((field.layer, field.name))
        value = field.value if old is None else f"{field.value} (was {old})"
        rows.append(("" if field.layer == layer else field.layer, field.name, value, field.meaning))
        layer = field.layer
    marked = frozenset(i for i, field in enumerate(fields) if (field.layer, field.name) in changed)
    return Table(title, ("layer", "field", "value", "meaning"), tuple(rows), marked)
