"""Faults that are really there: on a live lab they are made by command, undone by command, and never left behind."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kitlib.errors import KitError, NotFound
from kitlib.exercises.case import Case
from kitlib.faults import LIVE, Commands, commands

if TYPE_CHECKING:
    from kitlib.lab import Lab
    from kitlib.place import Pod
    from kitlib.sighting import VantagePoint


def break_lab(lab: Lab, pod: Pod, name: str) -> None:
    """Make this fault now; what is still broken when this Python ends is mended. NotFound lists what can be broken."""
    if lab.name != "netns":       # a learner's own cluster is not ours to break
        raise NotFound(f"Nothing can be broken on {lab.backend}. The netns lab is for that: open_lab(\"netns\").")
    if name not in LIVE:
        raise NotFound(f"The fault {name!r} cannot be made on the netns lab. These can: {', '.join(LIVE)}.")
    atexit.register(mend_lab, lab, pod, name)
    try:
        _run(lab, pod, LIVE[name].breaks)
    except KitError:
        mend_lab(lab, pod, name)
        raise


def mend_lab(lab: Lab, pod: Pod, name: str) -> None:
    """Undo this fault; what was mended already stays as it is."""
    for step in LIVE[name].mends:
        with suppress(KitError):
            _run(lab, pod, (step,))


@contextmanager
def broken(lab: Lab, pod: Pod, name: str) -> Iterator[None]:
    """Broken while the block runs, mended afterwards whatever happens in it."""
    break_lab(lab, pod, name)
    try:
        yield
    finally:
        mend_lab(lab, pod, name)


def _run(lab: Lab, pod: Pod, steps: Commands) -> None:
    for place, argv in commands(lab, pod, steps):
        result = lab.run(place, argv)
        if result.rc:
            raise KitError(f"This failed, so the lab is not as it should be:\n{result}")


def asked_again(case: Case, points: tuple[VantagePoint, ...]) -> Case:
    """The case by what the pod's own queries, asked again now, meet at these vantage points."""
    questions = [journey.question for journey in case.own_journeys if journey.question]
    with case.lab.capture(*points) as seen:
        for question in questions:
            case.pod.dig("+tries=1", "+timeout=3", question.name, question.type)
    return Case(case.lab, case.pod, case.label).with_sight_of(seen)
