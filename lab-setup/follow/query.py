"""Ask for a name in a lab under capture, and keep all that was seen of it."""

from __future__ import annotations

import re
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from follow.journeys import of_name, to_look_at
from kitlib.backends.recording import load
from kitlib.backends.replay import RecordedLab
from kitlib.capture import Capture
from kitlib.errors import KitError, NotFound, NotRecorded
from kitlib.journey.model import Journey
from kitlib.lab import Lab, open_lab
from kitlib.place import Pod
from kitlib.result import Result
from recorder.backend import Recorder
from workshop.case import Case
from workshop.causes import Cause, causes_for

OWN_PACE = ("+tries=", "+timeout=")       # how long a recorded dig waited is no part of the question

NO_SUCH_PROGRAM = (126, 127)              # exit codes of kubectl exec, timeout and env
ONE_ATTEMPT = ("+tries=1", "+timeout=5")  # as a resolver waits; dig's own three attempts show nothing more


@dataclass(frozen=True)
class Report:
    """A query that was followed: what ran, what was captured, and the case that the causes are looked for in."""

    name: str
    lab: Lab
    pod: Pod
    seen: Capture
    results: tuple[Result, ...]
    case: Case
    is_traced: bool
    causes: tuple[Cause, ...]       # those to look for
    left_out: tuple[str, ...] = ()  # what was wanted and could not be had

    @property
    def journeys(self) -> tuple[Journey, ...]:
        """The journeys of the name, and of what the search list made of it; what else the pod asked is not ours."""
        return only_asked_by(self.results, of_name(self.name, self.case.own_journeys) or self.case.own_journeys)

    @property
    def journey(self) -> Journey:
        """The journey to show."""
        return to_look_at(self.journeys)


def ask(given: Namespace, folder: Path | None = None) -> Report:
    """Ask as the command line says, and record it to the folder.

    KitError if the pod, the question or the captures are not to be had.
    """
    if given.repeat < 1:
        raise KitError(f"--repeat: expected 1 or more, found {given.repeat}.")
    lab = open_lab(given.lab, fault=given.fault, consent=given.yes)
    argv, takes = _argv(lab, lab.client, given)
    if folder and given.repeat > 1 and not lab.backend.live:
        raise KitError("--record and --scrub take one query at a time out of a recording: leave out --repeat.")
    lab = Lab(Recorder(lab.backend, folder)) if folder else lab
    times = min(given.repeat, takes)
    left_out = () if times == given.repeat else (
        f"asked {times} times, not {given.repeat}: the recording holds no more takes",)
    return replace(_report(given.name, lab, lab.client, argv, times, given.trace), left_out=left_out)


def ask_again(folder: Path, report: Report) -> Report:
    """Return the report of the same query as a recording of it has it, where every name may be another."""
    recording = load(folder)
    scene, lab = recording.scenes[0], Lab(RecordedLab(recording))
    pod = next(pod for pod in lab.every_pod if pod.id == scene.place)
    name = scene.argv[report.results[0].argv.index(report.name)]
    again = _report(name, lab, pod, scene.argv, 1, report.is_traced)      # one take holds all that was asked
    return replace(again, causes=report.causes, left_out=report.left_out)


def _report(name: str, lab: Lab, pod: Pod, argv: tuple[str, ...], times: int, is_traced: bool) -> Report:
    with lab.capture(trace=is_traced) as seen:
        results = tuple(pod.run(*argv) for _ in range(times))
    case = Case(lab, pod).with_sight_of(seen)
    if not case.own_journeys:
        raise NotFound(f"No query of {pod.title} was captured. dig said:\n{results[-1]}")
    return Report(name, lab, pod, seen, results, case, is_traced, causes_for(case))


def only_asked_by(digs: tuple[Result, ...], journeys: tuple[Journey, ...]) -> tuple[Journey, ...]:
    """Return the journeys of these digs alone, if each says the id of all that it asked; or else all journeys.

    What else runs in a pod may ask for the same name meanwhile.
    """
    ids = [re.findall(r"->>HEADER<<-.* id: (\d+)", dig.stdout) for dig in digs]
    if not all(ids) or any("retrying in TCP" in dig.stdout for dig in digs):
        return journeys
    known = {int(number) for one in ids for number in one}
    return tuple(one for one in journeys if one.client_leg.hops[0].sighting.message.id in known) or journeys


def _argv(lab: Lab, pod: Pod, given: Namespace) -> tuple[tuple[str, ...], int]:
    """Return the dig to run, and how often it can be; on the recorded lab, the recorded one that asks the same."""
    for word in (given.name, given.type, given.server):
        if word.startswith(("-", "+", "@")):
            raise KitError(f"Expected a name, a type or a server, found {word!r}: options of dig are not taken here.")
    record_type = given.type.upper() if given.type.upper() != "A" else ""
    if given.search and (record_type or given.server or given.tcp or given.port):
        raise KitError("--search asks as the pod's resolver does: leave out the type, --server, --tcp and --port.")
    argv = ("getent", "ahosts", given.name) if given.search else tuple(filter(None, (
        "dig", "+tcp" if given.tcp else "", f"@{given.server}" if given.server else "", given.name, record_type)))
    if lab.backend.live:
        return _live_argv(pod, argv, given.port), given.repeat
    scenes = [scene for scene in lab.backend.recording.scenes
              if scene.place == pod.id and scene.argv[0] == argv[0] and (scene.traced or not given.trace)]
    found = next((scene for scene in scenes if sorted(_question(scene.argv)) == sorted(argv)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(" ".join(_question(scene.argv)[1:]) for scene in scenes))
        raise NotRecorded(f"{' '.join(argv)} was not recorded in {pod.title}. What can be asked there: "
                          f"{known or 'nothing'}.")
    return found.argv, len(found.takes)


def _live_argv(pod: Pod, argv: tuple[str, ...], port: int | None) -> tuple[str, ...]:
    """Return the command for a live pod: dig from this port, or getent; where that is missing, dig."""
    if argv[0] != "getent":
        return ("dig", *ONE_ATTEMPT, *(("-b", f"{pod.address}#{port}") if port else ()), *argv[1:])
    lacks_getent = pod.run("getent", "ahosts", "localhost").rc in NO_SUCH_PROGRAM
    return ("dig", *ONE_ATTEMPT, "+search", "+showsearch", argv[-1]) if lacks_getent else argv


def _question(argv: tuple[str, ...]) -> list[str]:
    """Return a recorded dig without the options that change when or from where it asks, and not what."""
    words = list(argv)
    if "-b" in words:
        at = words.index("-b")
        del words[at:at + 2]
    return [word for word in words if not word.startswith(OWN_PACE)]
