"""The pages of `follow` and `explain`: self-contained HTML without a script, for a screen, a phone or paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.gaps import gaps
from kitlib.drawings.hooks import draw_hooks
from kitlib.drawings.ladder import ladder
from kitlib.drawings.latency import latency_budget
from kitlib.drawings.queries import queries_table
from kitlib.drawings.rule_walk import hook_step_html, outcome
from kitlib.drawings.topology import draw_topology
from kitlib.errors import KitError
from kitlib.escapes import printable
from kitlib.netfilter.packet import packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate

if TYPE_CHECKING:
    from follow.findings import Findings
    from follow.query import Report
    from kitlib.place import Node
    from kitlib.sighting import Sighting

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 sans-serif;max-width:75rem;margin:auto;padding:1rem;overflow-wrap:anywhere}
pre{overflow-x:auto;white-space:pre-wrap}
.kit-drawing{margin:.5rem 0}
section>div{overflow-x:auto}
.kit-table{overflow-wrap:break-word}
@media(max-width:600px){.kit-table:has(td code) :is(table,caption,tbody,tr,td){display:block}
.kit-table:has(td code) thead{display:none}}
@media print{details>*{display:block}.kit-drawing,pre{break-inside:avoid}.kit-drawing img{min-width:0!important}}
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html_page(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a page of these sections, each a heading and HTML."""
    body = "".join(f"<section><h2>{escape(head)}</h2><div>{html}</div></section>\n" for head, html in sections if html)
    return printable('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                     '<meta name="viewport" content="width=device-width,initial-scale=1">'
                     f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
                     f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
                     f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n")


def follow_page(report: Report, found: Findings) -> str:
    """Return the page of a query that was followed."""
    journey = report.journey
    question = journey.question
    return html_page(f"{question.name if question else 'A query'} from {report.pod.title}", [
        ("Summary", paragraphs(found.sentences)),
        ("Map", _map(report)),
        ("Ladder", _picture(ladder(journey, gaps(report.lab, journey)))),
        ("Rules", _rules(report)),
        ("Queries", queries_table(report.case.own_journeys).html),
        ("Resolver settings", _preformatted(str(report.pod.run("cat", "/etc/resolv.conf")))),
        ("Latency", _latency(report)),
        ("Commands that were run", "".join(_preformatted(str(result)) for result in report.results)),
        ("Versions", paragraphs([f"kitlib {version('kitlib')}", str(report.lab.backend), *_live_versions(report)])),
        ("Left out or not decided", paragraphs(found.undecided or ["Nothing."])),
    ])


def paragraphs(words: Iterable[str]) -> str:
    """Return sentences as paragraphs."""
    return "".join(f"<p>{escape(each)}</p>" for each in words)


def path_html(path: PacketPath) -> str:
    """Return one way of a packet: what becomes of it, its stops, each rule with its reason."""
    stops = "".join(hook_step_html(step) for step in path.hook_steps)
    return f"{paragraphs([outcome(path)])}{draw_hooks(path).html}{stops}"


def _live_versions(report: Report) -> Iterator[str]:
    """Yield what a live lab says of itself; a recording says it by its name."""
    asked = ((report.pod.node, ("uname", "-r")), (report.lab.host, ("kubectl", "version")))
    for place, argv in asked if report.lab.backend.live else ():
        with suppress(KitError):
            yield f"{' '.join(argv)} at {place.title}: {' '.join(place.run(*argv).text.split())}"


def _map(report: Report) -> str:
    points = [hop.sighting.point for hop in report.journey.hops if hop.sighting.point]
    try:
        return _picture(draw_topology(report.lab.topology.along(report.journey), points))
    except KitError as error:
        return paragraphs([f"The map could not be drawn: {error}"])


def _rules(report: Report) -> str:
    """Walk the rules of each node where the query was seen, from where it was seen there first."""
    first: dict[str, Sighting] = {}
    for hop in report.journey.client_leg.queries:
        if hop.sighting.point:
            first.setdefault(hop.sighting.point.place, hop.sighting)
    nodes = {node.id: node for node in report.lab.nodes}
    return _trace(report) + "".join(_node_rules(report, nodes[place], sighting)
                                    for place, sighting in first.items() if place in nodes)


def _trace(report: Report) -> str:
    """Say whether the kernel's own trace agrees, if there is one."""
    if not report.is_traced:
        return ""
    try:
        traced = report.seen.traced_query(report.pod.node)
    except KitError as error:
        return paragraphs([f"There is no trace to compare with: {error}"])
    return paragraphs([f"The trace of {report.pod.node.title}'s kernel has {len(traced.trace_lines)} lines of this "
                       "packet.", *(traced.differences or ["The walk says the same in each of them."])])


def _node_rules(report: Report, node: Node, sighting: Sighting) -> str:
    """Show the way that the query took through a node, and in a line each the other ways."""
    packet = packet_from(sighting)
    if sighting.source.address == node.address:
        packet = packet._replace(in_interface="")       # made here
    try:
        paths = simulate(report.case.netfilter(node), packet)
    except KitError as error:
        return paragraphs([f"The rules of {node.title} could not be walked: {error}"])
    target = report.journey.client_leg.endpoint.address
    shown = next((path for path in paths if path.after.destination == target), paths[0])
    others = [f"Or: {outcome(path)}" for path in paths if path is not shown]
    return f"<h3>{escape(node.title)}</h3>{path_html(shown)}{paragraphs(others)}"


def _latency(report: Report) -> str:
    try:
        return _picture(latency_budget(report.case.own_journeys))
    except KitError as error:
        return paragraphs([str(error)])


def _picture(drawing: Drawing) -> str:
    return f"{drawing.html}<details><summary>The same as text</summary>{_preformatted(drawing.text)}</details>"


def _preformatted(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
