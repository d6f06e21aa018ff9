"""Causes that only a live lab can have: no recording holds them, so nobody could look for them there."""

from __future__ import annotations

from kitlib.exercises.case import CIRCLE, Case
from kitlib.exercises.cause import Cause, Finding
from kitlib.journey import Leg


def _strict_rp_filter(case: Case) -> Finding:
    for node, walk, _ in case.udp:
        arrived, source = walk.packet.in_interface, walk.packet.source
        back = case.kernel(node).route(source).device
        if arrived == back:
            continue
        keys = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", arrived)]
        modes = [node.run("sysctl", key).stdout.split()[-1] for key in keys]
        if max(modes) == "1":
            return Finding(True, f"On {node.title} it comes in by {arrived}, but `ip route get {source}` leads out of "
                                 f"{back}; `sysctl {keys[modes.index('1')]}` says 1, strict.")
    return Finding(False, f"Wherever the query comes in, the route back to {case.pod.address} leads out of the same "
                          "interface: rp_filter has no reason to drop it.")


def _circle(case: Case) -> Finding:
    found = next((f"On {node.title}, {lost}." for node, _, lost in case.udp if CIRCLE in lost), "")
    ttl = case.unanswered.farthest.sighting.ttl if found and case.unanswered else None
    seen = f" Its TTL was {ttl} when it was last seen." if ttl else ""
    return Finding(bool(found), found + seen if found else "No node sends it back to one that has had it.")


def _other_server(case: Case) -> Finding:
    asked = case.pod.resolv_conf().nameservers_asked
    return Finding(case.service not in asked, f"`cat /etc/resolv.conf` in {case.pod.title} says: nameserver "
                   f"{' and '.join(asked)}; the DNS Service is {case.service}.")


def _second_lost(case: Case) -> Finding:
    for leg in (journey.client_leg for journey in case.own_journeys):
        same = [other for other in _legs(case) if other.client == leg.client and other.question != leg.question]
        if any(hop.attempt > 1 for hop in leg.queries) and any(other.response for other in same):
            return Finding(True, f"From port {leg.client.port} two queries were sent: {same[0].question.type} was "
                                 f"answered at once, {leg.question.type} only when it was asked again.")
    return Finding(False, "No query was sent twice from a port from which another was answered at once.")


def _legs(case: Case) -> list[Leg]:
    return [journey.client_leg for journey in case.own_journeys]


def _answer_lost(case: Case) -> Finding:
    for leg in _legs(case):
        if leg.responses and not leg.came_back and leg.responses[-1].sighting.point:
            return Finding(True, f"The response over {leg.hops[0].sighting.protocol} was last seen at "
                                 f"{leg.responses[-1].sighting.point.title}, on its way back.")
    return Finding(False, "Every response that was seen came back to the pod.")


CAUSES = (
    Cause("rp-filter", "a node drops what came in by another way than its answer would take: rp_filter is strict",
          _strict_rp_filter),
    Cause("forwarding-loop", "two nodes send the query to each other until its TTL is used up", _circle),
    Cause("resolv-conf-of-the-node", "the pod asks another server than the DNS Service", _other_server),
    Cause("second-answer-lost", "of two queries from one port one is lost, and asked again after five seconds",
          _second_lost),
    Cause("tcp-answer-lost", "TCP connects, but the big segments with the answer are lost on their way back",
          _answer_lost),
)
