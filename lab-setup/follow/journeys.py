"""What journeys show by themselves, in plain words: answered or not, at which price, how fast, by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from kitlib.journey.model import Journey

ANSWERS = ("NOERROR", "NXDOMAIN")         # that a name does not exist is an answer, too


def is_answered(journey: Journey) -> bool:
    """Say whether an answer came back to the client, and was one."""
    response = journey.client_leg.response
    return journey.came_back and response is not None and response.rcode in ANSWERS


def unanswered(journeys: Sequence[Journey]) -> list[Journey]:
    """Return those whose client got no answer, or only a truncated one that it did not get whole over TCP."""
    whole = {one.question for one in journeys if is_answered(one) and not _is_truncated(one)}
    return [one for one in journeys
            if not is_answered(one) or (_is_truncated(one) and one.question not in whole)]


def _is_truncated(journey: Journey) -> bool:
    response = journey.client_leg.response
    return response is not None and "tc" in response.flags


def of_name(name: str, journeys: Sequence[Journey]) -> tuple[Journey, ...]:
    """Return the journeys of a name, and of what the search list made of it."""
    start = name.rstrip(".").lower() + "."
    return tuple(one for one in journeys if one.question and one.question.name.lower().startswith(start))


def to_look_at(journeys: Sequence[Journey]) -> Journey:
    """Choose the journey to show: the first that was not answered as it should be, or else the last one."""
    return next(iter(unanswered(journeys)), journeys[-1])


def answer(journey: Journey) -> str:
    """Say whether the query was answered, by whom and how fast; or where it, or its response, was last seen."""
    leg = journey.client_leg
    if not leg.response:
        point = leg.farthest.sighting.point
        where = point.title if point else "an unknown place"
        verdict = "No answer that could be read" if journey.may_have_been_missed else "Not answered"
        return f"{verdict}: the query was last seen at {where}, addressed to {leg.endpoint}."
    if leg.refused:
        return (f"Not answered: {leg.server} was asked, but {leg.refused[-1].sighting.server} answered, which the "
                "client does not take.")
    if not journey.came_back:
        point = leg.responses[-1].sighting.point
        return f"Not answered: a response was last seen at {point.title if point else 'an unknown place'}."
    if not leg.queries:
        return f"Only the response was captured: {leg.response.rcode}, from {leg.endpoint}."
    if leg.response.rcode in ANSWERS:
        how = f"{leg.response.rcode}, truncated" if _is_truncated(journey) else leg.response.rcode
        return f"Answered by {leg.endpoint}: {how}, in {milliseconds(journey):.1f} ms."
    upstream = next((each for each in journey.upstream_legs if each.response
                     and each.response.rcode == leg.response.rcode), None)
    return f"Answered wrongly: {leg.response.rcode}, from {upstream.endpoint if upstream else leg.endpoint}."


def milliseconds(journey: Journey) -> float:
    """Return how long the client waited for the answer that it took."""
    leg = journey.client_leg
    return (leg.answer.sighting.time_ns - leg.hops[0].sighting.time_ns) / 1e6


def latencies(journeys: Sequence[Journey]) -> list[float]:
    """Return the milliseconds of every query that was seen, and answered."""
    return [milliseconds(one) for one in journeys if one.came_back and one.client_leg.queries]


def sentences_of(journeys: Sequence[Journey]) -> list[str]:
    """Say what these journeys, of one name and one client, show together."""
    return [*_price(journeys), *_truncation(journeys), *_latency(journeys), *_endpoints(journeys)]


def _price(journeys: Sequence[Journey]) -> list[str]:
    """Say what the search list made of the name that was asked for, and at which price."""
    questions = [one.question for one in journeys if one.question]
    names, types = (dict.fromkeys(getattr(each, part) for each in questions) for part in ("name", "type"))
    if len(names) < 2 or _had_addresses(journeys) & {*list(names)[:-1]}:      # a search ends at the first that has one
        return []
    times = [hop.sighting.time_ns for one in journeys for hop in one.client_leg.hops]
    return [f"{len(journeys)} queries in {(max(times) - min(times)) / 1e6:.1f} ms, where {len(types)} would do: the "
            f"search list made {', '.join(names)} of one name. With a dot at its end, the full name is asked at once."]


def _had_addresses(journeys: Sequence[Journey]) -> set[str]:
    return {one.question.name for one in journeys if one.question and one.client_leg.response
            and one.client_leg.response.answers}


def _truncation(journeys: Sequence[Journey]) -> list[str]:
    if not any(map(_is_truncated, journeys)):
        return []
    if any(one.client_leg.hops[0].sighting.protocol == "TCP" for one in journeys):
        return ["The answer over UDP was truncated, so it was asked for again over TCP."]
    return ["The answer over UDP was truncated, and no query over TCP was seen."]


def _latency(journeys: Sequence[Journey]) -> list[str]:
    times = latencies(journeys)
    if len(times) < 2:
        return []
    return [f"Latency of {len(times)} answers: median {median(times):.1f} ms, from {min(times):.1f} to "
            f"{max(times):.1f} ms."]


def _endpoints(journeys: Sequence[Journey]) -> list[str]:
    """Count who was asked; where no rewrite was seen of any, it may have been a Service, and no endpoint of it."""
    legs = [one.client_leg for one in journeys]
    is_rewritten = any(leg.endpoint != leg.server for leg in legs)
    counts = Counter(str(leg.endpoint) for leg in legs)
    if len(journeys) < 2:
        return []
    chosen = ", ".join(f"{end} {count} of {len(journeys)}" for end, count in sorted(counts.items()))
    return [f"{'Endpoints chosen' if is_rewritten else 'Servers asked'}: {chosen}."]
