"""Open a case by its number, draw a mystery, and show afterwards the shortest way of looking."""

from __future__ import annotations

import secrets
from hashlib import sha256

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound
from kitlib.lab import Lab, open_lab
from kitlib.place import Pod
from lessons.evidence import point_title
from workshop.case import Case
from workshop.causes import causes_for
from workshop.faults import live_recipes
from workshop.live_faults import break_lab, fix_lab
from workshop.looks import halving
from workshop.questions import solution

CLIENT = "my-nginx"
CASES = {1: "no-endpoints", 2: "service-rules-missing", 3: "forward-drop", 4: "ip-forward-off", 5: "route-blackhole",
         6: "route-wrong-node", 7: "stale-conntrack", 8: "one-endpoint-dead", 9: "upstream-down", 10: "tcp-blocked",
         11: "", 12: ""}                          # in the last two no command is needed: it is how the pod asks
OTHER_CLIENTS = {11: "host-client-clusterfirst"}
MYSTERIES = ("no-endpoints", "service-rules-missing", "forward-drop", "ip-forward-off", "route-blackhole",
             "one-endpoint-dead")             # those in which the same dig shows that something is wrong
LIVE_MYSTERIES = ("egress-names-the-clusterip", "rp-filter", "forwarding-loop", "drop-in-another-table")

_unfixed: list[tuple[Lab, Pod, str]] = []


def open_case(number: int | str) -> Case:
    """Open the case of this number: a lab in which something is broken, and the pod whose user complains.

    On the netns lab it is broken now, really, until it is fixed or this Python ends; there a fault can be named too.
    Raises NotFound, which lists the cases there are.
    """
    lab, fault = open_lab(), CASES.get(number, number)
    live = live_recipes(lab) if lab.backend.live else {}
    if fault not in (*CASES.values(), *live):
        more = f" On the netns lab also: {', '.join(live)}." if live else ""
        raise NotFound(f"There is no case {number!r}. There are: {', '.join(map(str, CASES))}.{more}")
    return _broken(lab, fault, f"case {number}", OTHER_CLIENTS.get(number, CLIENT))


def mystery(number: int | None = None) -> Case:
    """Draw a case and do not name it: the same number draws the same one everywhere, no number draws any."""
    drawn = secrets.randbelow(10**6) if number is None else number
    lab = open_lab()
    faults = MYSTERIES
    if lab.backend.live:
        more, there = LIVE_MYSTERIES if number is None else (), live_recipes(lab)
        faults = tuple(name for name in MYSTERIES + more if name in there)
    return _broken(lab, faults[sha256(str(drawn).encode()).digest()[0] % len(faults)], f"mystery {drawn}", CLIENT)


def six_digs(pod: Pod) -> Table:
    """Ask the same six times, each time once, and list which tries had an answer."""
    digs = [pod.dig("+tries=1", "+timeout=3", "www.example.com") for _ in range(6)]
    return table([{"try": number, "answered": dig.rc == 0} for number, dig in enumerate(digs, 1)])


def _broken(lab: Lab, fault: str, label: str, client: str) -> Case:
    if lab.backend.live and fault:
        while _unfixed:                 # one thing at a time is broken
            fix_lab(*_unfixed.pop())
        _unfixed.append((lab, lab.pod(CLIENT), fault))
        break_lab(lab, lab.pod(CLIENT), fault)
    elif fault:
        lab = open_lab(fault=fault)
    return Case(lab, lab.pod(client), label, fault=fault)


def debrief(case: Case, seen: Capture):
    """Show the shortest way of looking: by halving the path, then the one thing to read there, and what undoes it."""
    case = case.with_sight_of(seen)
    leg = case.unanswered
    cause = next(cause for cause in causes_for(case) if cause.examine(case).holds)
    came = f"the query was last seen at **{point_title(leg.farthest.sighting)}**" if leg else "every query was answered"
    commands = "\n".join(f"    {line}" for line in solution(case).splitlines())
    return note(f"{_compared_looks(case) if leg else ''}"
                f"1. One dig under capture, and its ladder: {came}.\n"
                f"2. There, one thing to read: {cause.examine(case).evidence}\n"
                f"3. So: {cause.sentence}.\n4. What undoes it:\n\n{commands}")


def _compared_looks(case: Case) -> str:
    """Say how many looks the learner took, if any, and which ones halving the path would have taken."""
    shortest = [f"{one.title} ({'it was there' if one.found else 'it was not'})" for one in halving(case)]
    own = f"You looked {len(case.looks)} times: {', '.join(case.looks)}. " if case.looks else ""
    return f"{own}Halving the path takes {len(shortest)} looks: {', '.join(shortest)}.\n\n"
