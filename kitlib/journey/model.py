"""The story of one query: its sightings joined over every vantage point, forth and back.

A journey is made of legs. A leg is one query and its response over one pair of sockets, NAT included: the addresses may
be rewritten on the way, the DNS message is not. The client's leg comes first; when the server that it reaches asks
another server (CoreDNS its upstream), that is a leg of its own: another socket, mostly another DNS id.
"""

from __future__ import annotations

from dataclasses import dataclass

from kitlib.sighting import LeftOut, Message, Question, Sighting, Socket


@dataclass(frozen=True)
class Rewrite:
    """An address (or port) that differs from the hop before: the work of NAT."""

    end: str              # "source" or "destination", as the header of this packet has it
    old: Socket
    new: Socket

    def __str__(self) -> str:
        return f"{self.end} {self.old} → {self.new}"


@dataclass(frozen=True)
class Hop:
    """One sighting within a leg, and what changed since the sighting before it in the same direction."""

    sighting: Sighting
    rewrites: tuple[Rewrite, ...] = ()
    since_previous_ns: int | None = None      # since the previous hop of the journey; None for the first
    attempt: int = 1                          # 2 and up: the client sent the same query again, the server its response

    @property
    def direction(self) -> str:
        """"query" or "response"."""
        return self.sighting.direction


@dataclass(frozen=True)
class Leg:
    """One query and its response over one pair of sockets; hops in order of time.

    A leg of which only the response was seen (the query was rewritten before any vantage point) has no queries.
    """

    hops: tuple[Hop, ...]
    parent: int | None = None                 # index in Journey.legs of the leg that caused this one

    @property
    def queries(self) -> tuple[Hop, ...]:
        """The hops on the way there."""
        return tuple(hop for hop in self.hops if hop.direction == "query")

    @property
    def responses(self) -> tuple[Hop, ...]:
        """The hops on the way back."""
        return tuple(hop for hop in self.hops if hop.direction == "response")

    @property
    def question(self) -> Question | None:
        """What this leg asks."""
        return self.hops[0].sighting.message.question

    @property
    def client(self) -> Socket:
        """The socket that asked, as first seen."""
        return self.hops[0].sighting.client

    @property
    def server(self) -> Socket:
        """The socket that was asked, as first seen (a ClusterIP, before DNAT)."""
        return self.hops[0].sighting.server

    @property
    def farthest(self) -> Hop:
        """Where the query came farthest: of several attempts the one with the lowest TTL."""
        return min(reversed(self.queries or self.hops[:1]), key=lambda hop: hop.sighting.ttl)

    @property
    def endpoint(self) -> Socket:
        """The socket that the query was addressed to where it came farthest (after DNAT)."""
        return self.farthest.sighting.server

    @property
    def response(self) -> Message | None:
        """The answer that the client takes, the first to come home; else as last seen on its way back, or None."""
        return self.answer.sighting.message if self.answer else None

    @property
    def answer(self) -> Hop | None:
        """Where the response was seen that counts: see `response`."""
        home = (hop for hop in self.responses if self._is_home(hop) and hop.sighting.server == self.server)
        return next(home, self.responses[-1] if self.responses else None)

    @property
    def came_back(self) -> bool:
        """Was a response seen where the leg was first seen, between the same two sockets?

        A resolver takes an answer only from the socket that it asked (RFC 5452, 9.1); see `refused`.
        """
        return any(self._is_home(hop) and hop.sighting.server == self.server for hop in self.responses)

    @property
    def refused(self) -> tuple[Hop, ...]:
        """The responses that reached the client from a socket that it had not asked: it does not take them."""
        if self.came_back or not self.queries:
            return ()
        return tuple(hop for hop in self.responses if self._is_home(hop))

    def _is_home(self, hop: Hop) -> bool:
        """Was this seen where the leg was first seen, and is it of the socket that asked there?"""
        first, seen = self.hops[0].sighting, hop.sighting
        return (seen.point, seen.interface_index, seen.client) == (first.point, first.interface_index, first.client)


@dataclass(frozen=True)
class Journey:
    """One query with all its legs; legs[0] is the client's. `ambiguous` says what could not be decided.

    `left_out` are the frames of the capture in which no message could be read; it `is_whole` if it missed none.
    """

    legs: tuple[Leg, ...]
    ambiguous: tuple[str, ...] = ()
    note: str = ""                            # which take of how many, if it can come out differently
    left_out: tuple[LeftOut, ...] = ()
    is_whole: bool = True

    @property
    def client_leg(self) -> Leg:
        """The leg of the client that asked first."""
        return self.legs[0]

    @property
    def upstream_legs(self) -> tuple[Leg, ...]:
        """The legs that servers on the way started, in the order they started."""
        return self.legs[1:]

    @property
    def question(self) -> Question | None:
        """What the client asked."""
        return self.client_leg.question

    @property
    def hops(self) -> tuple[Hop, ...]:
        """Every hop of every leg, in order of time."""
        return tuple(sorted((hop for leg in self.legs for hop in leg.hops), key=lambda hop: hop.sighting.time_ns))

    @property
    def may_have_been_missed(self) -> bool:
        """May a message of this journey be in a frame that could not be read, or was not captured?"""
        return not self.is_whole or any(one.may_be_dns for one in self.left_out)

    @property
    def answered(self) -> bool:
        """Did a response to the client's query show anywhere? (`came_back`: did it reach where the query started?)"""
        return self.client_leg.response is not None

    @property
    def came_back(self) -> bool:
        """Did the response reach the interface where the client's query was first seen?"""
        return self.client_leg.came_back
