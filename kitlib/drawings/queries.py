"""What was asked: the names that a resolver asks for, the queries of a capture, the same question from everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kitlib.drawings.table import Table, table
from kitlib.journey.model import Journey
from kitlib.netfilter.kube_proxy import masquerade_step
from kitlib.netfilter.packet import RuleOutcome
from kitlib.search_list import Candidate
from kitlib.sighting import Socket

if TYPE_CHECKING:
    from kitlib.capture import Capture
    from kitlib.place import Node


def draw_search_list(candidates: Iterable[Candidate], title: str = "What the resolver asks for, in order") -> Table:
    """The candidates as a numbered table; none (an address is not asked about) is said in the table."""
    rows = tuple((str(number), candidate.name, candidate.why) for number, candidate in enumerate(candidates, 1))
    return Table(title, ("", "the resolver asks for", "why"), rows)


def queries_table(journeys: Sequence[Journey], title: str = "") -> Table:
    """A table of queries in the order sent; times in µs since the first query."""
    start = min((journey.hops[0].sighting.time_ns for journey in journeys), default=0)
    return table([_query(journey, start) for journey in journeys], title=title or _count(journeys))


def _query(journey: Journey, start: int) -> dict[str, object]:
    leg = journey.client_leg
    answers = ", ".join(record.data for record in leg.response.answers) if leg.response else ""
    back = leg.responses[-1].sighting.time_ns if leg.responses else None
    return {"name": leg.question.name if leg.question else "(none)", "type": leg.question.type if leg.question else "",
            "from port": leg.client.port, "over": leg.hops[0].sighting.protocol,
            "sent (µs)": (leg.hops[0].sighting.time_ns - start) // 1000,
            "answered (µs)": "never" if back is None else (back - start) // 1000,
            "rcode": leg.response.rcode if leg.response else "", "answer": shortened(answers)}


def shortened(words: str, limit: int = 48) -> str:
    """Words that fit a table cell; what is left out is marked with an ellipsis."""
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _count(journeys: Sequence[Journey]) -> str:
    notes = "; ".join(dict.fromkeys(journey.note for journey in journeys if journey.note))
    return ("1 query" if len(journeys) == 1 else f"{len(journeys)} queries") + (f" ({notes})" if notes else "")


def what_differs(asked: Mapping[str, tuple[Capture, Node]]) -> Table:
    """A line for each place that asked: its capture with rule trace, and the node whose kernel met the query first.

    Marked are the lines in which the source was rewritten.
    """
    rows = [{"asked from": name, **_start(*where)} for name, where in asked.items()]
    rewritten = frozenset(i for i, row in enumerate(rows) if "→" in row["source"])
    return replace(table(rows, title="The same question from everywhere"), marked=rewritten)


def _start(seen: Capture, node: Node) -> dict[str, object]:
    walk, arrived = seen.traced_query(node).walk, seen.journey().client_leg.farthest.sighting
    step, sent = masquerade_step(walk), Socket(walk.packet.source, walk.packet.sport or 0)
    mark = "none" if step.outcome is not RuleOutcome.MATCHED else f"{max(one.after.mark for one in walk.matched):#x}"
    # The rule's other conditions (destination, protocol, port) hold for every query to the Service.
    return {"first hook": "PREROUTING" if walk.packet.in_interface else "OUTPUT",
            "mark, and why": f"{mark}: {step.why.partition(', destination is')[0]}",
            "source": f"{sent}, kept" if sent == arrived.source else f"{sent} → {arrived.source}",
            "leaves by": walk.after.out_interface, "TTL there": arrived.ttl}
