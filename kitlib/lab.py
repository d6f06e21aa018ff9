"""`open_lab()`, where every notebook starts, and the lab that it returns: places by name, and captures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from importlib.metadata import entry_points
from inspect import signature
from itertools import chain
from pathlib import Path

from kitlib.backends import Backend
from kitlib.backends.recording import load, with_fault
from kitlib.backends.replay import RecordedLab
from kitlib.capture import Capture
from kitlib.cluster import Cluster, differences
from kitlib.errors import KitError, NoAccess, NotFound, UnknownLab, first_of
from kitlib.escapes import printable
from kitlib.lacking import explain_what_is_lacking
from kitlib.parsers.kubernetes import Service
from kitlib.place import Node, Place, Pod
from kitlib.sighting import VantagePoint

RECORDINGS = Path(__file__).resolve().parent / "recordings"
DEFAULT_RECORDING = "kind-test1"
WALKTHROUGH_POD = "my-nginx"
HOW_TO_MAKE = {**dict.fromkeys((WALKTHROUGH_POD, "neighbour", "host-client", "host-client-clusterfirst", "dns-default",
                                "dns-none"), " To make it: kubectl apply -f lab-setup/kind/workload.yaml"),
               "outside": " To make it: make cluster"}


def open_lab(name: str | None = None, recording: str | Path | None = None, fault: str | None = None,
             consent: bool = False) -> Lab:
    """Open the lab `name`, or the one that KITLIB_LAB names, or the recorded one.

    `recording` is the folder to replay (or KITLIB_RECORDING names it): a name under kitlib/recordings, or a path
    of your own. `fault` opens the lab as it was while that was broken; NotFound lists the faults there are.
    `consent` agrees to what the kubernetes lab makes on nodes (or KITLIB_CONSENT=yes does).
    With KITLIB_MODE=record, everything that a live lab answers is written to that folder (open_lab("recorded",
    recording=…) replays all the same).
    """
    explain_what_is_lacking()
    name = name or os.environ.get("KITLIB_LAB") or "recorded"
    folder = RECORDINGS / (recording or os.environ.get("KITLIB_RECORDING") or DEFAULT_RECORDING)
    is_recording = os.environ.get("KITLIB_MODE") == "record" and not (name == "recorded" and recording)
    if name == "recorded" and not is_recording:
        loaded = load(folder)
        return Lab(RecordedLab(with_fault(loaded, fault) if fault else loaded))
    if fault:
        raise NotFound(f"A fault is played from a recording. On the {name} lab, live_faults.break_lab makes one.")
    backend = _live_backend(name, consent)
    return Lab(entry_points(group="kitlib.recorders")["recorder"].load()(backend, folder) if is_recording else backend)


def _live_backend(name: str, consent: bool) -> Backend:
    live = {found.name: found for found in sorted(entry_points(group="kitlib.labs"))}
    if name == "recorded":
        raise UnknownLab("KITLIB_MODE=record needs a live lab, and the lab chosen is the recorded one. "
                         f"Set KITLIB_LAB to one of: {', '.join(live)}.")
    if name not in live:
        raise UnknownLab(f"There is no lab {name!r}. This kit has: {', '.join(['recorded', *live])}. "
                         "Choose one with open_lab(NAME) or the environment variable KITLIB_LAB.")
    open_backend = live[name].load()
    return open_backend(consent=True) if consent and "consent" in signature(open_backend).parameters else open_backend()


class Lab(Cluster):
    """A cluster whose places can be looked up by name, and listened at."""

    def __repr__(self) -> str:
        return printable("\n".join([f"You are in {self.backend}.", *differences(self)]))

    def capture(self, *points: Place | VantagePoint, trace: bool = False) -> Capture:
        """Listen at these vantage points (all that the lab has, if none is named) while the `with` block runs.

        With `trace`, the nodes' kernels report meanwhile which rules the packets met: see Capture.traced_paths.
        """
        chosen = tuple(point.default_point if isinstance(point, Place) else point for point in points)
        listen = chosen
        if self.backend.live and (not chosen or self.backend.listens_everywhere):
            listen = tuple(dict.fromkeys((*chosen, *self._vantage_points)))
        traced = tuple(node.id for node in self.nodes if trace)
        ports = self.dns_ports
        return Capture(self.backend.capture(listen, traced, ports), chosen, self.vantage_point, ports)

    @cached_property
    def _vantage_points(self) -> tuple[VantagePoint, ...]:
        """Find both ends of every pod's cable, CoreDNS's last; then nodes, bridge, containers."""
        cabled = sorted((pod for pod in self.every_pod if not pod.host_network), key=lambda pod: pod.kind == "coredns")
        cables = [point for pod in cabled for point in _ends(pod)]
        return (*cables, *(place.default_point for place in (*self.nodes, self.host, *self.containers)))

    def pods(self, name: str = "") -> tuple[Pod, ...]:
        """Return the pods whose name starts with `name`; all pods without it."""
        return tuple(pod for pod in self.every_pod if pod.name.startswith(name))

    def pod(self, name: str) -> Pod:
        """Return the pod of this name ("web" or "shop/web"), or the only one whose name starts with it."""
        namespace, _, start = name.rpartition("/")
        near = [pod for pod in self.pods(start) if namespace in ("", pod.namespace)]
        return _one("pod", name, self.every_pod, tuple(pod for pod in near if pod.name == start) or tuple(near))

    @cached_property
    def client(self) -> Pod:
        """Choose the pod whose queries are followed: KITLIB_POD, or the walkthrough's, or the first that has dig."""
        if name := os.environ.get("KITLIB_POD"):
            return self.pod(name)
        guests = (pod for pod in self.every_pod if pod.kind == "pod" and not pod.host_network and _has_dig(pod))
        return first_of(chain(self.pods(WALKTHROUGH_POD), guests), "No pod of this cluster has dig, so there is none "
                        "whose query could be followed. Make one: kubectl apply -f lab-setup/kind/workload.yaml, or "
                        "name one: KITLIB_POD=NAME.")

    @cached_property
    def service(self) -> Service:
        """Choose the Service whose name is asked for: the walkthrough's, or one near the client, or any."""
        found = [service for service in self.services if service.cluster_ip not in ("", "None")]
        near = [service for service in found if service.namespace == self.client.namespace]
        named = [service for service in near if service.name == WALKTHROUGH_POD]
        return first_of(chain(named, near, found),
                        "This cluster has no Service with a ClusterIP whose name could be asked for.")

    @cached_property
    def domain(self) -> str:
        """Read the cluster's domain in the client's search list, where the names of Services end: "cluster.local"."""
        search = self.client.resolv_conf().search
        return first_of((domain.removeprefix("svc.") for domain in search if domain.startswith("svc.")),
                        "The cluster's domain is not known: no entry on the search list of "
                        f"{self.client.title} begins with svc. It has: {', '.join(search) or 'none'}.")

    def name_of(self, service: Service) -> str:
        """Return a Service's whole name: "my-nginx.default.svc.cluster.local"."""
        return f"{service.name}.{service.namespace}.svc.{self.domain}"

    def node(self, name: str) -> Node:
        """Return the node of this name; the cluster's prefix may be left out: lab.node("worker3")."""
        return _one("node", name, self.nodes, tuple(node for node in self.nodes if name == node.title))

    def container(self, name: str) -> Place:
        """Return the container of this name beside the nodes."""
        return _one("container", name, self.containers, ())

    def pods_on(self, node: Node) -> tuple[Pod, ...]:
        """Return the pods that run on this node."""
        return tuple(pod for pod in self.every_pod if pod.node == node)

    def vantage_point(self, place: str, interface: str) -> VantagePoint:
        """Return the vantage point at an interface of the place with this id."""
        places = (self.host, *self.nodes, *self.every_pod, *self.containers)
        return _one("place", place, places, tuple(at for at in places if at.id == place)).at(interface)


def _ends(pod: Pod) -> Iterator[VantagePoint]:
    """Yield both ends of a pod's cable; the pod's alone where its node cannot be asked for the other."""
    yield pod.eth0
    with suppress(NoAccess):
        yield pod.veth


def _has_dig(pod: Pod) -> bool:
    try:
        return pod.run("dig", "-v").rc == 0
    except KitError:        # not recorded, or the pod does not run
        return False


def _one(kind: str, name: str, places: tuple, matching: tuple):
    """Return the place called `name`, or the single one that matches. Raises NotFound, which lists the others."""
    found = [place for place in places if place.name == name] or list(matching)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(place.name for place in (found or places))
    raise NotFound(f"{len(found)} {kind}s are called {name!r}: {listed}. Give more of the name." if found else
                   f"There is no {kind} {name!r}. There are: {listed or 'none'}.{HOW_TO_MAKE.get(name, '')}")
