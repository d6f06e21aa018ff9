"""From sendings to legs: one query and its answer over one pair of sockets.

Sendings from one socket are one leg until their answer came: a client that gets none asks again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from kitlib.bulk import progress_bar
from kitlib.journey.model import Hop, Leg, Rewrite
from kitlib.journey.packets import (
    AnswerTimes,
    Packet,
    Sending,
    answer_times,
    find_packets,
    find_sendings,
    flow,
    folded,
    grouped,
    in_order,
    interface,
    is_answered,
    sockets,
)
from kitlib.sighting import Sighting


@dataclass(eq=False)
class _Draft:
    """A leg in the making: its sendings (several if the client asked again), and the responses to any of them."""

    sendings: list[Sending] = field(default_factory=list)
    responses: list[Sighting] = field(default_factory=list)


def find_legs(sightings: Iterable[Sighting]) -> list[tuple[Leg, list[str]]]:
    """Return every leg in these sightings, in order of time, and in words what about it could not be decided.

    Each sighting is in exactly one.
    """
    ordered = sorted(sightings, key=in_order)
    queries = [seen for seen in ordered if not seen.message.is_response]
    answers = answer_times(seen for seen in ordered if seen.message.is_response)
    drafts: list[_Draft] = []
    for same_message in progress_bar(grouped(queries, flow).values(), "Finding packets"):
        drafts += _drafts(find_sendings(same_message, answers), answers)
    drafts += _without_query(_hand_out(ordered, drafts))
    legs = [(Leg(_hops(draft)), [doubt for sending in draft.sendings for doubt in sending.doubts])
            for draft in progress_bar(drafts, "Ordering hops")]
    return sorted(legs, key=lambda found: in_order(found[0].hops[0].sighting))


def _drafts(sendings: list[Sending], answers: AnswerTimes) -> list[_Draft]:
    """Return sendings from one socket as one leg until the answer came back to where the query was first seen."""
    drafts: list[_Draft] = []
    latest: dict[Hashable, _Draft] = {}
    for sending in sendings:
        key, home = sockets(sending.first), (interface(sending.first), sockets(sending.first))
        draft = latest.get(key)
        if draft is None or is_answered(home, draft.sendings[0].first.time_ns, sending.first.time_ns, answers):
            draft = latest[key] = _Draft()
            drafts.append(draft)
        draft.sendings.append(sending)
    return drafts


def _hand_out(ordered: list[Sighting], drafts: list[_Draft]) -> list[Sighting]:
    """Give each response to the latest leg between its sockets, else to the only one that its client began.

    Return the responses that fit no leg, or more than one.
    """
    draft_of = {id(query): draft for draft in drafts for sending in draft.sendings for query in sending.sightings}
    latest: dict[Hashable, _Draft] = {}
    only: dict[Hashable, _Draft | None] = {}          # None: the client began more than one
    left_over = []
    for seen in progress_bar(ordered, "Finding answers"):
        question = folded(seen.message.questions)
        if draft := draft_of.get(id(seen)):
            for known in (question, ()):              # a response may lack the question section
                latest[sockets(seen), known] = draft
                only[_client(seen), known] = draft if only.get((_client(seen), known), draft) is draft else None
        elif draft := latest.get((sockets(seen), question)) or only.get((_client(seen), question)):
            draft.responses.append(seen)
        else:
            left_over.append(seen)
    return left_over


def _client(seen: Sighting) -> Hashable:
    return seen.protocol, seen.message.id, seen.client


def _without_query(responses: list[Sighting]) -> list[_Draft]:
    groups = grouped(responses, lambda seen: (flow(seen), seen.client)).values()
    return [_Draft(responses=packet) for same in groups for packet in find_packets(same)]


def _hops(draft: _Draft) -> tuple[Hop, ...]:
    queries = [sending.sightings for sending in draft.sendings]
    sent = [*enumerate(queries, 1), *enumerate(find_packets(draft.responses), 1)]
    hops = [hop for attempt, packet in sent for hop in _hops_of(packet, attempt)]
    return tuple(sorted(hops, key=lambda hop: in_order(hop.sighting)))


def _hops_of(packet: Packet, attempt: int) -> Iterator[Hop]:
    for before, seen in zip([None, *packet], packet, strict=False):
        yield Hop(seen, tuple(_rewrites(before, seen)) if before else (), None, attempt)


def _rewrites(before: Sighting, seen: Sighting) -> Iterator[Rewrite]:
    for end in ("source", "destination"):
        old, new = getattr(before, end), getattr(seen, end)
        if old != new:
            yield Rewrite(end, old, new)
