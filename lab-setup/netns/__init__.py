"""The netns lab: the walkthrough's topology made of kernel namespaces, live and ready within a second."""

from __future__ import annotations

import os
import shlex
import uuid
from pathlib import Path

from kitlib.result import Result
from live_labs.lab import LiveLab
from live_labs.rule_trace import sweep
from netns_lab.answers import answer
from netns_lab.build import up
from netns_lab.description import LAB, read
from netns_lab.holder import NamespaceHolder, find

SHARED = "shared"       # the name of the lab that `lab up` brings up


def open_backend() -> NetnsLab:
    """Open the lab that `python -m kitlib lab up` brought up; without one, a lab that lasts as long as this Python.

    KITLIB_NETNS names the description of another lab than lab.toml's, KITLIB_NETNS_MODE kube-proxy's mode (nftables):
    it is always one of the second kind.
    """
    description, mode = os.environ.get("KITLIB_NETNS"), os.environ.get("KITLIB_NETNS_MODE", "")
    if description or mode:
        return NetnsLab(up(read(Path(description or LAB), mode), f"private-{uuid.uuid4().hex[:8]}"))
    shared = find(SHARED)
    if shared is None or not shared.is_ready:
        return NetnsLab(up(read(), f"private-{uuid.uuid4().hex[:8]}"))
    lab = NetnsLab(shared)
    lab.sweep()
    return lab


class NetnsLab(LiveLab):
    """The backend of `open_lab("netns")`: what only a cluster could answer, it answers from its description."""

    def __init__(self, holder: NamespaceHolder) -> None:
        super().__init__("netns", holder.reach, typed)
        self.holder = holder

    def __str__(self) -> str:
        kept = "until `lab down`" if self.holder.name == SHARED else "as long as this Python runs"
        cluster = self.holder.description.settings["cluster"]
        dead = [f". The DNS server of {place} has ended: build the lab anew" for place in self.holder.dead_servers()]
        return (f"the netns lab: {cluster}, made of network namespaces on this machine, Linux {os.uname().release}, "
                f"{kept}. Its packets, rules and routes are the kernel's own; there is no Kubernetes in it"
                + "".join(dead))

    def sweep(self) -> None:
        """Take out the TRACE rules that a killed Python has left: where one is tracing, its xtables-monitor runs."""
        if not any("xtables-monitor" in words for words in self.holder.commands()):
            for node in self.holder.description.nodes:
                sweep(self, f"node:{node.name}")

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; kubectl and docker, and `ps` on the control plane, answer from the description."""
        self.holder.require()
        text = answer(self.holder.description, place, argv)
        if text is not None:
            return Result(typed(place, argv), argv, 0, text,
                          note="answered from the description of the netns lab: no Kubernetes and no Docker run here")
        result = super().run(place, argv)
        if result.rc:
            self.holder.require(place)        # it may have ended meanwhile: then this is no answer
        return result


def typed(place: str, argv: tuple[str, ...]) -> str:
    """Return what one types on this machine to run argv at a place of the lab."""
    if argv[0] in ("kubectl", "docker"):
        return shlex.join(argv)
    name = place.rpartition("/")[2].rpartition(":")[2]
    return f"python -m kitlib lab shell {name} {shlex.join(argv)}"
