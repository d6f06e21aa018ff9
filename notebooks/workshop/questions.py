"""The questions of the workshop, the same for every case: where the query got lost, why, and what fixes it.

Right answers and hints come from what the lab says and from what was captured, so that one question serves all cases.
"""

from __future__ import annotations

from dataclasses import replace

from kitlib.capture import Capture
from kitlib.errors import NotFound
from kitlib.parsers.packets import TCP, datagram_of
from kitlib.quiz import Quiz, number
from kitlib.result import typed_on_host
from lessons.evidence import point_title
from workshop.case import Case
from workshop.causes import causes_for, causes_of, offered_causes
from workshop.command_effects import lab_after
from workshop.faults import RECIPES, live_recipes, placed_commands
from workshop.live_faults import ask_again, run_typed
from workshop.looks import path_order
from workshop.typed_commands import typed_on_host_or_in_cell

SYN = 0x02            # the flags of a segment that begins a connection (RFC 9293, 3.1)
FIXED = "the queries of this pod are answered again"


def where(case: Case, seen: Capture) -> Quiz:
    """Ask where the query that waits in vain was last seen. Raises NotFound if every query was answered."""
    leg = case.with_sight_of(seen).unanswered
    if leg is None:
        raise NotFound("Every query in this capture was answered, so there is no place where one was last seen.")
    times = {point_title(hop.sighting): hop.sighting.time_ns for hop in leg.queries}
    query = f"{leg.question.name} {leg.question.type}, sent by {leg.client.address}"
    return _last_seen(f"Where was the query ({query}) last seen?", case, seen, times,
                      point_title(leg.farthest.sighting))


def where_tcp(case: Case, seen: Capture) -> Quiz:
    """Ask where the first segment of the TCP connection (SYN) to port 53 was last seen."""
    times = {point.title: frame.time_ns for point in reversed(seen.points) for frame in reversed(seen.frames(point))
             if (part := datagram_of(frame)) and part.protocol == TCP and part.payload[13] == SYN}
    if not times:
        raise NotFound("No TCP connection to port 53 was begun in this capture.")
    return _last_seen("Where was the SYN, the first segment of the TCP connection, last seen?", case, seen, times,
                      max(times, key=times.get))


def _last_seen(prompt: str, case: Case, seen: Capture, times: dict[str, int], last: str) -> Quiz:
    points, began = path_order(case, seen.points), min(times.values())
    reached = {title: f"It did reach {title}, {(time - began) // 1000} µs after it was first seen, and was seen "
                      "farther on: up to there all is fine." for title, time in times.items()}
    never = {point.title: f"It was never seen at {point.title}: it got lost before." for point in points}
    return Quiz(prompt, last, tuple(point.title for point in points), hints=never | reached,
                id=f"{case.label}, where",
                hint="Draw the ladder of the capture: in which lane does the last arrow of the query end?",
                more=f"It was seen at {len(times)} of {len(points)} vantage points; the choices stand in the order of "
                     "the path.",
                solution=f"It was last seen at {last}. What comes right after that place has lost it.")


def machines_on_the_way(case: Case, seen: Capture) -> Quiz:
    """Ask how many machines forwarded the client's query until the server had it, by its TTL."""
    hops = seen.journey().client_leg.queries
    first, last = hops[0].sighting, hops[-1].sighting
    titles = " and ".join(dict.fromkeys(point_title(hop.sighting) for hop in hops))
    return Quiz(
        f"How many machines forwarded the query between {point_title(first)} and {point_title(last)}?",
        first.ttl - last.ttl, read=number, id=f"{case.label}, where",
        hints=lambda given: (
            f"The TTL would be {first.ttl - given} at {point_title(last)}; it is {last.ttl}." if given < 9 else
            f"There are {len(hops)} sightings, at {titles}; only a machine that forwards lowers the TTL."),
        hint="Each machine that forwards a packet takes one off its TTL.",
        more=f"The TTL is {first.ttl} at {point_title(first)}; look at it in the last row of the query.",
        solution=f"The TTL falls from {first.ttl} to {last.ttl}.")


