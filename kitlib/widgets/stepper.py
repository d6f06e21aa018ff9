"""Step through a journey: on the map alone, or on map, ladder and packet together, with the command that shows it."""

from __future__ import annotations

from html import escape

from kitlib.capture import Capture
from kitlib.cluster import Topology, along
from kitlib.drawings.ladder import ladder, moment
from kitlib.drawings.ladder_words import micros, point, rows, steps
from kitlib.drawings.table import Table
from kitlib.drawings.topology import topology as draw
from kitlib.journey.model import Journey
from kitlib.widgets.controls import WithFallback, chooser, numbered, player, with_fallback
from kitlib.widgets.packet_view import compared

STEP_MS = 2000        # long enough to read what changed


def topology_view(topology: Topology, journey: Journey) -> WithFallback:
    """The map with one hop of the journey lit; its twin shows the whole way, numbered."""
    points = [point(row.hop) for row in rows(journey)]
    lines, told = zip(*steps(journey), strict=True)

    def show(index: int) -> str:
        return f"<p>{escape(told[index])}</p>{draw(topology, [points[index]]).html}"

    whole = draw(topology, points)
    return with_fallback(lambda: chooser("Hop", lines, show), numbered(told) + whole.html,
                     "\n".join([*told, "", whole.text]))


def stepper(topology: Topology, journey: Journey, seen: Capture) -> WithFallback:
    """The journey hop by hop, by hand or by itself; `seen` is the capture that caught it. Twin: the whole way."""
    shown, told = rows(journey), [step.told for step in steps(journey)]
    points = [point(row.hop) for row in shown]
    commands = {at: seen.tcpdump(at).typed for at in points}
    passed = along(topology, journey)

    def show(index: int) -> str:
        hop, origin = shown[index].hop, shown[index].origin
        packet = compared(hop.sighting, origin and origin.sighting, index + 1)
        typed = f'<pre style="white-space:pre-wrap;margin:4px 0">$ {escape(commands[points[index]])}</pre>'
        return (f"<p>{escape(told[index])}</p>{typed}{draw(passed, [points[index]]).html}"
                f"{moment(journey, index).html}{packet.html}")

    slowness = _slowness(shown[-1].since_first_ns, len(shown))
    whole = (draw(passed, points), ladder(journey),
             Table("To see each packet, listen there", ("vantage point", "command"),
                   tuple((at.title, command) for at, command in commands.items())))
    return with_fallback(lambda: player("Step", len(shown), show, STEP_MS, slowness),
                     numbered(told) + "".join(part.html for part in whole),
                     "\n\n".join(["\n".join(told), *(part.text for part in whole)]))


def _slowness(took_ns: int, count: int) -> str:
    """How much slower than it was the journey is played."""
    times = f", {count * STEP_MS * 1_000_000 / took_ns:,.0f} times slower" if took_ns else ""
    return f"It took {micros(took_ns)} µs. Played, it takes {count * STEP_MS / 1000:g} s{times}."
