"""The questions of notebook 02, and what it says: the resolver's settings, and the queries that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import KitError, NotFound
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.parsers.resolv_conf import ResolvConf
from kitlib.place import Pod
from kitlib.quiz import Quiz, dns_name, number
from kitlib.search_list import queries, search_candidates
from kitlib.sighting import Sighting


def queries_of_getent(conf: ResolvConf, name: str, seen: Sequence[Sighting] | None = None) -> Quiz:
    """Ask how many queries getaddrinfo(3) sends for a name that exists in DNS as it is (predict).

    They are counted in the search list; with the sightings `seen` at the pod also there, and both must agree.
    """
    questions, dotted = queries(name, conf, exist=[name]), len(queries(f"{name.rstrip('.')}.", conf))
    count, names = len(questions), list(dict.fromkeys(question.name for question in questions))
    types = " and ".join(dict.fromkeys(question.type for question in questions))
    hints = {1: "One query is what dig sends: it looks for one type, and not into the search list.",
             len(names): f"There are {len(names)} names to try, and each is asked for twice: A and AAAA.",
             count - 2: "One name is missing: after the search list the name is asked for as it is.",
             dotted: f"{dotted} would be right with a trailing dot. {name} has {name.count('.')} dots, and "
                     f"resolv.conf says ndots:{conf.ndots}."}
    hints.pop(0, None)
    return Quiz(
        f"How many queries will `getent ahosts {name}` send?",
        right=lambda: count if seen is None else _counted(seen, count),
        choices={*hints, count}, read=number, hints=hints,
        hint="Count the names that the resolver tries until one has an address, then the types it asks for.",
        solution=f"{len(names)} × {count // len(names)}: {', '.join(names)}, each for {types}.")


def queries_with_trailing_dot(conf: ResolvConf, name: str) -> Quiz:
    """Ask how many queries are left when the name ends with a dot (check)."""
    dotted = f"{name.rstrip('.')}."
    questions, without = queries(dotted, conf), len(queries(name, conf, exist=[name]))
    count = len(questions)
    return Quiz(
        f"And how many will `getent ahosts {dotted}` send, with a dot at the end?",
        count, choices={1, count, count + 2, without}, read=number,
        hints={1: "One name, yes, but the resolver asks for its IPv4 and its IPv6 addresses: A and AAAA.",
               without: f"{without} is without the dot. The dot says that the name is complete.",
               count + 2: f"Which other name than {dotted} should be asked for? The dot ends it."},
        hint="A name that ends with a dot is never completed.",
        solution=f"{' and '.join(question.type for question in questions)} for {dotted}: the search list is not used.")


def first_name_asked(conf: ResolvConf, name: str) -> Quiz:
    """Ask with which name the resolver begins (check)."""
    tried = search_candidates(name, conf)
    hints = {each.name: f"This is number {place} on the list ({each.why})." for place, each in enumerate(tried, 1)}
    bare = " ".join(f"{name}.{domain.partition('.')[0]}" for domain in conf.search[:1])
    return Quiz(
        f"With which name does the resolver begin when a program looks up `{name}`?",
        right=tried[0].name, read=dns_name,
        hints={bare: "The whole domain from the search list is put behind the name, not its first part only."} | hints,
        hint=f"`{name}` has {name.count('.')} dots, and ndots is {conf.ndots}: is it completed, or tried as it is?",
        more=f"The search list begins with {(conf.search or ('nothing',))[0]}.",
        solution=f"{tried[0].name} ({tried[0].why}).")


def smallest_ndots(conf: ResolvConf, name: str) -> Quiz:
    """Ask for the smallest ndots at which a program with musl finds the Service of this short name (predict)."""
    dots = name.count(".")

    def tried(ndots: int) -> list[str]:
        changed = replace(conf, options=(f"ndots:{ndots}",))
        return [each.name for each in search_candidates(name, changed, resolver="musl")]

    def right() -> int:
        enough = [ndots for ndots in range(1, 16) if any(each.startswith(f"{name}.svc.") for each in tried(ndots))]
        if not enough:
            raise NotFound(f"No ndots makes {name} a Service's name: the search list has no domain svc.…")
        return enough[0]

    return Quiz(
        f"What is the smallest ndots at which musl still finds the Service of `{name}`?", right, read=number,
        hints={dots: f"With ndots {dots} the name has dots enough: musl asks for {name}. and for nothing else.",
               conf.ndots: f"{conf.ndots} is what resolv.conf says. It works, and a smaller one does too."},
        hint="musl uses the search list only for names with fewer dots than ndots.",
        solution=f"`{name}` has {dots} dot, which must be fewer than ndots. (With glibc any ndots does: it uses the "
                 "search list after a failure.)")


def _counted(seen: Sequence[Sighting], expected: int) -> int:
    found = [sighting for sighting in seen if sighting.direction == "query"]
    if len(found) != expected:
        raise KitError(f"The capture holds {len(found)} queries, the search list says {expected}: the capture holds "
                       "another lookup, or some were sent again.")
    return len(found)


def who_answers(lab: Lab, conf: ResolvConf) -> note:
    """Say whom the pod asks, and which pods are behind that address."""
    names, asked = " and ".join(pod.address for pod in lab.coredns) or "no pod", conf.nameservers_asked[0]
    if asked != lab.dns_address:
        return note(f"The pod asks **{asked}**, which is not the ClusterIP of {lab.dns_service_name[1]}. Behind that "
                    f"one: **{names}**.")
    return note(f"The pod asks **{asked}**; one of **{names}** answers. Who decides which? That is notebook 06.")


def count_answers(journeys: Sequence[Journey]) -> note:
    """Say how many queries one lookup made, and how many of the answers held an address."""
    found = sum(bool(one.client_leg.response and one.client_leg.response.answers) for one in journeys)
    return note(f"dig asked once. getent asked **{len(journeys)}** times, and only {found} of the answers held an "
                "address.")


def compare_resolvers(glibc: Capture, musl: Capture) -> note:
    """Say how often each library sent the question for AAAA before the one for A was answered."""
    return note(f"The question for AAAA left before the one for A was answered: with glibc **{_early(glibc)}** times, "
                f"with musl **{_early(musl)}** times.")


def _early(seen: Capture) -> str:
    """Count the pairs in which the second question left before the first was answered: "1 of 4"."""
    legs = [journey.client_leg for journey in seen.journeys()]
    pairs = [(first, second) for first, second in pairwise(legs)
             if first.question and second.question == replace(first.question, type="AAAA") != first.question]
    early = sum(second.hops[0].sighting.time_ns < first.hops[-1].sighting.time_ns for first, second in pairs)
    return f"{early} of {len(pairs)}"


def settings_of(pods: Sequence[Pod]) -> Table:
    """List each pod's dnsPolicy beside what its resolv.conf says."""
    rows = []
    for pod in pods:
        conf = pod.resolv_conf()
        rows.append({"pod": pod.title, "dnsPolicy": pod.dns_policy, "hostNetwork": pod.host_network,
                     "nameserver": conf.nameservers, "ndots": conf.ndots, "search": conf.search,
                     **({"passed over": conf.passed_over} if conf.passed_over else {})})
    return table(rows)
