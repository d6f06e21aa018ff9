"""A cause of a lost query, and what shows that it holds or does not.

Causes that only a live lab can have: no recording holds them, so nobody could look for them there.

Why a query got lost: ten causes, each with the evidence for or against it that the lab itself gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kitlib.journey.model import Leg
from workshop.case import CIRCLE, Case, Fate


class Finding(NamedTuple):
    """Does a cause hold, and what shows that it does or does not."""

    holds: bool
    words: str


class Cause(NamedTuple):
    """A cause: its name as faults are called, what one says of it, and how to look whether it holds."""

    name: str
    words: str
    look: Callable[[Case], Finding]


def _strict_rp_filter(case: Case) -> Finding:
    for node, walk, _ in case.udp:
        arrived, source = walk.packet.in_interface, walk.packet.source
        back = case.netfilter(node).route(source).device
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


LIVE_CAUSES = (
    Cause("rp-filter", "a node drops what came in by another way than its answer would take: rp_filter is strict",
          _strict_rp_filter),
    Cause("forwarding-loop", "two nodes send the query to each other until its TTL is used up", _circle),
    Cause("resolv-conf-of-the-node", "the pod asks another server than the DNS Service", _other_server),
    Cause("second-answer-lost", "of two queries from one port one is lost, and asked again after five seconds",
          _second_lost),
    Cause("tcp-answer-lost", "TCP connects, but the big segments with the answer are lost on their way back",
          _answer_lost),
)


ENDS = ("is dropped", "is rejected")
CONTAINERS = ("docker", "container", "ls")


def causes_of(case: Case) -> tuple[str, ...]:
    """The names of the causes that hold; empty if all is well."""
    return tuple(cause.name for cause in causes_for(case) if cause.look(case).holds)


def causes_for(case: Case) -> tuple[Cause, ...]:
    """What may be wrong in this lab: on a live one more is broken than a recording could hold."""
    return CAUSES + LIVE_CAUSES if case.lab.backend.live else CAUSES


def _no_endpoints(case: Case) -> Finding:
    behind = " and ".join(case.endpoints) or "nobody"
    refused = next((fate for fate in case.udp + case.tcp if "has no endpoints" in rule_of(fate)), None)
    if refused and case.endpoints:       # somebody is there, and the node has not heard of it
        return Finding(True, f"On {refused.node.title}, `{rule_of(refused)}` refuses it.")
    return Finding(not case.endpoints, f"`kubectl get endpointslices -A -o json` lists {behind} behind {case.service}.")


def _rules_missing(case: Case) -> Finding:
    node, kept = case.pod.node.title, case.chosen == {case.service}
    if _no_endpoints(case).holds:
        return Finding(False, f"There is nobody to send the query to, and {node} has rules that say so: look for "
                              "`has no endpoints` in `iptables-save`.")
    then = "stays" if kept else f"becomes {' or '.join(sorted(case.chosen))}"
    return Finding(kept, f"In PREROUTING of {node}'s nat table the destination {case.service} {then}.")


def rule_of(fate: Fate) -> str:
    """The rule or policy that ends the packet's way; "" if none does, or only what nobody can tell decides."""
    last = fate.walk.matched[-1] if fate.walk.end in ENDS and not fate.walk.assumptions else None
    return "" if last is None else last.rule.text if last.rule else f"the policy of {last.chain}, DROP"


def _dropped(fates: tuple[Fate, ...]) -> Iterator[tuple[str, str]]:
    """Where a rule or policy drops the packet, and which; a REJECT tells the sender and is not meant."""
    return ((fate.node.title, rule_of(fate)) for fate in fates if rule_of(fate) and "REJECT" not in rule_of(fate))


def _forward_drop(case: Case) -> Finding:
    found = next(_dropped(case.udp), None)
    if found:
        return Finding(True, f"On {found[0]}, {found[1]} drops it: see `iptables-save`.")
    return Finding(False, f"No rule and no policy on {_nodes(case)} drops a UDP packet of this query: follow FORWARD "
                          "in `iptables-save`.")


def _tcp_blocked(case: Case) -> Finding:
    found = next(_dropped(case.tcp), None)
    if found and not any(_dropped(case.udp)):
        return Finding(True, f"On {found[0]}, `{found[1]}` drops TCP, and nothing drops UDP.")
    return Finding(False, "TCP fares as UDP does: no rule on the way tells them apart.")


def _nodes(case: Case) -> str:
    return " and ".join(dict.fromkeys([case.pod.node.title, *(node.title for node, *_ in case.udp)]))


