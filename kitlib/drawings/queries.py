"""Tables of queries: what a resolver would ask, what a capture holds, the same question from everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kitlib.capture import Capture
from kitlib.drawings.table import Table, shorten, table
from kitlib.journey.model import Journey
from kitlib.parsers.resolv_conf import ResolvConf
from kitlib.place import Node
from kitlib.search_list import Candidate
from kitlib.sighting import Socket

LONGEST_ANSWER = 48        # letters


def draw_search_list(candidates: Iterable[Candidate], title: str = "What the resolver asks for, in order") -> Table:
    """Number the candidates in a table; it says so if there is none, as for an address."""
    rows = tuple((str(number), candidate.name, candidate.why) for number, candidate in enumerate(candidates, 1))
    return Table(title, ("no.", "the resolver asks for", "why"), rows)


def settings_table(conf: ResolvConf) -> Table:
    """Show what a resolv.conf says, and the lines that no resolver understands, if there are any."""
    return table([conf], ["nameservers", "search", "options", *(["passed_over"] if conf.passed_over else [])])


def queries_table(journeys: Sequence[Journey], title: str = "") -> Table:
    """List queries in the order sent; times in µs since the first query."""
    start = min((journey.hops[0].sighting.time_ns for journey in journeys), default=0)
    return table([_query(journey, start) for journey in journeys], title=title or _count(journeys))


def _query(journey: Journey, start: int) -> dict[str, object]:
    leg = journey.client_leg
    answers = ", ".join(record.data for record in leg.response.answers) if leg.response else ""
    back = leg.answer.sighting.time_ns if leg.answer else None
    return {"name": leg.question.name if leg.question else "(none)", "type": leg.question.type if leg.question else "",
            "from port": leg.client.port, "over": leg.hops[0].sighting.protocol,
            "sent (µs)": (leg.hops[0].sighting.time_ns - start) // 1000,
            "answered (µs)": "never" if back is None else (back - start) // 1000,
            "rcode": leg.response.rcode if leg.response else "", "answer": shorten(answers, LONGEST_ANSWER)}


def _count(journeys: Sequence[Journey]) -> str:
    notes = "; ".join(dict.fromkeys(journey.note for journey in journeys if journey.note))
    return ("1 query" if len(journeys) == 1 else f"{len(journeys)} queries") + (f" ({notes})" if notes else "")


def what_differs(captures: Mapping[str, tuple[Capture, Node]]) -> Table:
    """Compare captures of the same question, by the name of who asked; rows with a rewritten source are marked.

    With each capture, which has a rule trace, goes the node whose kernel met the query first.
    """
    rows = [{"asked from": name, **_start(*capture)} for name, capture in captures.items()]
    rewritten = frozenset(i for i, row in enumerate(rows) if "→" in row["source"])
    return replace(table(rows, title="The same question from everywhere"), marked_rows=rewritten)


def _start(seen: Capture, node: Node) -> dict[str, object]:
    from kitlib.netfilter.kube_proxy import masquerade_step  # late: the other tables need no rules
    from kitlib.netfilter.packet import RuleOutcome

    path, arrived = seen.traced_query(node).path, seen.journey().client_leg.farthest.sighting
    step, sent = masquerade_step(path), Socket(path.packet.source, path.packet.sport or 0)
    mark = f"{max(one.after.mark for one in path.matched):#x}" if step.outcome is RuleOutcome.MATCHED else "none"
    # The rule's other conditions (destination, protocol, port) hold for every query to the Service.
    return {"first hook": "PREROUTING" if path.packet.in_interface else "OUTPUT",
            "mark, and why": f"{mark}: {step.why.partition(', destination is')[0]}",
            "source": f"{sent}, kept" if sent == arrived.source else f"{sent} → {arrived.source}",
            "leaves by": path.after.out_interface, "TTL there": arrived.ttl}
