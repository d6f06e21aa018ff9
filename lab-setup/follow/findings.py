"""What a followed query shows, in plain words: answered or not, seen last where, why, at which price."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from follow.journeys import answer, latencies, sentences_of, unanswered
from follow.query import Report
from kitlib.cluster import differences
from kitlib.errors import KitError
from kitlib.sighting import left_out_lines


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
    sentences = [answer(report.journey), *evidence, *sentences_of(journeys), *_kept_ports(report, names),
                 *differences(report.lab), *(f"Not decided: {words}" for words in undecided)]
    return Findings(not unanswered(journeys), tuple(sentences), tuple(names), tuple(undecided))


def as_json(report: Report, found: Findings) -> dict[str, object]:
    """Return what --json prints."""
    question = report.journey.question
    return {"name": question and question.name, "type": question and question.type, "pod": report.pod.name,
            "lab": report.lab.name, "answered": found.is_answered, "causes": found.causes,
            "findings": found.sentences, "undecided": found.undecided,
            "milliseconds": latencies(report.journeys),
            "hops": [{"point": hop.sighting.point and hop.sighting.point.title, "time_ns": hop.sighting.time_ns,
                      "direction": hop.direction, "source": str(hop.sighting.source),
                      "destination": str(hop.sighting.destination), "rewrites": list(map(str, hop.rewrites))}
                     for hop in report.journey.hops],
            "commands": [result.typed for result in report.results]}


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
