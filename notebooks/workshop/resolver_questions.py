"""The questions of the two cases in which nothing is broken: a pod asks the wrong server, or asks too often."""

from __future__ import annotations

from kitlib.quiz import Quiz
from kitlib.search_list import queries
from workshop.case import Case

POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def which_policy(case: Case) -> Quiz:
    """Ask which dnsPolicy lets a pod with hostNetwork ask the cluster's DNS: the lab's pods show what each does."""
    pods = [pod for pod in case.lab.pods() if pod.namespace == case.pod.namespace
            and (pod.host_network or pod.dns_policy != "ClusterFirst")]
    servers = {pod: pod.resolv_conf().nameservers_asked[0] for pod in pods}
    examples = {pod.dns_policy: pod for pod in pods}
    example = next(pod for pod in examples.values() if pod.host_network and servers[pod] == case.service)
    about = {True: "because its own dnsConfig says so, in full: with this policy nothing comes from the cluster.",
             False: f"not {case.service}."}
    return Quiz(
        f"{case.pod.title} must stay on the node's network. Which dnsPolicy lets it find Services?",
        example.dns_policy, POLICIES,
        hints={policy: f"{pod.title} has it and asks {servers[pod]}, {about[servers[pod] == case.service]}"
               for policy, pod in examples.items()},
        hint="Compare the nameserver line of the pods here: `cat /etc/resolv.conf` in each.",
        more=f"One pod with hostNetwork does ask {case.service}. Which policy has it?", id=f"{case.label}, fix",
        solution=f"{example.title} has {example.dns_policy} and asks {servers[example]}.")


def fewer_queries(case: Case, name: str) -> Quiz:
    """Ask how to write the name so that one lookup sends as few queries as it can: judged by the search list."""
    conf = case.pod.resolv_conf()
    complete = f"{name.rstrip('.')}."
    least = len(queries(complete, conf))
    enough = f"With a dot at the end the name is complete, and {least} queries are enough: A and AAAA."

    def effect(typed: object) -> str:
        text = str(typed).strip()
        if text.rstrip(".") != name.rstrip("."):
            return f"`{text}` is another name than {name}: it would find something else, or nothing."
        count = len(queries(text, conf, exist=[name]))
        return enough if count == least else f"`{text}` is asked for with {count} queries: it has " \
               f"{text.count('.')} dots, ndots is {conf.ndots}."

    return Quiz(
        f"Nobody may change resolv.conf. How should the program write {name}, to send only {least} queries?",
        complete, read=effect, hints=lambda verdict: verdict, id=f"{case.label}, fix",
        hint="The resolver completes a name that is not complete. How does one say that it is?",
        more="In DNS the root is the empty label at the very end.", solution=enough)
