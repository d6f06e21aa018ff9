"""What a followed query shows, in plain words: answered or not, seen last where, why, at which price."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from follow.query import ANSWERS, Report, is_answered
from kitlib.cluster import differences
from kitlib.errors import KitError
from kitlib.journey.model import Journey
from kitlib.left_out import left_out_lines


@dataclass(frozen=True)
class Findings:
    """The sentences, the names of the causes that hold, and what could not be decided."""

    is_answered: bool
    sentences: tuple[str, ...]
    causes: tuple[str, ...]
    undecided: tuple[str, ...]


def findings(report: Report) -> Findings:
    """Look at a report for all that an engineer would write into the ticket."""
    names, evidence, obstacles = [], [], defaultdict(list)
    undecided = [*report.journey.ambiguous, *left_out_lines(report.seen.left_out), *report.left_out]
    for cause in report.causes:
        try:
            found = cause.examine(report.case)
        except KitError as error:
            obstacles[str(error).splitlines()[0]].append(cause.sentence)
            continue
        if found.holds:
            names.append(cause.name)
            evidence.append(f"Cause: {cause.sentence}. Evidence: {found.evidence}")
    undecided += [f"whether {'; or '.join(causes)}. Why: {words}" for words, causes in obstacles.items()]
    journeys = report.journeys
    sentences = [_answer(report.journey), *evidence, *_price(journeys), *_truncation(journeys), *_latency(journeys),
                 *_endpoints(journeys), *_kept_ports(report, names), *differences(report.lab),
                 *(f"Not decided: {words}" for words in undecided)]
    return Findings(all(map(is_answered, journeys)), tuple(sentences), tuple(names), tuple(undecided))


def as_json(report: Report, found: Findings) -> dict[str, object]:
    """Return what --json prints."""
    question = report.journey.question
    return {"name": question and question.name, "type": question and question.type, "pod": report.pod.name,
            "lab": report.lab.name, "answered": found.is_answered, "causes": found.causes,
            "findings": found.sentences, "undecided": found.undecided,
            "milliseconds": [_milliseconds(one) for one in report.journeys if one.came_back],
            "hops": [{"point": hop.sighting.point and hop.sighting.point.title, "time_ns": hop.sighting.time_ns,
                      "direction": hop.direction, "source": str(hop.sighting.source),
                      "destination": str(hop.sighting.destination), "rewrites": list(map(str, hop.rewrites))}
                     for hop in report.journey.hops],
            "commands": [result.typed for result in report.results]}


def _answer(journey: Journey) -> str:
    leg = journey.client_leg
    if not leg.response:
        point = leg.farthest.sighting.point
        where = point.title if point else "an unknown place"
        return f"Not answered: the query was last seen at {where}, addressed to {leg.endpoint}."
    if not journey.came_back:
        point = leg.responses[-1].sighting.point
        return f"Not answered: a response was last seen at {point.title if point else 'an unknown place'}."
    if leg.response.rcode in ANSWERS:
        return f"Answered by {leg.endpoint}: {leg.response.rcode}, in {_milliseconds(journey):.1f} ms."
    upstream = next((each for each in journey.upstream_legs if each.response
                     and each.response.rcode == leg.response.rcode), None)
    return f"Answered wrongly: {leg.response.rcode}, from {upstream.endpoint if upstream else leg.endpoint}."


def _milliseconds(journey: Journey) -> float:
    leg = journey.client_leg
    return (leg.responses[-1].sighting.time_ns - leg.hops[0].sighting.time_ns) / 1e6


def _price(journeys: tuple[Journey, ...]) -> list[str]:
    """Say what the search list made of the name that was asked for, and at which price."""
    questions = [one.question for one in journeys if one.question]
    names, types = (dict.fromkeys(getattr(each, part) for each in questions) for part in ("name", "type"))
    if len(names) < 2:
        return []
    times = [hop.sighting.time_ns for one in journeys for hop in one.client_leg.hops]
    return [f"{len(journeys)} queries in {(max(times) - min(times)) / 1e6:.1f} ms, where {len(types)} would do: the "
            f"search list made {', '.join(names)} of one name. With a dot at its end, the full name is asked at once."]


def _truncation(journeys: tuple[Journey, ...]) -> list[str]:
    if any(one.client_leg.response and "tc" in one.client_leg.response.flags for one in journeys):
        return ["The answer over UDP was truncated, so it was asked for again over TCP."]
    return []


def _latency(journeys: tuple[Journey, ...]) -> list[str]:
    times = [_milliseconds(one) for one in journeys if one.came_back]
    if len(times) < 2:
        return []
    return [f"Latency of {len(times)} answers: median {median(times):.1f} ms, from {min(times):.1f} to "
            f"{max(times):.1f} ms."]


def _endpoints(journeys: tuple[Journey, ...]) -> list[str]:
    counts = Counter(str(one.client_leg.endpoint) for one in journeys)
    if len(journeys) < 2:
        return []
    chosen = ", ".join(f"{end} {count} of {len(journeys)}" for end, count in sorted(counts.items()))
    return [f"Endpoints chosen: {chosen}."]


def _kept_ports(report: Report, causes: list[str]) -> list[str]:
    """Say which ports of the pod conntrack still sends to an endpoint that the rules would not choose."""
    case = report.case
    with suppress(KitError):
        kept = {entry.original.source.port: entry.reply.source.address for entry in case.connections
                if entry.reply.source.address not in case.chosen_servers}
        if kept and case.chosen_servers and "stale-conntrack" not in causes:
            flows = ", ".join(f"port {port} to {address}" for port, address in sorted(kept.items()))
            return [f"Conntrack on {case.pod.node.title} still leads {flows}, which the rules choose no more. "
                    "To ask from such a port: --port N."]
    return []
