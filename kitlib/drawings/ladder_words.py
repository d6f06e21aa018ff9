"""What a ladder says, from the journey alone: rows and lanes, their words, title, alt text, plain text, Mermaid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from kitlib.drawings.table import aligned
from kitlib.errors import KitError
from kitlib.escapes import printable
from kitlib.journey.model import Hop, Journey, Leg, Rewrite
from kitlib.sighting import Message, VantagePoint, left_out_lines

SHOWN_ANSWERS = 3
NAT, OTHER_END = {"destination": "DNAT", "source": "SNAT"}, {"destination": "source", "source": "destination"}
SERVERS = {"coredns": "CoreDNS"}
COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven"}
TEXT_ARROWS = {"query": "──▶", "response": "◀┄┄"}


@dataclass(frozen=True)
class Row:
    """One hop, and the hop of the same leg, direction and attempt that it came from (None: it starts here)."""

    leg_index: int
    leg: Leg
    hop: Hop
    origin: Hop | None
    since_first_ns: int


class Line(NamedTuple):
    """One line of the words at a row; `rewritten` lines carry the accent."""

    words: str
    bold: bool = False
    rewritten: bool = False


class Step(NamedTuple):
    """One hop in words: short for a list, and in full."""

    short: str
    full: str


@dataclass(frozen=True)
class Gap:
    """A stretch between a hop and a place where nobody listened: after the hop, or (`is_before`) before it."""

    hop: Hop
    place: VantagePoint
    source: str           # what tells of it
    is_before: bool = False
    rewrite: str = ""     # "destination rewritten (DNAT)"
    change: str = ""      # "172.20.0.1:53 → 127.0.0.11:34705"

    @property
    def words(self) -> str:
        """Return it in words, for who does not see the picture."""
        way = f"{'from' if self.is_before else 'to'} {self.place.title}"
        return f"{way} ({self.source})" + (f": {self.rewrite} {self.change}" if self.rewrite else "")


def rows(journey: Journey) -> list[Row]:
    """Return the hops of all legs in order of time; KitError if there is none."""
    if not journey.legs or not all(leg.hops for leg in journey.legs):
        raise KitError("there is nothing to draw: the journey has a leg without sightings")
    hops = sorted(((hop.sighting.time_ns, i, hop) for i, leg in enumerate(journey.legs) for hop in leg.hops),
                  key=lambda entry: entry[:2])
    latest: dict[tuple[int, str, int], Hop] = {}
    found = []
    for time_ns, i, hop in hops:
        way = (i, hop.direction, hop.attempt)
        found.append(Row(i, journey.legs[i], hop, latest.get(way), time_ns - hops[0][0]))
        latest[way] = hop
    return found


def runs(shown: list[Row]) -> list[list[Row]]:
    """Return the rows in runs of one leg: each run stands under a heading of its own."""
    return [list(run) for _, run in groupby(shown, key=lambda row: row.leg_index)]


def point(hop: Hop) -> VantagePoint:
    """Return the vantage point of a hop; KitError if the sighting has none."""
    if hop.sighting.point is None:
        raise KitError("a ladder needs to know where each packet was seen: this sighting has no vantage point")
    return hop.sighting.point


def lanes(journey: Journey) -> list[VantagePoint]:
    """Return the vantage points in the order in which the query passed them, then those of other packets alone."""
    return list(dict.fromkeys(map(point, (*journey.client_leg.queries, *journey.hops))))


def nat(rewrite: Rewrite, row: Row) -> str:
    """Name the NAT: DNAT or SNAT on the way there, its undoing on the way back, "" if neither fits."""
    if row.hop.direction == "query":
        return NAT[rewrite.end]
    undone = {Rewrite(OTHER_END[done.end], done.new, done.old): f"{NAT[done.end]} undone"
              for query in row.leg.queries for done in query.rewrites}
    return undone.get(rewrite, "")


def micros(nanoseconds: int) -> str:
    """Return microseconds, with one decimal if the clock was finer than that."""
    return f"{nanoseconds / 1000:,.1f}".removesuffix(".0")


def message_words(message: Message) -> str:
    """Say what a message is: "query A www.example.com." or "response NOERROR 93.184.216.34"."""
    if not message.is_response:
        what, asked = "query" if message.opcode == "QUERY" else f"query ({message.opcode})", message.question
        rclass = "" if asked is None or asked.rclass == "IN" else f"{asked.rclass} "
        others = f" and {len(message.questions) - 1} more" if len(message.questions) > 1 else ""
        return f"{what} {rclass}{asked.type} {asked.name}{others}" if asked else f"{what}, no question"
    data = [record.data for record in message.answers]
    more = f" and {len(data) - SHOWN_ANSWERS} more" if len(data) > SHOWN_ANSWERS else ""
    truncated = " (truncated)" if "tc" in message.flags else ""
    return f"response {message.rcode}{truncated} {', '.join(data[:SHOWN_ANSWERS]) or '(no answer record)'}{more}"


def ends(hop: Hop) -> str:
    """Return source → destination, as the header has it here."""
    return f"{hop.sighting.source} → {hop.sighting.destination}"


def rewrites(row: Row) -> list[tuple[str, str]]:
    """Say what was rewritten here: [("destination rewritten (DNAT)", "10.96.0.10:53 → 10.244.0.3:53")]."""
    kinds = [(rewrite, nat(rewrite, row)) for rewrite in row.hop.rewrites]
    return [(f"{rewrite.end} rewritten{f' ({kind})' if kind else ''}", f"{rewrite.old} → {rewrite.new}")
            for rewrite, kind in kinds]


def timing(row: Row) -> list[str]:
    """Say the time since the previous hop of the journey, if any, and the TTL, with the one before if it changed."""
    gap, now = row.hop.since_previous_ns, row.hop.sighting.ttl
    before = row.origin.sighting.ttl if row.origin else now
    return [*([] if gap is None else [f"+{micros(gap)} µs"]),
            f"TTL {now}" if before == now else f"TTL {before} → {now}"]


def opening(row: Row) -> str:
    """Say what starts here, and if it was sent again."""
    again = "" if row.hop.attempt == 1 else f" (attempt {row.hop.attempt})"
    return f"{message_words(row.hop.sighting.message)}{again}"


def row_lines(row: Row) -> list[Line]:
    """Return the words at a row: what starts, or what was rewritten and the addresses now; time and TTL."""
    changes = [line for words, change in rewrites(row)
               for line in (Line(words, bold=True, rewritten=True), Line(change, rewritten=True))]
    known = " · ".join(timing(row))
    if row.origin is None:
        return [Line(opening(row), bold=True), Line(f"{ends(row.hop)} · {known}"), *changes]
    return [*changes, *([Line(ends(row.hop))] if changes else []), Line(known)]


def heading(run: list[Row]) -> str:
    """Say what a run of rows of one leg is about, and whether this leg begins here."""
    number, leg, seen = run[0].leg_index + 1, run[0].leg, run[0].hop.sighting
    if run[0].hop is not leg.hops[0]:
        way = "the way back" if seen.message.is_response else "it goes on"
        return f"Leg {number}, {way} · DNS id {seen.message.id}"
    cause = "" if leg.parent is None else f", because of leg {leg.parent + 1}"
    return f"Leg {number}{cause}: from {point(run[0].hop).title} · {seen.protocol} · DNS id {seen.message.id}"


def last_seen(leg: Leg) -> str:
    """Say where the query of a leg was last seen; attempt by attempt, if they did not all come equally far."""
    titles = {hop.attempt: point(hop).title for hop in leg.queries}
    if len(set(titles.values())) == 1:
        return next(iter(titles.values()))
    return ", ".join(f"{title} (attempt {number})" for number, title in titles.items())


def losses(journey: Journey) -> list[tuple[Hop, str]]:
    """Say for each leg whose response did not come back to its start where it was last seen."""
    found, how = [], "could be read" if journey.may_have_been_missed else "seen"
    for number, leg in enumerate(journey.legs, 1):
        home, last = leg.hops[0], (leg.responses or leg.queries)[-1]
        if not leg.responses:
            found.append((last, f"Leg {number}: no response {how}; the query was last seen at {last_seen(leg)}"))
        elif leg.refused:
            answer = leg.refused[-1]
            found.append((answer, f"Leg {number}: an answer came from {answer.sighting.server}, but "
                                  f"{leg.server} was asked: the client does not take it"))
        elif leg.queries and point(home) != point(last):
            found.append((last, f"Leg {number}: the response was last seen at {point(last).title}, "
                                f"it did not show at {point(home).title}"))
    return found


def closing(journey: Journey, verdict: bool) -> list[str]:
    """Say what stands below a ladder: answers that got lost (the verdict), what is ambiguous, which take it is."""
    lost = losses(journey) if verdict else []
    return [*(words for _, words in lost), *(f"Not decided: {note}" for note in journey.ambiguous),
            *left_out_words(journey),
            *([f"({journey.note})"] if journey.note else [])]


def left_out_words(journey: Journey) -> list[str]:
    """Say which frames of the capture were left out."""
    return [f"Left out: {line}" for line in left_out_lines(journey.left_out)]


def steps(journey: Journey) -> list[Step]:
    """Return every hop of the journey in words, numbered in order of time."""
    found = []
    for number, row in enumerate(rows(journey), 1):
        short = f"{number}. {point(row.hop).title}: {message_words(row.hop.sighting.message)}"
        changes = (f"{words} {change}" for words, change in rewrites(row))
        found.append(Step(short, f"{short} · {', '.join([ends(row.hop), *timing(row), *changes])}"))
    return found


def ladder_title(journey: Journey, verdict: bool) -> str:
    """Say what this journey shows: how far it came if nothing came back, who else was asked, else who rewrote what.

    Without the verdict, only what was asked: the reader is to find the rest.
    """
    if not verdict:
        return f"{journey.question or 'One query'}: everything that was seen of it"
    if not journey.answered:
        return (f"No response{' that could be read' if journey.may_have_been_missed else ''}: "
                f"the query was last seen at {last_seen(journey.client_leg)}")
    if refused := journey.client_leg.refused:
        return f"Refused: {journey.client_leg.server} was asked, but {refused[-1].sighting.server} answered"
    if own := [leg for leg in journey.upstream_legs if leg.parent == 0]:
        return _asked_further(journey, own)
    shown = rows(journey)
    for row in shown:
        if row.origin and row.hop.direction == "query" and row.hop.rewrites:
            machines = dict.fromkeys((point(row.origin).machine, point(row.hop).machine))
            return f"{' or '.join(machines)} rewrites the {' and the '.join(map(str, row.hop.rewrites))}"
    question = journey.question or "One query"
    if not journey.client_leg.queries:
        return f"{question}: only the response {'could be read' if journey.may_have_been_missed else 'was captured'}"
    if not journey.came_back:
        return f"{question}: the response was last seen at {point(journey.client_leg.responses[-1]).title}"
    took = journey.client_leg.answer.sighting.time_ns - shown[0].hop.sighting.time_ns
    return f"{question}: there and back within {micros(took)} µs"


def _asked_further(journey: Journey, own: Sequence[Leg]) -> str:
    """Say what the result was, given that the server itself asked further; `own` are the legs that it began."""
    server = SERVERS.get(point(own[0].hops[0]).kind, "the server")
    rcode = journey.client_leg.response.rcode
    if rcode == "SERVFAIL" and not any(leg.responses for leg in own):
        attempts = sum(max(hop.attempt for hop in leg.hops) for leg in own)
        return f"SERVFAIL: {server} asked {times(attempts)}, nobody answered"
    legs = f"{COUNTS.get(len(journey.legs), len(journey.legs))} legs"
    if rcode == "SERVFAIL":
        return f"SERVFAIL, although {server} asked another server: one query, {legs}"
    return f"One query, {legs}: {server} did not know the answer and asked another server"


def times(count: int) -> str:
    """Say how often: "once", "twice", "three times"."""
    return {1: "once", 2: "twice"}.get(count, f"{COUNTS.get(count, count)} times")


def ladder_alt_text(journey: Journey, gaps: Sequence[Gap], verdict: bool) -> str:
    """Describe the whole ladder in a few sentences."""
    sentences = [f"Sequence diagram of {journey.question or 'one query'}; time runs downwards. "
                 f"Lanes from left: {', '.join(lane.title for lane in lanes(journey))}."]
    sentences += [f"{step.full}." for step, row in zip(steps(journey), rows(journey), strict=True)
                  if row.origin is None or row.hop.rewrites]
    sentences += [f"Not seen, {point(gap.hop).title}: {gap.words}." for gap in gaps]
    return " ".join([*sentences, *(f"{words}." for words in closing(journey, verdict))])


def ladder_text(journey: Journey, gaps: Sequence[Gap], verdict: bool) -> str:
    """Return the ladder for a terminal, one line a hop: µs, place, direction, addresses, TTL, what happened."""
    shown = rows(journey)
    head, *aligned_rows = aligned([("µs", "seen at", "", "source → destination", "TTL", ""), *map(_cells, shown)],
                                  right=(0, 4))
    lines, rest = [ladder_title(journey, verdict), "", head], iter(aligned_rows)
    for run in runs(shown):
        lines.append(heading(run))
        for row in run:
            before, after = (_gaps_at(row, gaps, is_before) for is_before in (True, False))
            lines += [*before, next(rest), *after]
    return "\n".join([*lines, *closing(journey, verdict)])


def _gaps_at(row: Row, gaps: Sequence[Gap], is_before: bool) -> list[str]:
    return [f"{'·':>9}  {gap.words}" for gap in gaps if gap.hop is row.hop and gap.is_before == is_before]


def _cells(row: Row) -> tuple[str, ...]:
    events = [opening(row)] if row.origin is None else []
    events += [f"{words}: {change}" for words, change in rewrites(row)]
    return (micros(row.since_first_ns), point(row.hop).title, TEXT_ARROWS[row.hop.direction], ends(row.hop),
            str(row.hop.sighting.ttl), "; ".join(events))


def ladder_mermaid(journey: Journey, gaps: Sequence[Gap], verdict: bool) -> str:
    """Return the ladder as a sequenceDiagram, for documents that draw Mermaid (https://mermaid.js.org)."""
    names = {lane: f"p{number}" for number, lane in enumerate(lanes(journey), 1)}
    lines = ["sequenceDiagram"]
    for machine, group in groupby(names, key=lambda lane: lane.machine):
        lines += [f"  box transparent {_mermaid_words(machine)}",
                  *(f"    participant {names[lane]} as {_mermaid_words(lane.title)}" for lane in group), "  end"]
    over = "p1" if len(names) == 1 else f"p1,p{len(names)}"
    for run in runs(rows(journey)):
        lines += [f"  Note over {over}: {_mermaid_words(heading(run))}", *(_mermaid_row(row, names) for row in run)]
    lines += [f"  Note over {names[point(gap.hop)]}: {_mermaid_words(gap.words)}" for gap in gaps]
    return "\n".join([*lines, *(f"  Note over {over}: {_mermaid_words(words)}" for words in closing(journey, verdict))])


def _mermaid_row(row: Row, names: dict[VantagePoint, str]) -> str:
    here, words = names[point(row.hop)], "<br/>".join(_mermaid_words(line.words) for line in row_lines(row))
    if row.origin is None:
        return f"  Note over {here}: {words}"
    return f"  {names[point(row.origin)]}{'->>' if row.hop.direction == 'query' else '-->>'}{here}: {words}"


def _mermaid_words(words: str) -> str:
    """Escape words for Mermaid, which ends a statement at ; and newline, and has entities, tags and %% directives."""
    return re.sub("[#;<>%\n]", lambda match: f"#{ord(match[0])};", printable(words))
