"""Why a query may be lost: each cause, with the evidence for or against it that the lab itself gives.

CAUSES are those that were recorded. LIVE_CAUSES are looked for on a live lab only: no recording holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from kitlib.journey.model import Journey
from workshop.case import CIRCLE, Case, QueryEnd
from workshop.command_effects import CONTAINERS


class Finding(NamedTuple):
    """Whether a cause holds, and the evidence that shows it."""

    holds: bool
    evidence: str


class Cause(NamedTuple):
    """A cause: its name as faults are called, the sentence that a learner chooses, and how to look for it."""

    name: str
    sentence: str
    examine: Callable[[Case], Finding]


def causes_of(case: Case) -> tuple[str, ...]:
    """Return the names of the causes that hold; empty if all is well."""
    return tuple(cause.name for cause in causes_for(case) if cause.examine(case).holds)


def causes_for(case: Case) -> tuple[Cause, ...]:
    """Return the causes that this lab may have: a live one can be broken in more ways than a recording holds."""
    return CAUSES + LIVE_CAUSES if case.lab.backend.live else CAUSES


def offered_causes(case: Case) -> tuple[Cause, ...]:
    """Choose what a learner chooses from: the cause among others that the case has not, some of which no case has.

    Which, and in what order, goes by the case's label: nothing can be struck out after a few cases.
    """
    def mixed(causes: Iterable[Cause], purpose: str) -> list[Cause]:
        return sorted(causes, key=lambda cause: sha256(f"{case.label} {purpose} {cause.name}".encode()).digest())

    present = [cause for cause in causes_for(case) if cause.examine(case).holds]
    recorded, unused = ([cause for cause in mixed(causes, "choice") if cause not in present]
                        for causes in (CAUSES, LIVE_CAUSES))
    return tuple(mixed([*present, *recorded[:4], *unused[:3]], "place"))


def _no_endpoints(case: Case) -> Finding:
    behind = _and(case.endpoints) or "nobody"
    refused = next((end for end in case.udp_ends + case.tcp_ends if "has no endpoints" in _last_rule(end)), None)
    if refused and case.endpoints:       # somebody is there, and the node has not heard of it
        return Finding(True, f"On {refused.node.title}, `{_last_rule(refused)}` refuses it.")
    return Finding(not case.endpoints, f"`kubectl get endpointslices -A -o json` lists {behind} behind {case.service}.")


def _rules_missing(case: Case) -> Finding:
    node, is_kept = case.pod.node.title, case.chosen_servers == {case.service}
    if _no_endpoints(case).holds:
        return Finding(False, f"There is nobody to send the query to, and {node} has rules that say so: look for "
                              "`has no endpoints` in `iptables-save`.")
    then = "stays" if is_kept else f"becomes {' or '.join(sorted(case.chosen_servers))}"
    missed = next((step.why for end in case.udp_ends for step in end.path.steps if is_kept and step.rule
                   and "@service-ips" in step.rule.text), "")
    return Finding(is_kept, f"In PREROUTING of {node}'s nat table the destination {case.service} {then}"
                            f"{missed and f': {missed}'}.")


def _forward_drop(case: Case) -> Finding:
    found = next(_drops(case.udp_ends), None)
    if found:
        return Finding(True, f"On {found[0]}, {found[1]} drops it: see {_rules_listed(case)}.")
    return Finding(False, f"No rule and no policy on {_nodes(case)} drops a UDP packet of this query: follow FORWARD "
                          f"in {_rules_listed(case)}.")


def _tcp_blocked(case: Case) -> Finding:
    found = next(_drops(case.tcp_ends), None)
    if found and not any(_drops(case.udp_ends)):
        return Finding(True, f"On {found[0]}, `{found[1]}` drops TCP, and nothing drops UDP.")
    return Finding(False, "TCP passes wherever UDP does: no rule on the way makes a difference between them.")


def _ip_forward(case: Case) -> Finding:
    stopped = next((end.node.title for end in case.udp_ends if "ip_forward is 0" in end.loss), None)
    if stopped:
        return Finding(True, f"`sysctl net.ipv4.ip_forward` on {stopped} says 0: it takes packets for itself only.")
    return Finding(False, f"`sysctl net.ipv4.ip_forward` says 1 on {_nodes(case)}.")


NO_MATTER_OF_ROUTES = ("ip_forward", "rp_filter", CIRCLE)      # losses that have causes of their own


def _blackhole(case: Case) -> Finding:
    lost = next((f"{end.node.title}: {end.loss}" for end in case.udp_ends
                 if end.loss and not any(other in end.loss for other in NO_MATTER_OF_ROUTES)), None)
    return Finding(bool(lost), f"{lost}." if lost else f"`ip route` on {_nodes(case)} has a way to every CoreDNS pod.")


def _wrong_node(case: Case) -> Finding:
    wrong, right = [], []
    for address in case.endpoints:
        home = next((pod.node for pod in case.lab.pods() if pod.address == address), None)
        via = [route.via for route in case.pod.node.routes() if home and route.destination == home.pod_range]
        if home and via and home != case.pod.node:
            (right if via == [home.address] else wrong).append(f"{home.pod_range} via {via[0]}")
    sends = f"{case.pod.node.title} sends {', '.join(dict.fromkeys(wrong or right))}"
    return Finding(bool(wrong), f"{sends}, which is not the node of those pods." if wrong else
                   f"{sends}: the node that has those pods." if right else "There is no CoreDNS pod to send to.")


def _dead_endpoint(case: Case) -> Finding:
    dead = case.silent_servers & set(case.endpoints) & case.chosen_servers
    alive = case.reached_servers - case.silent_servers
    if dead:
        return Finding(True, f"Queries reached {_and(dead)} and nothing came back; the rules still choose it.")
    return Finding(False, f"{_and(alive)} got a query and answered." if alive else
                   "No query reached a CoreDNS pod that the rules still choose." if case.reached_servers else
                   "No CoreDNS pod got the query, so none of them is to blame.")


def _stale_connection(case: Case) -> Finding:
    known = {entry.reply.source.address for entry in case.connections}
    stale = (known - case.chosen_servers) & case.silent_servers
    if stale:
        return Finding(True, f"`conntrack -L -p udp` on {case.pod.node.title} still sends a flow to {_and(stale)}, "
                             f"which does not answer; for a new flow the rules choose {_and(case.chosen_servers)}.")
    return Finding(False, f"`conntrack -L -p udp` on {case.pod.node.title} remembers no flow to a pod that does not "
                          "answer and that the rules would not choose today.")


def _upstream_down(case: Case) -> Finding:
    legs = [leg for journey in case.own_journeys for leg in journey.upstream_legs]
    waiting = [leg for journey in case.own_journeys if not _is_served(journey) for leg in journey.upstream_legs
               if leg.response is None]
    if not waiting:
        return Finding(False, "CoreDNS asked a server outside, and that answered." if legs else
                       "CoreDNS asked no server outside.")
    server = waiting[-1].endpoint.address
    name = next((at.name for at in case.lab.containers if at.address == server), "")
    listed = case.lab.run("host", CONTAINERS).text if name else ""
    is_up = any(line.endswith(name) and "(Paused)" not in line for line in listed.splitlines())
    asked = f"{server} {name}".strip()
    return Finding(case.lab.backend.live or not is_up, f"CoreDNS asked {asked}, and nobody saw a response.")


def _is_served(journey: Journey) -> bool:
    """Say whether the client got what it asked for, by whichever server."""
    response = journey.client_leg.response
    return response is not None and response.rcode in ("NOERROR", "NXDOMAIN")


def _strict_rp_filter(case: Case) -> Finding:
    end = next((end for end in case.udp_ends if "rp_filter is 1" in end.loss), None)
    if end:
        packet, netfilter = end.path.packet, case.netfilter(end.node)
        strict = "all" if netfilter.settings["net.ipv4.conf.all.rp_filter"] == 1 else packet.in_interface
        return Finding(True, f"On {end.node.title} it comes in by {packet.in_interface}, but `ip route get "
                             f"{packet.source}` leads out of {netfilter.route(packet.source).device}; `sysctl "
                             f"net.ipv4.conf.{strict}.rp_filter` says 1, strict.")
    return Finding(False, f"Wherever the query comes in, the route back to {case.pod.address} leads out of the same "
                          "interface: rp_filter has no reason to drop it.")


def _circle(case: Case) -> Finding:
    found = next((f"On {end.node.title}, {end.loss}." for end in case.udp_ends if CIRCLE in end.loss), "")
    ttl = case.unanswered.farthest.sighting.ttl if found and case.unanswered else None
    last = f" Its TTL was {ttl} when it was last seen." if ttl else ""
    return Finding(bool(found), found + last if found else "No node sends it back to one that has had it.")


def _other_server(case: Case) -> Finding:
    servers = case.pod.resolv_conf().nameservers_asked
    return Finding(case.service not in servers, f"`cat /etc/resolv.conf` in {case.pod.title} says: nameserver "
                   f"{' and '.join(servers)}; the DNS Service is {case.service}.")


def _second_lost(case: Case) -> Finding:
    legs = [journey.client_leg for journey in case.own_journeys]
    for leg in legs:
        same = [other for other in legs if other.client == leg.client and other.question != leg.question]
        if any(hop.attempt > 1 for hop in leg.queries) and any(other.response for other in same):
            return Finding(True, f"From port {leg.client.port} two queries were sent: {same[0].question.type} was "
                                 f"answered at once, {leg.question.type} only when it was asked again.")
    return Finding(False, "No query was sent twice from a port from which another was answered at once.")


def _answer_lost(case: Case) -> Finding:
    for leg in (journey.client_leg for journey in case.own_journeys):
        last = leg.responses[-1].sighting.point if leg.responses and not leg.came_back else None
        if last and last.place != case.pod.id:
            return Finding(True, f"The response over {leg.hops[0].sighting.protocol} was last seen at "
                                 f"{last.title}, on its way back.")
    return Finding(False, "Every response that was seen came back to the pod.")


def _answer_from_elsewhere(case: Case) -> Finding:
    for leg in (journey.client_leg for journey in case.own_journeys if journey.client_leg.queries):
        asked = leg.queries[0].sighting.destination
        for response in (hop.sighting for hop in leg.responses):
            if response.point and response.point.place == case.pod.id and response.source != asked:
                return Finding(True, f"The pod asked {asked}, and the response that reached it came from "
                                     f"{response.source}: {case.pod.node.title} did not put the old address back.")
    return Finding(False, "Every response that reached the pod came from the address that it had asked.")


def _rules_listed(case: Case) -> str:
    """Name the commands that list every rule of a node."""
    return "`nft list ruleset`" if case.netfilter(case.pod.node).nft else "`iptables-save`"


def _last_rule(end: QueryEnd) -> str:
    """Return the rule or policy that drops or rejects; "" if none does, or only on what nobody can know."""
    if end.path.end not in ("is dropped", "is rejected") or end.path.assumptions:
        return ""
    last = end.path.matched[-1]
    table = f" (table {last.table})" if " " in last.table else ""        # of nftables: "inet egress-policy"
    return last.rule.text + table if last.rule else f"the policy of {last.chain}, DROP"


def _drops(ends: tuple[QueryEnd, ...]) -> Iterator[tuple[str, str]]:
    """Yield where a rule or policy drops the packet, and which; a REJECT tells the sender and is not meant."""
    return ((end.node.title, _last_rule(end)) for end in ends if end.path.end == "is dropped" and _last_rule(end))


def _nodes(case: Case) -> str:
    return " and ".join(dict.fromkeys([case.pod.node.title, *(end.node.title for end in case.udp_ends)]))


def _and(addresses: Iterable[str]) -> str:
    return " and ".join(sorted(addresses))


CAUSES = (
    Cause("no-endpoints", "nobody stands behind the DNS Service: it has no endpoints", _no_endpoints),
    Cause("service-rules-missing", "the node has no rule for the address of the DNS Service", _rules_missing),
    Cause("forward-drop", "a node drops what it should forward: a rule or a policy of FORWARD", _forward_drop),
    Cause("ip-forward-off", "a node does not forward at all: ip_forward is off", _ip_forward),
    Cause("route-blackhole", "a node has no way to the CoreDNS pods: a route is missing or a blackhole", _blackhole),
    Cause("route-wrong-node", "a node sends packets for the CoreDNS pods to the wrong node", _wrong_node),
    Cause("one-endpoint-dead", "a CoreDNS pod gets queries and does not answer", _dead_endpoint),
    Cause("stale-conntrack", "a node remembers a choice that its rules no longer make", _stale_connection),
    Cause("tcp-blocked", "TCP to port 53 is dropped, while UDP passes", _tcp_blocked),
    Cause("upstream-down", "the server that CoreDNS asks does not answer", _upstream_down),
)
LIVE_CAUSES = (
    Cause("rp-filter", "a node drops what came in by another way than its answer would take: rp_filter is strict",
          _strict_rp_filter),
    Cause("forwarding-loop", "two nodes send the query to each other until its TTL is used up", _circle),
    Cause("resolv-conf-of-the-node", "the pod asks another server than the DNS Service", _other_server),
    Cause("second-answer-lost", "of two queries from one port one is lost, and asked again after five seconds",
          _second_lost),
    Cause("tcp-answer-lost", "TCP connects, but the big segments with the answer are lost on their way back",
          _answer_lost),
    Cause("answer-from-elsewhere", "the answer comes back from another address than the pod asked, and is not taken",
          _answer_from_elsewhere),
)
