"""The questions of the two cases in which nothing is broken: a pod asks the wrong server, or asks too often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitlib.quiz import Quiz
from kitlib.search_list import queries
from workshop.case import Case

if TYPE_CHECKING:
    from kitlib.parsers.resolv_conf import ResolvConf


POLICIES = ("Default", "ClusterFirst", "ClusterFirstWithHostNet", "None")


def which_policy(case: Case) -> Quiz:
    """Which dnsPolicy makes a pod with hostNetwork ask the cluster's DNS, from what pods with each of them ask."""
    asked = {}
    for pod in case.lab.pods():
        if pod.namespace == case.pod.namespace and (pod.host_network or pod.dns_policy != "ClusterFirst"):
            asked[pod.dns_policy] = (pod.title, pod.resolv_conf().nameservers_asked[0])
    right = [pod.dns_policy for pod in case.lab.pods() if pod.host_network and pod.title in dict(asked.values())
             and asked[pod.dns_policy][1] == case.service]
    seen = {policy: f"{title} has it and asks {server}, " + (
                f"not {case.service}." if server != case.service else "because its own dnsConfig says so, in full: "
                "with this policy nothing comes from the cluster.") for policy, (title, server) in asked.items()}
    return Quiz(
        f"{case.pod.title} must stay on the node's network. Which dnsPolicy lets it find Services?", right[0], POLICIES,
        hints=seen, hint="Compare the nameserver line of the pods here: `cat /etc/resolv.conf` in each.",
        more=f"One pod with hostNetwork does ask {case.service}. Which policy has it?", id=f"{case.label}, mend",
        solution=f"{asked[right[0]][0]} has {right[0]} and asks {asked[right[0]][1]}.")


def fewer_queries(case: Case, name: str) -> Quiz:
    """How to write the name so that one lookup sends as few queries as it can: judged by the search list."""
    conf: ResolvConf = case.pod.resolv_conf()
    least = len(queries(f"{name.rstrip('.')}.", conf))

    def effect(typed: object) -> str:
        text = str(typed).strip()
        if text.rstrip(".") != name.rstrip("."):
            return f"`{text}` is another name than {name}: it would find something else, or nothing."
        count = len(queries(text, conf, exist=[name]))
        return _few(least) if count == least else f"`{text}` is asked for with {count} queries: it has " \
               f"{text.count('.')} dots, ndots is {conf.ndots}."

    return Quiz(
        f"Nobody may change resolv.conf. How should the program write {name}, to send only {least} queries?",
        f"{name.rstrip('.')}.", read=effect, hints=lambda would: would, id=f"{case.label}, mend",
        hint="The resolver completes a name that is not complete. How does one say that it is?",
        more="In DNS the root is the empty label at the very end.", solution=lambda: _few(least))


def _few(count: int) -> str:
    return f"With a dot at the end the name is complete, and {count} queries are enough: A and AAAA."
