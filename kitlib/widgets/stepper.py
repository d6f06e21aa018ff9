"""Step through a journey: on the map alone, or on map, ladder and packet together, with the command that shows it."""

from __future__ import annotations

from html import escape

from kitlib.capture import Capture
from kitlib.cluster import Topology
from kitlib.drawings.ladder import ladder, moment
from kitlib.drawings.ladder_words import ends, micros, point, rows, steps
from kitlib.drawings.table import Table
from kitlib.drawings.topology import draw_spot, draw_topology
from kitlib.journey.model import Journey
from kitlib.widgets.controls import WithFallback, html_list, play_slider, select_list
from kitlib.widgets.packet_view import changed_fields, packet_fields

STEP_MS = 2000        # long enough to read what changed
HALF = 540            # px: two of these beside each other on a page of a projector, 1280 px wide


def topology_view(topology: Topology, journey: Journey) -> WithFallback:
    """Show the map with one hop of the journey lit; without a kernel, the whole way, numbered."""
    points = [point(row.hop) for row in rows(journey)]
    short, full = zip(*steps(journey), strict=True)

    def show(index: int) -> str:
        return f"<p>{escape(full[index])}</p>{draw_topology(topology, [points[index]]).html}"

    whole = draw_topology(topology, points)
    return WithFallback(html_list(full) + whole.html, "\n".join([*full, "", whole.text]),
                        lambda: select_list("Hop", short, show))


def stepper(topology: Topology, journey: Journey, seen: Capture) -> WithFallback:
    """Show the journey of the capture `seen` hop by hop, by hand or by itself; without a kernel, the whole way."""
    shown, words = rows(journey), [step.full for step in steps(journey)]
    points = [point(row.hop) for row in shown]
    commands = {at: seen.tcpdump(at).typed for at in points}
    passed = topology.along(journey)

    def show(index: int) -> str:
        hop, origin = shown[index].hop, shown[index].origin
        packet = packet_fields(hop.sighting, origin and origin.sighting, index + 1)
        typed = f'<pre style="white-space:pre;overflow-x:auto;margin:0">$ {escape(commands[points[index]])}</pre>'
        here = draw_spot(passed, points[index], f"{hop.direction.capitalize()} {ends(hop)}", HALF)
        changes = changed_fields(hop.sighting, origin.sighting) if origin else ""
        folded = f"<details><summary>Every field, and what it means</summary>{packet.html}</details>"
        return typed + side_by_side(here.html + folded, moment(journey, index, HALF).html + changes)

    speed = _speed(shown[-1].since_first_ns, len(shown))
    whole = (draw_topology(passed, points), ladder(journey),
             Table("To see each packet, listen there", ("vantage point", "command"),
                   tuple((at.title, command) for at, command in commands.items())))
    return WithFallback(html_list(words) + "".join(part.html for part in whole),
                        "\n\n".join(["\n".join(words), *(part.text for part in whole)]),
                        lambda: play_slider("Step", len(shown), show, STEP_MS, speed))


def side_by_side(left: str, right: str) -> str:
    """Return the HTML of two columns, which stand one below the other where the page is narrow."""
    column = f'<div style="flex:1 1 {HALF}px;min-width:0;max-width:100%">'
    return ('<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start">'
            f"{column}{left}</div>{column}{right}</div></div>")


def _speed(took_ns: int, count: int) -> str:
    """Say how much slower the journey is played than it was."""
    times = f", {count * STEP_MS * 1_000_000 / took_ns:,.0f} times slower" if took_ns else ""
    return f"It took {micros(took_ns)} µs. Played, it takes {count * STEP_MS / 1000:g} s{times}."
