"""The packet view: choose a packet, read every field of its headers, see what changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.parsers.header_fields import Field, header_fields
from kitlib.sighting import Sighting
from kitlib.widgets.controls import WithFallback, select_list

COLUMNS = ("layer", "field", "value", "meaning")
MOST_LISTED = 60      # packets that the stored output lists, so that it stays below 100 KB; the live list has them all


def packet_view(sightings: Sequence[Sighting]) -> WithFallback:
    """Show the packets as captured, one at a time, field by field; KitError if there is none."""
    if not sightings:
        raise KitError("there is no packet to show")
    lines = [f"{number}. {seen.direction} at {seen.point.title if seen.point else 'an unknown place'}: "
             f"{seen.source} → {seen.destination}" for number, seen in enumerate(sightings, 1)]
    before = _previous(sightings)
    # Where there is something to compare, begin with that: the marks are what to look at.
    start = next((index for index, previous in enumerate(before) if previous), 0)

    def fields(index: int) -> WithFallback:
        return packet_fields(sightings[index], before[index], index + 1)

    listed, first = _packets_table(lines, sightings), fields(start)
    return WithFallback(listed.html + first.html, f"{listed.text}\n\n{first.text}",
                        lambda: select_list("Packet", lines, lambda index: fields(index).html, start))


def packet_fields(seen: Sighting, previous: Sighting | None, number: int) -> WithFallback:
    """Show the fields of packet `number` (from 1): first what differs from the `previous` one, the rest folded."""
    title = f"Packet {number}: the {seen.direction}{_where(seen)}"
    if previous is None:
        whole = Table(title, COLUMNS, _rows(_fields(seen)))
        return WithFallback(whole.html, whole.text)
    changed, same = _compared(seen, previous)
    title = (f"{title}, compared with the same {seen.direction}{_where(previous)}: "
             f"{len(changed)} of {len(changed) + len(same)} fields changed")
    first, rest = Table(title, COLUMNS, _rows(changed), frozenset(range(len(changed)))), Table("", COLUMNS, _rows(same))
    words = f"{len(same)} fields the same"
    return WithFallback(f"{first.html}<details><summary>{words}</summary>{rest.html}</details>",
                        f"{first.text}\n\n{words}\n{rest.text}")


def changed_fields(seen: Sighting, previous: Sighting) -> str:
    """Return as HTML only the fields in which a packet differs from the `previous` one, a line each."""
    changed, same = _compared(seen, previous)
    title = f"{len(changed)} of {len(changed) + len(same)} fields changed"
    rows = tuple((f"{field.layer} {field.name}", field.value) for field in changed)
    return Table("", (title, "value"), rows, frozenset(range(len(rows)))).html if rows else f"<p>{title}</p>"


def _compared(seen: Sighting, previous: Sighting) -> tuple[list[Field], list[Field]]:
    """Return the fields that differ from the previous packet's, with what they were, and all others."""
    fields, before = _fields(seen), _single(_fields(previous))
    old = {key: before[key] for key, value in _single(fields).items() if before.get(key, value) != value}
    changed = [field._replace(value=f"{field.value} (was {old[field.layer, field.name]})") for field in fields
               if (field.layer, field.name) in old]
    return changed, [field for field in fields if (field.layer, field.name) not in old]


def _rows(fields: Sequence[Field]) -> tuple[tuple[str, ...], ...]:
    """Return a row a field; the layer's name stands at the first of its fields only."""
    layers = ["", *(field.layer for field in fields)]
    return tuple(("" if field.layer == layer else field.layer, field.name, field.value, field.meaning)
                 for field, layer in zip(fields, layers, strict=False))


def _packets_table(lines: Sequence[str], sightings: Sequence[Sighting]) -> Table:
    """List the packets, and say how many are left out."""
    rows = [(words, str(seen.ttl), str(seen.message.id), str(seen.message.size))
            for words, seen in zip(lines[:MOST_LISTED], sightings, strict=False)]
    if len(lines) > MOST_LISTED:
        rows.append((f"… and {len(lines) - MOST_LISTED:,} more packets: run the cell to choose among them", "", "", ""))
    return Table("Packets", ("packet", "TTL", "DNS id", "bytes of DNS"), tuple(rows))


def _where(seen: Sighting) -> str:
    return f" at {seen.point.title}" if seen.point else ""


def _previous(sightings: Sequence[Sighting]) -> list[Sighting | None]:
    """Return for each sighting the last one before it of the same message, if any."""
    latest: dict[tuple, Sighting] = {}
    found = []
    for seen in sightings:
        message = (seen.direction, seen.protocol, seen.message.id, seen.message.question)
        found.append(latest.get(message))
        latest[message] = seen
    return found


def _fields(seen: Sighting) -> tuple[Field, ...]:
    if seen.link is None:
        raise KitError("this sighting was not kept with its packet, so its headers cannot be shown")
    return header_fields(seen.link, seen.server.port)


def _single(fields: Sequence[Field]) -> dict[tuple[str, str], str]:
    """Return the fields by layer and name, without those that stand there more than once, as in several answers."""
    times = Counter((field.layer, field.name) for field in fields)
    return {(field.layer, field.name): field.value for field in fields if times[field.layer, field.name] == 1}
