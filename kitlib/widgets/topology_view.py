"""The topology view: step through the hops of a journey and see each lit on the map."""

from __future__ import annotations

from html import escape

from kitlib.drawings.ladder_rows import point, rows
from kitlib.drawings.ladder_words import steps
from kitlib.drawings.topology import topology as draw
from kitlib.journey import Journey
from kitlib.topology import Topology
from kitlib.widgets.choose import choose
from kitlib.widgets.twin import Twin, numbered, with_twin


def topology_view(topology: Topology, journey: Journey) -> Twin:
    """The map with one hop of the journey lit; its twin shows the whole way, numbered."""
    points = [point(row.hop) for row in rows(journey)]
    lines, told = zip(*steps(journey), strict=True)

    def show(index: int) -> str:
        return f"<p>{escape(told[index])}</p>{draw(topology, [points[index]]).html}"

    whole = draw(topology, points)
    return with_twin(lambda: choose("Hop", lines, show), numbered(told) + whole.html,
                     "\n".join([*told, "", whole.text]))
