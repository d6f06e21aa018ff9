"""The questions of notebooks 01 and 02: addresses and the resolver's settings, at rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address, ip_network

from kitlib.cluster import DNS_SERVICE
from kitlib.errors import KitError, NotFound
from kitlib.lab import Lab
from kitlib.parsers.resolv_conf import ResolvConf
from kitlib.place import Pod
from kitlib.quiz import Question, number, some_of
from kitlib.quiz import name as dns_name
from kitlib.search_list import candidates, queries
from kitlib.sighting import Sighting


def range_of_the_dns_service(lab: Lab) -> Question:
    """01, predict: where the address of the DNS Service comes from."""
    service, subnet = lab.topology.dns_service, lab.topology.subnet
    pods, services = lab.topology.pod_range, lab.topology.service_range
    ranges = {f"the Service range, {services}": services, f"the pod range, {pods}": pods,
              f"the subnet of the nodes, {subnet}": subnet}
    examples = {pods: f"Pods have addresses such as {lab.coredns[0].address}, a CoreDNS pod.",
                subnet: f"Nodes have addresses such as {lab.nodes[0].address}, {lab.nodes[0].title}.",
                services: f"Services have addresses such as {service}."}
    return Question(
        f"The Service {DNS_SERVICE[1]} has the address {service}. Which range does it come from?",
        right=lambda: _only([words for words, net in ranges.items() if ip_address(service) in ip_network(net)]),
        choices=tuple(ranges),
        hints={words: f"{examples[net]} {service} lies outside {net}." for words, net in ranges.items()},
        hint="With which range do the first numbers of the address agree?",
        solution=f"{service} is a ClusterIP, so it lies in {services}, which the controller-manager's flag "
                 "service-cluster-ip-range names.")


def nodes_of_coredns(lab: Lab) -> Question:
    """01, check: which nodes the CoreDNS pods run on."""
    spellings = {spelling.casefold(): node.title for node in lab.nodes for spelling in (node.title, node.name)}
    right = frozenset(pod.node.title for pod in lab.coredns)
    listed = " and ".join(pod.address for pod in lab.coredns)

    def hint_for(given: frozenset[str]) -> str:
        without = sorted(given - right)
        if not without:
            return f"Not all of them: there are {len(lab.coredns)} CoreDNS pods, {listed}."
        node = lab.node(without[0])
        return f"{node.title} hands out {node.pod_range}; the CoreDNS pods have {listed}."

    return Question(
        "On which nodes do the CoreDNS pods run? (Several: with commas between.)",
        right, hints=hint_for, read=partial(some_of, spellings),
        hint=f"Each node has a pod range of its own; the CoreDNS pods have {listed}.",
        solution="; ".join(f"{pod.title} runs on {pod.node.title}" for pod in lab.coredns) + ".")


def address_of_no_interface(lab: Lab, pod: Pod) -> Question:
    """01, check: which address no interface has."""
    owners = {at.address: f"{at.title} has it" for at in (*lab.nodes, *lab.containers, *lab.pods())}
    owners |= {lab.topology.gateway: f"the host's bridge {lab.topology.bridge} has it"}
    for place in (*lab.nodes, pod):
        for interface in place.interfaces():
            owners |= {each.partition("/")[0]: f"{place.title} has it on {interface.name}"
                       for each in interface.addresses}
    choices = (pod.address, lab.topology.dns_service, lab.coredns[0].address, pod.node.address, lab.topology.gateway)
    return Question(
        "Which of these addresses belongs to no interface anywhere?",
        right=lambda: _only([address for address in choices if address not in owners]),
        choices=choices,
        hints={address: f"{address}: {owners[address]}." for address in choices if address in owners},
        hint="Look for each address in what `ip addr` says in the pod and on the nodes.",
        solution="A ClusterIP stands only in the rules of each node, which rewrite it on the way.")


def queries_of_getent(conf: ResolvConf, name: str, seen: Sequence[Sighting] | None = None) -> Question:
    """02, predict: how many queries getaddrinfo(3) sends for a name that exists in DNS as it is.

    Counted from the search list; with the `seen` sightings at the pod, from those, and both must agree.
    """
    asked = queries(name, conf, exist=[name])
    names, dotted = len({question.name for question in asked}), len(queries(f"{name.rstrip('.')}.", conf))
    hints = {1: "One query is what dig sends: it looks for one type, and not into the search list.",
             names: f"There are {names} names to try, and each is asked for twice: A and AAAA.",
             len(asked) - 2: "One name is missing: after the search list the name is asked for as it is.",
             dotted: f"{dotted} would be right with a trailing dot. {name} has {name.count('.')} dots, and "
                     f"resolv.conf says ndots:{conf.ndots}."}
    hints.pop(0, None)
    return Question(
        f"How many queries will `getent ahosts {name}` send?",
        right=lambda: len(asked) if seen is None else _counted(seen, len(asked)),
        choices=(*hints, len(asked)), read=number, hints=hints,
        hint="Count the names that the resolver tries until one has an address, then the types it asks for.",
        solution=f"{names} × {len(asked) // names}: {', '.join(dict.fromkeys(q.name for q in asked))}, each for "
                 f"{' and '.join(dict.fromkeys(q.type for q in asked))}.")


def queries_with_trailing_dot(conf: ResolvConf, name: str, seen: Sequence[Sighting] | None = None) -> Question:
    """02, check: how many queries are left when the name ends with a dot; `seen` as above."""
    dotted = f"{name.rstrip('.')}."
    asked, without = queries(dotted, conf), queries(name, conf, exist=[name])
    return Question(
        f"And how many will `getent ahosts {dotted}` send, with a dot at the end?",
        right=lambda: len(asked) if seen is None else _counted(seen, len(asked)),
        choices=(1, len(asked), len(asked) + 2, len(without)), read=number,
        hints={1: "One name, yes, but the resolver asks for its IPv4 and its IPv6 addresses: A and AAAA.",
               len(without): f"{len(without)} is without the dot. The dot says that the name is complete.",
               len(asked) + 2: f"Which other name than {dotted} should be asked for? The dot ends it."},
        hint="A name that ends with a dot is never completed.",
        solution=f"{' and '.join(q.type for q in asked)} for {dotted}: the search list is not used.")


def first_name_asked(conf: ResolvConf, name: str) -> Question:
    """02, check: the name with which the resolver begins."""
    tried = candidates(name, conf)
    hints = {each.name: f"This is number {place} on the list ({each.why})." for place, each in enumerate(tried, 1)}
    bare = " ".join(f"{name}.{domain.partition('.')[0]}" for domain in conf.search[:1])
    return Question(
        f"With which name does the resolver begin when a program looks up `{name}`?",
        right=tried[0].name, read=dns_name,
        hints={bare: "The whole domain from the search list is put behind the name, not its first part only."} | hints,
        hint=f"`{name}` has {name.count('.')} dots, ndots is {conf.ndots}; the search list begins with "
             f"{(conf.search or ('nothing',))[0]}.",
        solution=f"{tried[0].name} ({tried[0].why}).")


def _only(found: Sequence[str]) -> str:
    if len(found) != 1:
        raise NotFound(f"This lab has not one right answer to this question but {len(found)}: {', '.join(found)}.")
    return found[0]


def _counted(seen: Sequence[Sighting], expected: int) -> int:
    asked = [sighting for sighting in seen if sighting.direction == "query"]
    if len(asked) != expected:
        raise KitError(f"The capture holds {len(asked)} queries, the search list says {expected}: the capture holds "
                       "another lookup, or some were sent again.")
    return len(asked)
