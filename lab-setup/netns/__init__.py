"""The netns lab: the walkthrough's topology made of kernel namespaces, live and ready within a second."""

from __future__ import annotations

import os
import shlex
import uuid

from kitlib.backends.live import LiveLab
from kitlib.result import Result
from netns_lab.answers import answer
from netns_lab.build import up
from netns_lab.description import read
from netns_lab.held import NamespaceHolder, find

SHARED = "shared"       # the name of the lab that `lab up` brings up


def open_backend() -> NetnsLab:
    """The lab that `python -m kitlib lab up` brought up; without one, a lab that lasts as long as this Python."""
    shared = find(SHARED)
    is_ready = shared is not None and shared.is_ready
    return NetnsLab(shared if is_ready else up(read(), f"private-{uuid.uuid4().hex[:8]}"))


class NetnsLab(LiveLab):
    """The backend of `open_lab("netns")`: what only a cluster could answer, it answers from its description."""

    def __init__(self, held: NamespaceHolder) -> None:
        super().__init__("netns", held.reach, typed)
        self.held = held

    def __str__(self) -> str:
        kept = "until `lab down`" if self.held.name == SHARED else "as long as this Python runs"
        cluster = self.held.description.settings["cluster"]
        return (f"the netns lab: {cluster}, made of network namespaces on this machine, Linux {os.uname().release}, "
                f"{kept}. Its packets, rules and routes are the kernel's own; there is no Kubernetes in it")

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; kubectl and docker, and `ps` on the control plane, answer from the description."""
        found = answer(self.held.description, place, argv)
        if found is None:
            return super().run(place, argv)
        return Result(typed(place, argv), argv, 0, found,
                      note="answered from the description of the netns lab: no Kubernetes and no Docker run here")


def typed(place: str, argv: tuple[str, ...]) -> str:
    """What one types on this machine to run argv at a place of the lab."""
    if argv[0] in ("kubectl", "docker"):
        return shlex.join(argv)
    name = place.rpartition("/")[2].rpartition(":")[2]
    return f"python -m kitlib lab shell {name} {shlex.join(argv)}"
