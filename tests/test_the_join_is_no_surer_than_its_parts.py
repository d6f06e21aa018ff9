"""What a resolver would not accept is no answer; what only looks different is the same."""

from __future__ import annotations

from dataclasses import replace

from kitlib.drawings.ladder import ladder
from kitlib.journey.join import join
from kitlib.journey.model import Journey
from kitlib.sighting import Frame, Message, Question, Sighting, Socket, VantagePoint

POD = VantagePoint("pod:default/a", "eth0", "worker", "pod", "a eth0")
CORE = VantagePoint("pod:kube-system/coredns", "eth0", "worker", "coredns", "coredns eth0")
ANY = VantagePoint("node:worker", "any", "worker", "node", "worker any")
CLIENT, SERVICE, COREDNS = Socket("10.244.1.2", 40000), Socket("10.96.0.10", 53), Socket("10.244.1.9", 53)


def seen(point: VantagePoint, at_us: int, source: Socket, destination: Socket, name: str = "www.example.com.",
         ttl: int = 64, index: int | None = None) -> Sighting:
    message = Message(1, ("qr",) if source.port == 53 else (), "QUERY", "NOERROR", (Question(name, "A"),))
    return Sighting(point, at_us * 1000, "UDP", source, destination, ttl, 1 + source.port, message, index)


def test_an_answer_from_a_socket_that_was_not_asked_does_not_count() -> None:
    """The same-node fault of a bridge that does not call iptables: CoreDNS answers under its own address."""
    at_pod = [seen(POD, 0, CLIENT, SERVICE), seen(POD, 90, COREDNS, CLIENT)]
    at_coredns = [seen(CORE, 20, CLIENT, COREDNS, ttl=63), seen(CORE, 80, COREDNS, CLIENT)]
    for sightings in (at_pod, at_pod + at_coredns):
        journey, = join(sightings)
        assert not journey.came_back and journey.client_leg.refused[-1].sighting.server == COREDNS
        drawing = ladder(journey)
        assert "Refused: 10.96.0.10:53 was asked, but 10.244.1.9:53 answered" in drawing.text
        assert "the client does not take it" in drawing.text


def test_an_answer_under_the_address_that_was_asked_counts() -> None:
    journey, = join([seen(POD, 0, CLIENT, SERVICE), seen(POD, 90, SERVICE, CLIENT)])
    assert journey.came_back and not journey.client_leg.refused


def test_names_compare_without_case() -> None:
    journey, = join([seen(POD, 0, CLIENT, SERVICE, "wWw.ExAmple.com."), seen(POD, 90, SERVICE, CLIENT)])
    assert journey.came_back


def test_the_class_is_part_of_the_question() -> None:
    query, response = seen(POD, 0, CLIENT, SERVICE), seen(POD, 90, SERVICE, CLIENT)
    chaos = replace(query.message, questions=(Question("www.example.com.", "A", "CH"),))
    assert str(chaos.question) == "www.example.com. CH A"
    assert len(join([replace(query, message=chaos), response])) == 2


def one_sending(first: Sighting, second: Sighting) -> Journey:
    journey, = join([first, second])
    assert [hop.attempt for hop in journey.hops] == [1, 1]
    return journey


def test_a_packet_at_two_interfaces_of_one_capture_is_one_sending() -> None:
    one_sending(seen(ANY, 0, CLIENT, SERVICE, index=2), seen(ANY, 9, CLIENT, SERVICE, index=3))
    first, second = (replace(seen(ANY, at, CLIENT, SERVICE), link=Frame(at, at, 1, b"", name))
                     for at, name in ((1, "veth1"), (2, "eth0")))
    one_sending(first, second)


def test_a_packet_with_another_ip_id_was_sent_again() -> None:
    """One sending was lost behind the pod, the other was not seen there: the capture had begun too late for it."""
    again = replace(seen(CORE, 20, CLIENT, SERVICE, ttl=63), ip_id=9)
    journey, = join([seen(POD, 0, CLIENT, SERVICE), again])
    assert [hop.attempt for hop in journey.hops] == [1, 2]


def test_what_starts_behind_another_cable_was_caused_by_somebody_else() -> None:
    """The second CoreDNS asks the same while the first is asked, by a client at whose interface nobody listened."""
    other = replace(CORE, place="pod:kube-system/b")
    client, upstream = Socket("10.244.1.8", 5), Socket("172.20.0.2", 53)
    asked = [seen(POD, 0, CLIENT, SERVICE), seen(POD, 90, SERVICE, CLIENT)]
    first, second = join([*asked, seen(other, 20, client, upstream), seen(other, 60, upstream, client)])
    assert [len(journey.legs) for journey in (first, second)] == [1, 1]


def test_two_servers_asked_from_one_socket_are_no_rewrite() -> None:
    """As musl asks: the same message from the same socket to all its nameservers at once."""
    second = Socket("10.96.0.11", 53)
    unanswered, answered = join([seen(POD, 0, CLIENT, SERVICE), seen(POD, 1, CLIENT, second),
                                 seen(POD, 9, second, CLIENT)])
    assert not unanswered.answered and answered.came_back and not answered.client_leg.refused
    assert [hop.rewrites for hop in (*unanswered.hops, *answered.hops)] == [()] * 3


def test_the_first_answer_to_come_home_is_the_one_that_counts() -> None:
    first, late = seen(POD, 50, SERVICE, CLIENT), seen(POD, 90, SERVICE, CLIENT)
    late = replace(late, message=replace(late.message, rcode="NXDOMAIN"))
    journey, = join([seen(POD, 0, CLIENT, SERVICE), first, late])
    assert journey.client_leg.response == first.message and "there and back within 50 µs" in ladder(journey).text


def test_only_what_came_there_and_back_is_said_to() -> None:
    alone, = join([seen(POD, 90, SERVICE, CLIENT)])
    assert "only the response was captured" in ladder(alone).text
    lost, = join([seen(POD, 0, CLIENT, COREDNS), seen(CORE, 20, CLIENT, COREDNS), seen(CORE, 30, COREDNS, CLIENT)])
    assert ladder(lost).text.startswith("www.example.com. A: the response was last seen at coredns eth0")


def test_what_is_no_ordinary_question_is_not_drawn_as_one() -> None:
    query = seen(POD, 0, CLIENT, SERVICE)
    message = replace(query.message, opcode="UPDATE", questions=(Question("example.", "SOA", "CH"),))
    assert "query (UPDATE) CH SOA example." in ladder(join([replace(query, message=message)])[0]).text


def test_a_query_with_several_questions_says_so() -> None:
    query = seen(POD, 0, CLIENT, SERVICE)
    both = (Question("a.", "A"), Question("b.", "A"))
    journey, = join([replace(query, message=replace(query.message, questions=both))])
    assert "query A a. and 1 more" in ladder(journey).text
