"""A lab: the places where one can look, and what was seen there. `open_lab()` is where every notebook starts."""

from __future__ import annotations

import os
from pathlib import Path

from kitlib.backends import Backend
from kitlib.backends.recording import load, with_fault
from kitlib.backends.replay import RecordedLab
from kitlib.capture import Capture
from kitlib.cluster import Cluster, differences
from kitlib.errors import NotFound, UnknownLab
from kitlib.place import Node, Place, Pod
from kitlib.plugins import plugins
from kitlib.sighting import VantagePoint

RECORDINGS = Path(__file__).resolve().parent.parent / "lab-setup" / "recordings"
DEFAULT_RECORDING = "kind-test1"


def open_lab(name: str | None = None, recording: str | Path | None = None, fault: str | None = None) -> Lab:
    """Open a lab: the argument, or what KITLIB_LAB names, or the recorded one.

    `recording` is the folder to replay (or KITLIB_RECORDING names it): a name under lab-setup/recordings, or a path
    of your own. `fault` opens the lab as it was while that was broken; NotFound lists the faults there are.
    With KITLIB_MODE=record, all that a live lab is asked is written to that folder.
    """
    name = name or os.environ.get("KITLIB_LAB") or "recorded"
    folder = RECORDINGS / (recording or os.environ.get("KITLIB_RECORDING") or DEFAULT_RECORDING)
    is_recording = os.environ.get("KITLIB_MODE") == "record"
    if name == "recorded" and not is_recording:
        loaded = load(folder)
        return Lab(RecordedLab(with_fault(loaded, fault) if fault else loaded))
    if fault:
        raise NotFound(f"A fault is played from a recording. On the {name} lab, live_faults.break_lab makes one.")
    backend = _live_backend(name)
    return Lab(plugins("kitlib.recorders")["recorder"].load()(backend, folder) if is_recording else backend)


def _live_backend(name: str) -> Backend:
    live = plugins("kitlib.labs")
    if name == "recorded":
        raise UnknownLab("KITLIB_MODE=record needs a live lab, and the lab chosen is the recorded one. "
                         f"Set KITLIB_LAB to one of: {', '.join(live)}.")
    if name not in live:
        raise UnknownLab(f"There is no lab {name!r}. This kit has: {', '.join(['recorded', *live])}. "
                         "Choose one with open_lab(NAME) or the environment variable KITLIB_LAB.")
    return live[name].load()()


class Lab(Cluster):
    """A cluster in which one can look up places by name and listen."""

    def __repr__(self) -> str:
        return "\n".join([f"You are in {self.backend}.", *(differences(self) if self.backend.live else ())])

    def capture(self, *points: Place | VantagePoint, trace: bool = False) -> Capture:
        """Listen at these vantage points (all that the lab has, if none is named) while the `with` block runs.

        With `trace`, the nodes' kernels tell meanwhile which rules the packets met: see Capture.followed.
        """
        chosen = tuple(point.default_point if isinstance(point, Place) else point for point in points)
        listen = chosen
        if self.backend.live and (not chosen or self.backend.listens_everywhere):
            listen = tuple(dict.fromkeys((*chosen, *self._vantage_points())))
        traced = tuple(node.id for node in self.nodes if trace)
        return Capture(self.backend.capture(listen, traced), chosen, self.vantage_point)

    def _vantage_points(self) -> tuple[VantagePoint, ...]:
        """Both ends of every pod's cable, CoreDNS's last; nodes, bridge, containers."""
        cabled = sorted((pod for pod in self.every_pod if not pod.host_network), key=lambda pod: pod.kind == "coredns")
        cables = [point for pod in cabled for point in (pod.eth0, pod.veth)]
        return (*cables, *(place.default_point for place in (*self.nodes, self.host, *self.containers)))

    def pods(self, name: str = "") -> tuple[Pod, ...]:
        """The pods whose name starts with `name`; all pods without it."""
        return tuple(pod for pod in self.every_pod if pod.name.startswith(name))

    def pod(self, name: str) -> Pod:
        """The pod of this name, or the only one whose name starts with it."""
        return _one("pod", name, self.every_pod, self.pods(name))

    def node(self, name: str) -> Node:
        """The node of this name; the cluster's prefix may be left out: lab.node("worker3")."""
        return _one("node", name, self.nodes, tuple(node for node in self.nodes if name == node.title))

    def container(self, name: str) -> Place:
        """The container of this name beside the nodes."""
        return _one("container", name, self.containers, ())

    def pods_on(self, node: Node) -> tuple[Pod, ...]:
        """Return the pods that run on this node."""
        return tuple(pod for pod in self.every_pod if pod.node == node)

    def vantage_point(self, place: str, interface: str) -> VantagePoint:
        """The vantage point at an interface of the place with this id."""
        places = (self.host, *self.nodes, *self.every_pod, *self.containers)
        return _one("place", place, places, tuple(at for at in places if at.id == place)).at(interface)


def _one(what: str, name: str, places: tuple, matching: tuple):
    """The place called `name`, or the single one that matches; a NotFound that lists the others if there is none."""
    exact = [place for place in places if place.name == name]
    found = exact or list(matching)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(place.name for place in (found or places))
    problem = f"{len(found)} {what}s are called {name!r}: {listed}. Give more of the name." if found else \
        f"There is no {what} {name!r}. There are: {listed}."
    raise NotFound(problem)
