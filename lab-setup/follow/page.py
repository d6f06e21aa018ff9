"""The pages of `follow` and `explain`: self-contained HTML without a script, for a screen, a phone or paper."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.gaps import gaps
from kitlib.drawings.hooks import draw_hooks
from kitlib.drawings.ladder import ladder
from kitlib.drawings.latency import latency_budget
from kitlib.drawings.queries import queries_table
from kitlib.drawings.rule_walk import hook_step_html, outcome
from kitlib.drawings.topology import draw_topology
from kitlib.errors import KitError, printable
from kitlib.netfilter.path import PacketPath

if TYPE_CHECKING:
    from follow.findings import Findings
    from follow.query import Report

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 sans-serif;max-width:75rem;margin:auto;padding:1rem;overflow-wrap:anywhere}
pre{overflow-x:auto;white-space:pre-wrap}
.kit-drawing{background:#fff;margin:.5rem 0}
section>div{overflow-x:auto}
@media print{details>*{display:block}.kit-drawing,pre{break-inside:avoid}.kit-drawing img{min-width:0!important}}
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html_page(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a page of these sections, each a heading and HTML."""
    body = "".join(f"<section><h2>{escape(head)}</h2><div>{html}</div></section>\n" for head, html in sections if html)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f"<title>{_safe(title)}</title><style>{STYLE}</style></head>\n"
            f"<body><h1>{_safe(title)}</h1>\n{body}</body></html>\n")


def follow_page(report: Report, found: Findings) -> str:
    """Return the page of a query that was followed."""
    journey = report.journey
    question = journey.question
    points = [hop.sighting.point for hop in journey.hops if hop.sighting.point]
    topology = report.lab.topology.along(journey)
    return html_page(f"{question.name if question else 'A query'} from {report.pod.title}", [
        ("Summary", paragraphs(found.sentences)),
        ("Map", _picture(draw_topology(topology, points))),
        ("Ladder", _picture(ladder(journey, gaps(report.lab, journey)))),
        ("Rules", _rules(report)),
        ("Queries", queries_table(report.case.own_journeys).html),
        ("Resolver settings", _preformatted(str(report.pod.run("cat", "/etc/resolv.conf")))),
        ("Latency", _latency(report)),
        ("Commands that were run", "".join(_preformatted(str(result)) for result in report.results)),
        ("Versions", paragraphs([str(report.lab.backend)])),
        ("Left out or not decided", paragraphs(found.undecided or ["Nothing."])),
    ])


def paragraphs(words: Iterable[str]) -> str:
    """Return sentences as paragraphs."""
    return "".join(f"<p>{_safe(each)}</p>" for each in words)


def path_html(path: PacketPath) -> str:
    """Return one way of a packet: what becomes of it, its stops, each rule with its reason."""
    stops = "".join(hook_step_html(step) for step in path.hook_steps)
    return f"<h3>{path.probability:.0%}</h3>{paragraphs([outcome(path)])}{draw_hooks(path).html}{stops}"


def _rules(report: Report) -> str:
    """Show the node's rules along the way that the query took, and in a line each the other ways."""
    try:
        ends = report.case.udp_ends
        if report.is_traced:
            traced = report.seen.traced_query(report.pod.node)
            agrees = [f"The kernel's own trace has {len(traced.trace_lines)} lines of this packet.",
                      *(traced.differences or ["The walk says the same in each of them."])]
            return paragraphs(agrees) + path_html(traced.path)
    except KitError as error:
        return paragraphs([f"The rules could not be walked: {error}"])
    target = report.journey.client_leg.endpoint.address
    shown = next((end for end in ends if end.path.after.destination == target), ends[0])
    others = [f"{end.node.title}: {outcome(end.path)} {end.loss}" for end in ends if end is not shown]
    return paragraphs([f"On {shown.node.title}:"]) + path_html(shown.path) + paragraphs(others)


def _latency(report: Report) -> str:
    try:
        return _picture(latency_budget(report.case.own_journeys))
    except KitError as error:
        return paragraphs([str(error)])


def _picture(drawing: Drawing) -> str:
    return f"{drawing.html}<details><summary>The same as text</summary>{_preformatted(drawing.text)}</details>"


def _preformatted(text: str) -> str:
    return f"<pre>{_safe(text)}</pre>"


def _safe(text: str) -> str:
    return escape(printable(text))
