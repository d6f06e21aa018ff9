"""The questions of notebook 03, and what it says: one query and its response, as the pod sees them."""

from __future__ import annotations

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.errors import NotFound
from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.quiz import Quiz, number
from kitlib.sighting import Record, Sighting
from lessons.evidence import point_title, query_sightings, response_of, where_it_goes

FLAGS = {"qr": "says that this is a response", "aa": "says that the server is the authority for the name",
         "rd": "asks for recursion", "ra": "says that the server offers recursion"}


def where_dig_asks(lab: Lab, pod: Pod) -> Quiz:
    """Ask where dig sends its query (predict), by the pod's resolv.conf."""
    nameserver, nodes_own = (place.resolv_conf().nameservers_asked[0] for place in (pod, pod.node))
    return where_it_goes(
        lab, pod, "Where does dig in the pod send its query?", lambda: nameserver, {
            "coredns": "CoreDNS will answer, but the pod's resolv.conf does not know its pods.",
            nodes_own: f"{nodes_own} is what {pod.node.title} itself asks; the pod has a resolv.conf of its own.",
            lab.topology.dns_service: f"dnsPolicy {pod.dns_policy} does not give this pod the cluster's DNS Service.",
            "127.0.0.1": "No nameserver runs in the pod. Look at the nameserver line in its resolv.conf."},
        hint="dig reads the nameserver from the pod's /etc/resolv.conf.",
        solution=f"The nameserver line in the pod's resolv.conf says {nameserver}.")


def ttl_of_the_answer(seen: Capture) -> Quiz:
    """Ask for the time to live of the record, in seconds; not that of the packet (check)."""
    def hint_for(given: int) -> str:
        return next((f"{given} is the TTL in the IP header of the {hop.direction} at {point_title(hop.sighting)}: it "
                     "counts routers. The record has a TTL of its own, in seconds."
                     for hop in seen.journey().client_leg.hops if hop.sighting.ttl == given), "")

    def record() -> Record:
        if not response_of(seen).answers:
            raise NotFound("This response holds no record.")
        return response_of(seen).answers[0]

    return Quiz(
        "For how many seconds may the answer be kept? (The TTL of its record.)",
        right=lambda: record().ttl, hints=hint_for, read=number,
        hint="In dig's answer section it stands between the name and IN.",
        solution=lambda: "The answer says: {0.name} {0.ttl} IN {0.type} {0.data}".format(record()))


def rcode_of_the_answer(seen: Capture) -> Quiz:
    """Ask for the rcode (check)."""
    meanings = {"NOERROR": "would mean that the question was understood and the name is there",
                "NXDOMAIN": "would mean that there is no such name", "SERVFAIL": "would mean that the server failed",
                "REFUSED": "would mean that the server did not want to answer"}

    def records() -> str:
        return f"answer records in this response: {len(response_of(seen).answers)}"

    return Quiz(
        "What is the rcode of the response?", right=lambda: response_of(seen).rcode, choices=set(meanings),
        hints=lambda given: f"{given.upper()} {meanings[given.upper()]}; {records()}.", hint="dig calls it status.",
        solution=lambda: f"dig calls it status; {records()}.")


def flag_of_recursion(seen: Capture) -> Quiz:
    """Ask which flag says that recursion was available (check)."""
    def hint_for(given: str) -> str:
        query, response = query_sightings(seen)[0].message.flags, response_of(seen).flags
        if given not in FLAGS:
            return f"Set are: {' '.join(response)}."
        return f"{given} {FLAGS[given]}; it is {'' if given in query else 'not '}set in the query and " \
               f"{'' if given in response else 'not '}set in the response."

    return Quiz(
        "Which flag of the response says that the server offers recursion?",
        right=lambda: next((flag for flag in response_of(seen).flags if flag == "ra"), "none of them"),
        choices={*FLAGS, "none of them"},
        hints=hint_for, hint="Only the server can say it: the query does not have this flag.",
        solution=lambda: f"The response has {' '.join(response_of(seen).flags)}, the query "
                         f"{' '.join(query_sightings(seen)[0].message.flags)}.")


def what_the_pod_sees(query: Sighting, response: Sighting) -> note:
    """Say what the pod learns from one query and its response: one address, and how long it took."""
    waited = (response.time_ns - query.time_ns) // 1000
    return note(f"From this vantage point one address answers, **{response.source.address}**, after **{waited} µs**. "
                "The pod cannot see more: not that there are several CoreDNS pods, not which of them it was.")


def read_the_answer(query: Sighting, response: Sighting) -> note:
    """Say what the response tells: how long it may be kept, whether the cookie came back, how many machines it met."""
    has_cookie = dict(response.message.edns.options) == dict(query.message.edns.options)
    return note(f"The record may be kept for **{response.message.answers[0].ttl} s**: CoreDNS keeps answers no longer "
                f"than that. The response {'returns the cookie' if has_cookie else 'does not return the cookie'}, "
                f"and its IP header arrives with TTL **{response.ttl}**: "
                f"{64 - response.ttl} machines took one off on the way, if it started at 64.")
