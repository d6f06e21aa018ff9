"""No journey holds what does not belong to it, whatever happens at once; what is called ambiguous truly is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.journey.join import join
from kitlib.sighting import Message, Question, Sighting, Socket, VantagePoint

QUESTIONS = (Question("www.example.com.", "A"), Question("www.example.com.", "AAAA"), Question("a.example.", "A"))
SERVICE, GATEWAY, UPSTREAM = Socket("10.96.0.10", 53), Socket("172.20.0.1", 53), Socket("172.20.0.53", 53)
NODE = {"worker": "172.20.0.4", "cp": "172.20.0.2"}
US, SECOND = 1_000, 1_000_000_000


def _point(place: str, interface: str, machine: str) -> VantagePoint:
    return VantagePoint(place, interface, machine, place.partition(":")[0], f"{place} {interface}")


POINTS = {
    **{f"{pod}-eth0": _point(f"pod:default/{pod}", "eth0", machine) for pod, machine in
       (("pod0", "worker"), ("pod1", "worker"), ("near0", "cp"), ("near1", "cp"), ("core0", "cp"), ("core1", "cp"))},
    **{f"{pod}-veth": _point(f"node:{machine}", f"veth{pod}", machine) for pod, machine in
       (("pod0", "worker"), ("pod1", "worker"), ("near0", "cp"), ("near1", "cp"), ("core0", "cp"), ("core1", "cp"))},
    **{f"{name}-eth0": _point(f"container:{name}", "eth0", name) for name in ("outside0", "outside1", "upstream")},
    **{f"{node}-{name}": _point(f"node:{node}", name, node) for node in NODE for name in ("eth0", "any")},
    "bridge": _point("host", "br0", "host"),
}
INDEX = {name: number for number, name in enumerate(POINTS, 10)}


@dataclass(frozen=True)
class Ask:
    """What one client does; `losses`: after how many interfaces each sending's query and response vanish."""

    kind: str
    host: int
    port: int
    id: int
    question: int
    start: int                        # in steps of 150 µs
    session: int                      # sessions are a minute apart
    endpoint: int
    has_ip_id: bool
    cached: bool
    slow: bool                        # the resolver answers only after the client has asked again
    losses: tuple[tuple[int | None, int | None], ...]
    upstream_loss: int | None
    again: bool                       # the same socket and id once more, after all is over


@dataclass(frozen=True)
class Habits:
    """How the servers of a world behave."""

    resolver_keeps_id: bool
    proxy_keeps_id: bool
    has_proxy: bool
    servers_have_ip_id: bool


class Step(NamedTuple):
    point: str
    interface: str                    # tells apart the interfaces of an "any" capture
    routers: int
    client: Socket
    server: Socket


@dataclass
class Sent:
    """The truth about one message sent."""

    leg: int
    attempt: int
    sightings: list[Sighting]


def _along(routers: int, client: Socket, server: Socket, *names: str) -> list[Step]:
    return [Step(*(name.split("/") * 2)[:2], routers, client, server) for name in names]


def way(kind: str, host: int, client: Socket, core: int, masquerade: int) -> list[Step]:
    """The interfaces from a client to the server that answers it, in the topology of kind."""
    endpoint, behind = Socket(f"10.244.0.{core + 2}", 53), Socket(NODE["worker"], masquerade)
    last = (f"cp-any/core{core}-veth", f"core{core}-veth", f"core{core}-eth0")
    into_cp = ("bridge", "cp-any/cp-eth0", "cp-eth0")
    out = ("worker-any/worker-eth0", "worker-eth0", *into_cp)
    if kind == "pod":
        return [*_along(0, client, SERVICE, f"pod{host}-eth0", f"worker-any/pod{host}-veth", f"pod{host}-veth"),
                *_along(1, client, endpoint, *out), *_along(2, client, endpoint, *last)]
    if kind == "near":
        return [*_along(0, client, SERVICE, f"near{host}-eth0", f"cp-any/near{host}-veth", f"near{host}-veth"),
                *_along(1, client, endpoint, *last)]
    if kind == "outside":
        return [*_along(0, client, SERVICE, f"outside{host}-eth0", "bridge", "worker-any/worker-eth0", "worker-eth0"),
                *_along(1, behind, endpoint, *out), *_along(2, behind, endpoint, *last)]
    if kind == "node":
        return [*_along(0, client, endpoint, *out), *_along(1, client, endpoint, *last)]
    if kind == "cp":
        return _along(0, client, endpoint, *last)
    if kind == "default":
        return _along(0, client, GATEWAY, f"pod{host}-eth0", f"worker-any/pod{host}-veth", f"pod{host}-veth")
    assert kind == "core"
    return _along(0, client, GATEWAY, *last[::-1])