def _ip_forward(case: Case) -> Finding:
    stopped = next((node.title for node, _, lost in case.udp if "ip_forward is 0" in lost), None)
    if stopped:
        return Finding(True, f"`sysctl net.ipv4.ip_forward` on {stopped} says 0: it takes packets for itself only.")
    return Finding(False, f"`sysctl net.ipv4.ip_forward` says 1 on {_nodes(case)}.")


def _blackhole(case: Case) -> Finding:
    lost = next((f"{node.title}: {lost}" for node, _, lost in case.udp
                 if lost and "ip_forward" not in lost and CIRCLE not in lost), None)
    return Finding(bool(lost), f"{lost}." if lost else f"`ip route` on {_nodes(case)} has a way to every CoreDNS pod.")


def _wrong_node(case: Case) -> Finding:
    wrong, right = [], []
    for address in case.endpoints:
        home = next((pod.node for pod in case.lab.pods() if pod.address == address), None)
        via = [route.via for route in case.pod.node.routes() if home and route.destination == home.pod_range]
        if home and via and home != case.pod.node:
            (right if via == [home.address] else wrong).append(f"{home.pod_range} via {via[0]}")
    said = f"{case.pod.node.title} sends {', '.join(dict.fromkeys(wrong or right))}"
    return Finding(bool(wrong), f"{said}, which is not the node of those pods." if wrong else
                   f"{said}: the node that has those pods." if right else "There is no CoreDNS pod to send to.")


def _dead_endpoint(case: Case) -> Finding:
    dead, alive = case.silent & set(case.endpoints) & case.chosen, case.reached - case.silent
    if dead:
        return Finding(True, f"Queries reached {_and(dead)} and nothing came back; the rules still choose it.")
    return Finding(False, f"{_and(alive)} got a query and answered." if alive else
                   "No query reached a CoreDNS pod that the rules still choose." if case.reached else
                   "No CoreDNS pod got the query, so none of them is to blame.")


def _stale(case: Case) -> Finding:
    known = {flow.reply.source.address for flow in case.flows}
    stale = (known - case.chosen) & case.silent
    if stale:
        return Finding(True, f"`conntrack -L -p udp` on {case.pod.node.title} still sends a flow to {_and(stale)}, "
                             f"which does not answer; for a new flow the rules choose {_and(case.chosen)}.")
    return Finding(False, f"`conntrack -L -p udp` on {case.pod.node.title} remembers no flow to a pod that does not "
                          "answer and that the rules would not choose today.")


def _and(addresses: Iterable[str]) -> str:
    return " and ".join(sorted(addresses))


def _upstream(case: Case) -> Finding:
    asked = [leg for journey in case.own_journeys for leg in journey.upstream_legs]
    waiting = [leg for leg in asked if leg.response is None]
    if not asked or not waiting:
        return Finding(False, "CoreDNS asked a server outside, and that answered." if asked else
                       "CoreDNS asked no server outside.")
    server = waiting[-1].endpoint.address
    name = next((at.name for at in case.lab.containers if at.address == server), "")
    listed = case.lab.run("host", CONTAINERS).stdout if name else ""
    up = any(line.endswith(name) and "(Paused)" not in line for line in listed.splitlines())
    return Finding(case.lab.backend.live or not up, f"CoreDNS asked {server} {name}, and nobody saw a response.")


CAUSES = (
    Cause("no-endpoints", "nobody stands behind the DNS Service: it has no endpoints", _no_endpoints),
    Cause("service-rules-missing", "the node has no rule for the address of the DNS Service", _rules_missing),
    Cause("forward-drop", "a node drops what it should forward: a rule or a policy of FORWARD", _forward_drop),
    Cause("ip-forward-off", "a node does not forward at all: ip_forward is off", _ip_forward),
    Cause("route-blackhole", "a node has no way to the CoreDNS pods: a route is missing or a blackhole", _blackhole),
    Cause("route-wrong-node", "a node sends packets for the CoreDNS pods to the wrong node", _wrong_node),
    Cause("one-endpoint-dead", "a CoreDNS pod gets queries and does not answer", _dead_endpoint),
    Cause("stale-conntrack", "a node remembers a choice that its rules no longer make", _stale),
    Cause("tcp-blocked", "TCP to port 53 is dropped, while UDP passes", _tcp_blocked),
    Cause("upstream-down", "the server that CoreDNS asks does not answer", _upstream),
)
