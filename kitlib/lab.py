"""A lab: the places where one can look, and what was seen there. `open_lab()` is where every notebook starts."""

from __future__ import annotations

import os
from functools import cached_property
from importlib import import_module
from pathlib import Path

from kitlib import cluster
from kitlib.capture import Capture
from kitlib.differences import differences
from kitlib.errors import NotFound, PlaceGone, UnknownLab
from kitlib.labs import LIVE, Backend
from kitlib.labs.recorded import RecordedLab
from kitlib.labs.recorder import Recorder
from kitlib.parsers import docker, kubectl_services
from kitlib.place import Host, Node, Place, Pod
from kitlib.recording import load, with_fault
from kitlib.result import Result
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
    recorded = os.environ.get("KITLIB_MODE") == "record"
    known = [*LIVE] if recorded else ["recorded", *LIVE]
    if name not in known:
        problem = "KITLIB_MODE=record needs a live lab" if recorded else f"There is no lab {name!r}"
        raise UnknownLab(f"{problem}. This kit has: {', '.join(known)}. "
                         "Choose one with open_lab(NAME) or the environment variable KITLIB_LAB.")
    if name == "recorded":
        loaded = load(folder)
        return Lab(RecordedLab(with_fault(loaded, fault) if fault else loaded))
    if fault:
        raise NotFound(f"A fault is played from a recording. On the {name} lab, live_faults.break_lab makes one.")
    module, _, function = LIVE[name].rpartition(".")
    backend = getattr(import_module(module), function)()
    return Lab(Recorder(backend, folder) if recorded else backend)


class Lab:
    """The places of a cluster, found from what docker and kubectl say about it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = backend.name

    def __repr__(self) -> str:
        return "\n".join([f"You are in {self.backend}.", *(differences(self) if self.backend.live else ())])

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place given by its id; Place.run is the comfortable way."""
        try:
            return self.backend.run(place, argv)
        except PlaceGone:       # what was known about the cluster is no longer true: ask anew
            for known in vars(self).keys() - {"backend", "name"}:
                del vars(self)[known]
            raise

    def capture(self, *points: Place | VantagePoint, trace: bool = False) -> Capture:
        """Listen at these vantage points (all that the lab has, if none is named) while the `with` block runs.

        With `trace`, the nodes' kernels tell meanwhile which rules the packets met: see Capture.followed.
        """
        chosen = tuple(point.default_point if isinstance(point, Place) else point for point in points)
        everywhere = self.backend.live and (not chosen or isinstance(self.backend, Recorder))
        listen = dict.fromkeys((*chosen, *(cluster.vantage_points(self) if everywhere else ())))
        traced = tuple(node.id for node in self.nodes if trace)
        return Capture(self.backend.capture(tuple(listen), traced), chosen, self.vantage_point)

    @cached_property
    def host(self) -> Host:
        """The machine that Docker runs on."""
        return cluster.host(self)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's nodes, by address."""
        return cluster.nodes(self)

    @cached_property
    def containers(self) -> tuple[Place, ...]:
        """The containers on the nodes' network that are no nodes."""
        return cluster.containers(self)

    @cached_property
    def network(self) -> docker.Network:
        """Docker's network that the nodes are on: subnet, gateway, bridge, and who is attached."""
        return cluster.network(self)

    @cached_property
    def ranges(self) -> cluster.Ranges:
        """The pod range and the Service range, from the controller-manager's flags."""
        return cluster.ranges(self)

    @cached_property
    def services(self) -> tuple[kubectl_services.Service, ...]:
        """The cluster's Services: `kubectl get services -A`, parsed."""
        return cluster.services(self)

    @cached_property
    def endpoints(self) -> tuple[kubectl_services.Endpoints, ...]:
        """The addresses behind the Services: `kubectl get endpointslices -A`, parsed."""
        return cluster.endpoints(self)

    @cached_property
    def _pods(self) -> tuple[Pod, ...]:
        return cluster.pods(self)

    def pods(self, name: str = "") -> tuple[Pod, ...]:
        """The pods whose name starts with `name`; all pods without it."""
        return tuple(pod for pod in self._pods if pod.name.startswith(name))

    def pod(self, name: str) -> Pod:
        """The pod of this name, or the only one whose name starts with it."""
        return cluster.one_of("pod", name, self._pods, self.pods(name))

    def node(self, name: str) -> Node:
        """The node of this name; the cluster's prefix may be left out: lab.node("worker3")."""
        return cluster.one_of("node", name, self.nodes, tuple(node for node in self.nodes if name == node.title))

    def container(self, name: str) -> Place:
        """The container of this name beside the nodes."""
        return cluster.one_of("container", name, self.containers, ())

    @property
    def coredns(self) -> tuple[Pod, ...]:
        """The pods behind the cluster's DNS Service, by address."""
        return tuple(pod for pod in self._pods if pod.kind == "coredns")

    def vantage_point(self, place: str, interface: str) -> VantagePoint:
        """The vantage point at an interface of the place with this id."""
        places: tuple[Place, ...] = (self.host, *self.nodes, *self._pods, *self.containers)
        return cluster.one_of("place", place, places, tuple(at for at in places if at.id == place)).at(interface)

    @cached_property
    def topology(self) -> cluster.Topology:
        """The picture of this lab: host, bridge, nodes, veth pairs, pods and their addresses."""
        return cluster.topology(self)