ADDRESS = {"pod": "10.244.2.{}", "near": "10.244.0.1{}", "outside": "172.20.0.10{}", "node": NODE["worker"],
           "cp": "10.244.0.1", "default": "10.244.2.{}"}


class Simulation:
    """Clients, CoreDNS, a proxy on each node and an upstream resolver: what happened, not what a joiner is told."""

    def __init__(self, habits: Habits, someone_on_the_node: bool) -> None:
        self.habits, self.someone_on_the_node = habits, someone_on_the_node
        self.numbers, self.leg_numbers = count(20000), count(1)
        self.sent: list[Sent] = []
        self.cause: dict[tuple[int, int], tuple[int, int] | None] = {}      # (leg, attempt) to its cause
        self.ip_ids: Counter[tuple[int, Question]] = Counter()
        self.flows: dict[tuple, tuple[int, int]] = {}
        self.taken: set[tuple] = set()

    def send(self, leg: tuple[int, int], steps: list[Step], at: int, id: int, question: Question, has_ip_id: bool,
             loss: int | None, response: bool = False) -> int | None:
        """Send one message along `steps`; the time when it arrives, or None if it is lost on the way.

        Equal IP ids are everywhere, but never on two packets with the same message.
        """
        self.ip_ids[id, question] += 1
        ip_id, seen = self.ip_ids[id, question] if has_ip_id else 0, []
        way = steps[::-1] if response else steps
        for step in way if loss is None else way[:loss]:
            at += 7 * US
            passed = steps[-1].routers - step.routers if response else step.routers
            ends = (step.server, step.client) if response else (step.client, step.server)
            seen.append(Sighting(POINTS[step.point], at, "UDP", *ends, 64 - passed, ip_id,
                                 Message(id, ("qr",) if response else (), "QUERY", "NOERROR", (question,)),
                                 INDEX[step.interface] if step.point.endswith("any") else None))
        self.sent.append(Sent(*leg, seen))
        return None if loss is not None and loss < len(way) else at

    def client(self, ask: Ask) -> None:
        question = QUESTIONS[ask.question] if ask.question < 3 else Question(f"n{ask.question}.example.", "A")
        socket = Socket(ADDRESS[ask.kind].format(ask.host), 40000 + ask.port)
        leg, id = next(self.leg_numbers), ask.id
        if not ask.has_ip_id:
            id += 10 * list(ADDRESS).index(ask.kind) + 100 * ask.host     # the coincidence that kitlib.legs admits
        if ask.kind == "default" and self.someone_on_the_node:
            question = Question(f"other.{question.name}", question.type)      # the coincidence that kitlib.join admits
        while (socket, ask.kind, id, question) in self.taken:
            id += 1000              # the same query twice at once from one socket is no second query
        self.taken.add((socket, ask.kind, id, question))
        core, masquerade = self.flows.setdefault((socket, ask.kind), (ask.endpoint, 30000 + leg))     # conntrack
        if ask.kind == "node":
            socket = Socket(socket.address, masquerade)
        steps = way(ask.kind, ask.host, socket, core, masquerade)
        at, attempts = ask.session * 60 * SECOND + ask.start * 150 * US, count(1)
        for losses in (ask.losses[:2] if ask.slow else ask.losses, ((None, None),))[:2 if ask.again else 1]:
            at = self.exchange(ask, (leg, core), steps, at, id, question, losses, attempts) + SECOND

    def exchange(self, ask: Ask, who: tuple[int, int], steps: list[Step], at: int, id: int, question: Question,
                 losses: tuple, attempts: Iterator[int]) -> int:
        (leg, core), answered, over = who, inf, at
        for query_loss, response_loss in losses:
            if answered <= at:
                break
            cause = (leg, next(attempts))
            self.cause[cause] = None
            arrived = self.send(cause, steps, at, id, question, ask.has_ip_id, query_loss)
            if arrived is not None:
                leaves = self.resolve(ask, cause, core, arrived + 40 * US, id, question)
                leaves += 6 * SECOND if ask.slow else 0
                back = self.send(cause, steps, leaves, id, question, self.habits.servers_have_ip_id, response_loss,
                                 response=True)
                answered, over = min(answered, back or inf), max(over, leaves)
            at += 5 * SECOND
        return max(over, at)

    def resolve(self, ask: Ask, cause: tuple[int, int], core: int, at: int, id: int, question: Question) -> int:
        if ask.kind == "default":
            return self.proxy("worker", cause, at, id, question, ask.upstream_loss) or at + SECOND
        if ask.cached:
            return at + 20 * US
        answer = self.core(core, cause, at, id, question, ask.upstream_loss)
        if answer is None:
            at += 2 * SECOND
            answer = self.core(core, cause, at, id, question, ask.upstream_loss)
        return answer or at + SECOND

    def core(self, core: int, cause: tuple[int, int], at: int, id: int, question: Question,
             loss: int | None) -> int | None:
        leg = next(self.leg_numbers)
        id = id if self.habits.resolver_keeps_id else next(self.numbers)
        socket = Socket(f"10.244.0.{core + 2}", 50000 + (leg if self.habits.resolver_keeps_id else 0))
        self.cause[leg, 1] = cause
        has_ip_id = self.habits.servers_have_ip_id
        if self.habits.has_proxy:
            steps = way("core", 0, socket, core, 0)
            arrived = self.send((leg, 1), steps, at, id, question, has_ip_id, None)
            leaves = self.proxy("cp", (leg, 1), arrived + 50 * US, id, question, loss)
        else:
            behind = Socket(NODE["cp"], 20000 + leg)
            steps = [step._replace(server=UPSTREAM) for step in way("core", 0, socket, core, 0)]
            steps += _along(1, behind, UPSTREAM, "cp-any/cp-eth0", "cp-eth0", "bridge", "upstream-eth0")
            arrived = self.send((leg, 1), steps, at, id, question, has_ip_id, loss and loss + 3)
            leaves = arrived and arrived + 500 * US
        if leaves is None:
            return None
        return self.send((leg, 1), steps, leaves, id, question, has_ip_id, None, response=True) + 30 * US

    def proxy(self, node: str, cause: tuple[int, int], at: int, id: int, question: Question,
              loss: int | None) -> int | None:
        leg = next(self.leg_numbers)
        id = id if self.habits.proxy_keeps_id else next(self.numbers)
        self.cause[leg, 1] = cause
        steps = _along(0, Socket(NODE[node], 20000 + leg), UPSTREAM, f"{node}-any/{node}-eth0", f"{node}-eth0",
                       "bridge", "upstream-eth0")
        has_ip_id = self.habits.servers_have_ip_id
        arrived = self.send((leg, 1), steps, at, id, question, has_ip_id, loss)
        if arrived is None:
            return None
        return self.send((leg, 1), steps, arrived + 500 * US, id, question, has_ip_id, None, response=True) + 30 * US


