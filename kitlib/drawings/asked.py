"""What was asked, and what came back: one line a query."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.drawings.table import Table, table
from kitlib.journey import Journey


def asked(journeys: Sequence[Journey], title: str = "") -> Table:
    """A table of queries in the order sent; times in µs since the first query."""
    start = min((journey.hops[0].sighting.time_ns for journey in journeys), default=0)
    return table([_row(journey, start) for journey in journeys], title=title or _title(journeys))


def _row(journey: Journey, start: int) -> dict[str, object]:
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


def _title(journeys: Sequence[Journey]) -> str:
    notes = "; ".join(dict.fromkeys(journey.note for journey in journeys if journey.note))
    return ("1 query" if len(journeys) == 1 else f"{len(journeys)} queries") + (f" ({notes})" if notes else "")