def why(case: Case, seen: Capture) -> Quiz:
    """Ask for the cause; each wrong one is answered with evidence against it."""
    case = case.with_sight_of(seen)
    findings = {cause.sentence: cause.examine(case) for cause in offered_causes(case)}
    right = next((sentence for sentence, found in findings.items() if found.holds), "nothing is wrong")
    return Quiz(
        "Why does it not work as it should?", right, tuple(findings), hint=_first_step(case),
        id=f"{case.label}, why",
        hints={sentence: f"Not that: {found.evidence}" for sentence, found in findings.items()},
        more=_next_step(case), solution=findings[right].evidence if right in findings else "")


def _first_step(case: Case) -> str:
    leg = case.unanswered
    if leg is None:
        return "Every UDP query got an answer. Compare what worked with what did not: the protocol, and the TTL."
    rewritten = [hop for hop in leg.queries if hop.rewrites]
    changed = f"rewritten: {rewritten[-1].rewrites[-1]}" if rewritten else "its addresses are as the client wrote them"
    return f"Seen up to {point_title(leg.farthest.sighting)}; {changed}."


def _next_step(case: Case) -> str:
    point = case.unanswered.farthest.sighting.point if case.unanswered else None
    if point and point.kind == "coredns":
        return f"It arrived at {point.title}, so no machine on the way lost it. Why was it sent to this pod, and " \
               "does the pod answer others? Compare with a query that worked."
    return f"What does {point.machine if point else case.pod.machine} do with a packet next? Rules, route, " \
           "forwarding: read each of its tables for this packet's addresses."


def fix(case: Case, seen: Capture) -> Quiz:
    """Ask for the command that fixes it, judged by its effect: the causes are looked for again in the lab it leaves."""
    case = case.with_sight_of(seen)
    before = causes_of(case)

    def effect(typed: object) -> str:
        if typed == FIXED:
            return FIXED
        commands = typed_on_host_or_in_cell(case.lab, case.pod, str(typed))
        after = _really_after(case, seen, commands) if case.lab.backend.live else _after(case, commands)
        findings = {cause.name: cause.examine(after) for cause in causes_for(after)}
        still = [name for name, found in findings.items() if found.holds]
        if not still:
            return FIXED
        worse = [name for name in still if name not in before]
        lead = "That would fix it, but break something else: " if worse and worse == still else "Not fixed: "
        return lead + findings[(worse or still)[0]].evidence

    live = " It is run, and the network is asked; \"done\" if you ran it yourself." if case.lab.backend.live else ""
    return Quiz(
        f"Which command fixes it? Type it as on the host, or as in a cell; several lines are fine.{live}", FIXED,
        read=effect, hints=lambda verdict: verdict, hint=f"The command belongs where the fault is: {_evidence(case)}",
        more=f"Its first words could be: {' '.join(solution(case).split()[:5])} …", id=f"{case.label}, fix",
        solution=lambda: f"The command that undoes it:\n{solution(case)}")


def _after(case: Case, typed: str) -> Case:
    lab = lab_after(case.lab, typed)
    return replace(case, lab=lab, pod=lab.pod(case.pod.name))


def _really_after(case: Case, seen: Capture, typed: str) -> Case:
    if typed.strip().casefold() != "done":
        run_typed(case.lab, typed)
    return ask_again(case, seen.points)


def _evidence(case: Case) -> str:
    findings = (cause.examine(case) for cause in causes_for(case))
    return next((found.evidence for found in findings if found.holds), "nothing is wrong")


def solution(case: Case) -> str:
    """Return the commands that fix the case, one a line, as typed on the host."""
    recipes = live_recipes(case.lab) if case.lab.backend.live else RECIPES
    steps = recipes[case.fault or causes_of(case)[0]].fixes
    return "\n".join(typed_on_host(*step) for step in placed_commands(case.lab, case.pod, steps))