class Truth:
    """What a perfect joiner would say of the sightings at `points`."""

    def __init__(self, world: Simulation, points: frozenset[str]) -> None:
        listening = {POINTS[name] for name in points}
        seen = [(sent, [one for one in sent.sightings if one.point in listening]) for sent in world.sent]
        visible = {sent.leg for sent, sightings in seen if sightings}
        self.leg_of: dict[int, tuple[int, int]] = {}        # id(sighting) to (leg, which use of its socket and id)
        self.sightings: list[Sighting] = []
        uses: dict[tuple[int, int], tuple[int, int]] = {}
        by_leg: dict[int, list[tuple[Sent, list[Sighting]]]] = {}
        for sent, sightings in seen:
            # A client of which nothing at all is seen cannot be known to exist.
            if sightings and _root(world, (sent.leg, sent.attempt))[0] in visible:
                by_leg.setdefault(sent.leg, []).append((sent, sightings))
        for leg, messages in by_leg.items():
            self._split(leg, messages, uses)
        self.parent = {}
        for (leg, attempt), use in uses.items():
            cause = world.cause[leg, attempt]
            while cause is not None and cause not in uses:
                cause = world.cause[cause]
            self.parent[use] = uses[cause] if cause else None

    def _split(self, leg: int, messages: list, uses: dict) -> None:
        """The same message again is the same leg, unless the answer was seen where the repetition starts."""
        use, answers = 1, []
        for sent, sightings in sorted(messages, key=lambda one: one[0].attempt):
            first = sightings[0]
            if not first.message.is_response and any(
                    (one.point, one.interface_index, one.client) == (first.point, first.interface_index, first.client)
                    and one.time_ns < first.time_ns for one in answers):
                use, answers = use + 1, []
            uses[leg, sent.attempt] = (leg, use)
            answers += sightings if first.message.is_response else []
            self.sightings += sightings
            self.leg_of |= {id(one): (leg, use) for one in sightings}

    def root(self, leg: tuple[int, int]) -> tuple[int, int]:
        return leg if self.parent[leg] is None else self.root(self.parent[leg])

    def spans(self) -> dict[tuple[int, int], tuple[Question, float, float]]:
        """For each tree: what it asks, its first sighting, and its last: never, if a part of it was not answered."""
        open_legs = {self.leg_of[id(one)] for one in self.sightings} - {
            self.leg_of[id(one)] for one in self.sightings if one.message.is_response}
        spans: dict[tuple[int, int], tuple[Question, float, float]] = {}
        for one in self.sightings:
            leg = self.leg_of[id(one)]
            root = self.root(leg)
            _, start, end = spans.get(root, (None, inf, -inf))
            spans[root] = (one.message.question, min(start, one.time_ns),
                           inf if leg in open_legs else max(end, one.time_ns))
        return spans


