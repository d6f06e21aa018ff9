"""The topology view: step through the hops of a journey and see each lit on the map."""

from __future__ import annotations

from html import escape

from kitlib.drawings import ladder_rows as say
from kitlib.drawings.ladder_rows import Row
from kitlib.drawings.topology import topology as draw
from kitlib.journey import Journey
from kitlib.topology import Topology
from kitlib.widgets.choose import choose
from kitlib.widgets.twin import Twin, with_twin


def topology_view(topology: Topology, journey: Journey) -> Twin:
    """The map with one hop of the journey lit; its twin shows the whole way, numbered."""
    rows = say.rows(journey)
    lines = [f"{number}. {say.point(row.hop).title}: {say.what(row.hop.sighting.message)}"
             for number, row in enumerate(rows, 1)]
    told = [f"{line} · {_told(row, journey)}" for line, row in zip(lines, rows, strict=True)]

    def show(index: int) -> str:
        return f"<p>{escape(told[index])}</p>{draw(topology, [say.point(rows[index].hop)]).html}"

    whole = draw(topology, [say.point(row.hop) for row in rows])
    steps = "".join(f"<li>{escape(words)}</li>" for words in told)
    return with_twin(lambda: choose("Hop", lines, show),
                     f'<ol style="list-style:none;padding-left:8px">{steps}</ol>{whole.html}',
                     "\n".join([*told, "", whole.text]))


def _told(row: Row, journey: Journey) -> str:
    changes = (f"{what} {change}" for what, change in say.rewritten(row, journey))
    since = say.since(row)
    return ", ".join([say.sockets(row.hop), say.ttl(row), *([since] if since else []), *changes])
