"""The rows and lanes of a ladder and what each row says, before anybody draws them."""

from __future__ import annotations

from dataclasses import dataclass

from kitlib.errors import KitError
from kitlib.journey import Hop, Journey, Leg, Rewrite
from kitlib.sighting import Message, VantagePoint

SHOWN_ANSWERS = 3
NAT, OTHER_END = {"destination": "DNAT", "source": "SNAT"}, {"destination": "source", "source": "destination"}


@dataclass(frozen=True)
class Row:
    """One hop, and the hop of the same leg, direction and attempt that it came from (None: it starts here)."""

    leg: int
    hop: Hop
    origin: Hop | None
    since_first_ns: int


def rows(journey: Journey) -> list[Row]:
    """The hops of all legs in order of time; KitError if there is none."""
    if not journey.legs or not all(leg.hops for leg in journey.legs):
        raise KitError("there is nothing to draw: the journey has a leg without sightings")
    hops = sorted(((hop.sighting.time_ns, i, hop) for i, leg in enumerate(journey.legs) for hop in leg.hops),
                  key=lambda entry: entry[:2])
    latest: dict[tuple[int, str, int], Hop] = {}
    made = []
    for time_ns, leg, hop in hops:
        way = (leg, hop.direction, hop.attempt)
        made.append(Row(leg, hop, latest.get(way), time_ns - hops[0][0]))
        latest[way] = hop
    return made


def point(hop: Hop) -> VantagePoint:
    """The vantage point of a hop; KitError if the sighting has none."""
    if hop.sighting.point is None:
        raise KitError("a ladder needs to know where each packet was seen: this sighting has no vantage point")
    return hop.sighting.point


def lanes(journey: Journey) -> list[VantagePoint]:
    """The vantage points in the order in which the query came by them, then those that only other packets passed."""
    return list(dict.fromkeys(map(point, (*journey.client_leg.queries, *journey.hops))))


def nat(rewrite: Rewrite, hop: Hop, leg: Leg) -> str:
    """Which NAT this is: DNAT or SNAT on the way there, its undoing on the way back, "" if neither fits."""
    if hop.direction == "query":
        return NAT[rewrite.end]
    undone = {Rewrite(OTHER_END[done.end], done.new, done.old): f"{NAT[done.end]} undone"
              for query in leg.queries for done in query.rewrites}
    return undone.get(rewrite, "")


def micros(nanoseconds: int) -> str:
    """Microseconds, with one decimal if the clock was finer than that."""
    return f"{nanoseconds / 1000:,.1f}".removesuffix(".0")


def what(message: Message) -> str:
    """"query A www.example.com." or "response NOERROR 93.184.216.34"."""
    if not message.is_response:
        return f"query {message.question.type} {message.question.name}" if message.question else "query, no question"
    data = [record.data for record in message.answers]
    more = f" and {len(data) - SHOWN_ANSWERS} more" if len(data) > SHOWN_ANSWERS else ""
    truncated = " (truncated)" if "tc" in message.flags else ""
    return f"response {message.rcode}{truncated} {', '.join(data[:SHOWN_ANSWERS]) or '(no answer record)'}{more}"


def sockets(hop: Hop) -> str:
    """Source → destination, as the header has it here."""
    return f"{hop.sighting.source} → {hop.sighting.destination}"


def rewritten(row: Row, journey: Journey) -> list[tuple[str, str]]:
    """For each rewrite at this row: ("destination rewritten (DNAT)", "10.96.0.10:53 → 10.244.0.3:53")."""
    kinds = [nat(rewrite, row.hop, journey.legs[row.leg]) for rewrite in row.hop.rewrites]
    return [(f"{rewrite.end} rewritten{f' ({kind})' if kind else ''}", f"{rewrite.old} → {rewrite.new}")
            for rewrite, kind in zip(row.hop.rewrites, kinds, strict=True)]


def facts(row: Row) -> list[str]:
    """The time since the previous hop of the journey, if any, and the TTL, with the one before if it changed."""
    gap, now = row.hop.since_previous_ns, row.hop.sighting.ttl
    before = row.origin.sighting.ttl if row.origin else now
    return [*([] if gap is None else [f"+{micros(gap)} µs"]),
            f"TTL {now}" if before == now else f"TTL {before} → {now}"]