def _root(world: Simulation, cause: tuple[int, int]) -> tuple[int, int]:
    while world.cause[cause] is not None:
        cause = world.cause[cause]
    return cause


loss = st.none() | st.integers(1, 11)
asks = st.builds(
    Ask, kind=st.sampled_from(list(ADDRESS)), host=st.integers(0, 1), port=st.integers(1, 2), id=st.integers(1, 3),
    question=st.integers(0, 2), start=st.integers(0, 12), session=st.integers(0, 1), endpoint=st.integers(0, 1),
    has_ip_id=st.booleans(), cached=st.booleans(), slow=st.sampled_from((False, False, False, True)),
    losses=st.lists(st.tuples(st.none() | loss, st.none() | loss), min_size=1, max_size=3).map(tuple),
    upstream_loss=st.none() | st.none() | st.integers(1, 3), again=st.sampled_from((False, False, True)))
habits = st.builds(Habits, st.booleans(), st.booleans(), st.booleans(), st.booleans()).map(
    lambda drawn: Habits(drawn.resolver_keeps_id, drawn.proxy_keeps_id, drawn.has_proxy, drawn.servers_have_ip_id
                         or (drawn.resolver_keeps_id and not drawn.has_proxy)))     # the same coincidence
everywhere = frozenset(POINTS)
points = st.just(everywhere) | st.frozensets(st.sampled_from(sorted(POINTS)), min_size=1)


def simulated(habits: Habits, clients: list[Ask]) -> Simulation:
    world = Simulation(habits, any(client.kind == "node" for client in clients))
    for client in clients:
        world.client(client)
    return world


@settings(max_examples=200)
@given(habits, st.lists(asks, min_size=1, max_size=7), points, st.randoms(use_true_random=False))
def test_nothing_is_joined_wrongly_whatever_happens_at_once(habits, clients, points, random):
    truth = Truth(simulated(habits, clients), points)
    random.shuffle(truth.sightings)
    journeys = join(truth.sightings)
    assert sorted(id(hop.sighting) for one in journeys for hop in one.hops) == sorted(map(id, truth.sightings))
    for journey in journeys:
        labels = []
        for leg in journey.legs:
            label, = {truth.leg_of[id(hop.sighting)] for hop in leg.hops}
            labels.append(label)
        for leg, label in zip(journey.legs[1:], labels[1:], strict=True):
            assert leg.parent is not None and truth.parent[label] == labels[leg.parent]
        assert journey.legs[0].parent is None
