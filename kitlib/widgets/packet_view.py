"""The packet view: choose a packet, read every field of its headers, see what changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.parsers.header_fields import Field, header_fields
from kitlib.sighting import Sighting
from kitlib.widgets.controls import WithFallback, chooser, with_fallback


def packet_view(sightings: Sequence[Sighting]) -> WithFallback:
    """The packets as captured, one at a time, field by field; KitError if there is none."""
    if not sightings:
        raise KitError("there is no packet to show")
    lines = [f"{number}. {seen.direction} at {seen.point.title if seen.point else 'an unknown place'}: "
             f"{seen.source} → {seen.destination}" for number, seen in enumerate(sightings, 1)]
    # Where there is something to compare, begin with that: the marks are what to look at.
    start = next((index for index in range(len(sightings)) if _previous(sightings, index)), 0)

    def fields(index: int) -> Table:
        return compared(sightings[index], _previous(sightings, index), index + 1)

    first = fields(start)
    listed = Table("Packets", ("packet", "TTL", "DNS id", "bytes of DNS"), tuple(
        (words, str(seen.ttl), str(seen.message.id), str(seen.message.size))
        for words, seen in zip(lines, sightings, strict=True)))
    return with_fallback(lambda: chooser("Packet", lines, lambda index: fields(index).html, start),
                     listed.html + first.html, f"{listed.text}\n\n{first.text}")


def compared(seen: Sighting, previous: Sighting | None, number: int) -> Table:
    """The fields of packet `number` (from 1); those that differ from the `previous` sighting of it are marked."""
    fields, title = _fields(seen), f"Packet {number}: the {seen.direction}{_where(seen)}"
    if previous is None:
        return packet(fields, title)
    before = _single(_fields(previous))
    changed = {key: before[key] for key, value in _single(fields).items() if before.get(key, value) != value}
    return packet(fields, f"{title}, compared with the same {seen.direction}{_where(previous)}", changed)


def packet(fields: Sequence[Field], title: str, changed: Mapping[tuple[str, str], str] | None = None) -> Table:
    """Fields with value and meaning, layer by layer; `changed` has the old value of each (layer, name) that changed."""
    rows, layer, changed = [], "", changed or {}
    for field in fields:
        old = changed.get((field.layer, field.name))
        value = field.value if old is None else f"{field.value} (was {old})"
        rows.append(("" if field.layer == layer else field.layer, field.name, value, field.meaning))
        layer = field.layer
    marked = frozenset(i for i, field in enumerate(fields) if (field.layer, field.name) in changed)
    return Table(title, ("layer", "field", "value", "meaning"), tuple(rows), marked)


def _where(seen: Sighting) -> str:
    return f" at {seen.point.title}" if seen.point else ""


def _previous(sightings: Sequence[Sighting], index: int) -> Sighting | None:
    def message(each: Sighting) -> tuple:
        return each.direction, each.protocol, each.message.id, each.message.question

    same = (each for each in reversed(sightings[:index]) if message(each) == message(sightings[index]))
    return next(same, None)


def _fields(seen: Sighting) -> tuple[Field, ...]:
    if seen.link is None:
        raise KitError("this sighting was not kept with its packet, so its headers cannot be shown")
    return header_fields(seen.link)


def _single(fields: Sequence[Field]) -> dict[tuple[str, str], str]:
    """The fields by layer and name, without those that stand there more than once, as in several answers."""
    times = Counter((field.layer, field.name) for field in fields)
    return {(field.layer, field.name): field.value for field in fields if times[field.layer, field.name] == 1}
