"""Ask for a name in a lab under capture, and keep all that was seen of it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

from kitlib.capture import Capture
from kitlib.errors import KitError, NotFound, NotRecorded
from kitlib.journey.model import Journey
from kitlib.lab import Lab, open_lab
from kitlib.place import Pod
from kitlib.result import Result
from workshop.case import Case

OWN_PACE = ("+tries=", "+timeout=")       # how long a recorded dig waited is no part of the question

ONE_ATTEMPT = ("+tries=1", "+timeout=5")  # as a resolver waits; dig's own three attempts show nothing more


@dataclass(frozen=True)
class Report:
    """A query that was followed: what ran, what was captured, and the case that the causes are looked for in."""

    lab: Lab
    pod: Pod
    seen: Capture
    results: tuple[Result, ...]
    case: Case
    is_traced: bool

    @property
    def journey(self) -> Journey:
        """The journey to show: the first that got no answer, or else the last one."""
        return self.case.waiting or self.case.own_journeys[-1]


def ask(given: Namespace) -> Report:
    """Ask as the command line says. KitError if the pod, the question or the captures are not to be had."""
    if given.repeat < 1:
        raise KitError(f"--repeat: expected 1 or more, found {given.repeat}.")
    lab = open_lab(given.lab, fault=given.fault)
    pod = _pod(lab, given.pod) if given.pod else lab.client
    argv = _argv(lab, pod, given)
    with lab.capture(trace=given.trace) as seen:
        results = tuple(pod.run(*argv) for _ in range(given.repeat))
    case = Case(lab, pod).with_sight_of(seen)
    if not case.own_journeys:
        raise NotFound(f"No query of {pod.title} was captured. dig said:\n{results[-1]}")
    return Report(lab, pod, seen, results, case, given.trace)


def _pod(lab: Lab, wanted: str) -> Pod:
    namespace, _, name = wanted.rpartition("/")
    pod = lab.pod(name)
    if namespace and pod.namespace != namespace:
        raise NotFound(f"There is no pod {wanted}: {pod.name} is in the namespace {pod.namespace}.")
    return pod


def _argv(lab: Lab, pod: Pod, given: Namespace) -> tuple[str, ...]:
    """Return the dig to run; on the recorded lab, the recorded one that asks the same."""
    for word in (given.name, given.type, given.server):
        if word.startswith(("-", "+", "@")):
            raise KitError(f"Expected a name, a type or a server, found {word!r}: options of dig are not taken here.")
    options = [*(["+tcp"] if given.tcp else []), *(["+search", "+showsearch"] if given.search else []),
               *([f"@{given.server}"] if given.server else [])]
    argv = ("dig", *options, given.name, *([given.type.upper()] if given.type.upper() != "A" else []))
    if lab.backend.live:
        return ("dig", *ONE_ATTEMPT, *argv[1:])
    scenes = [scene for scene in lab.backend.recording.scenes
              if scene.place == pod.id and scene.argv[0] == "dig" and (scene.traced or not given.trace)]
    found = next((scene.argv for scene in scenes if sorted(_question(scene.argv)) == sorted(argv)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(" ".join(_question(scene.argv)[1:]) for scene in scenes))
        raise NotRecorded(f"{' '.join(argv)} was not recorded in {pod.title}. What can be asked there: "
                          f"{known or 'nothing'}.")
    return found


def _question(argv: tuple[str, ...]) -> list[str]:
    """Return a recorded dig without the options that change when or from where it asks, and not what."""
    words = list(argv)
    if "-b" in words:
        at = words.index("-b")
        del words[at:at + 2]
    return [word for word in words if not word.startswith(OWN_PACE)]
