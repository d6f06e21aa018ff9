"""The kubernetes lab: any cluster, by kubectl alone. Nodes through helper pods that are agreed to first.

Only the nodes of the client and of CoreDNS are reached; what is left out is said.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from kind_lab import ANSWER_S, COMMAND_S, SILENT, KindLab
from kind_lab.tools import Namespaces, Tools, is_listener, pod_and_namespace, require_name
from kitlib.backends import CaptureData
from kitlib.errors import Denied, KitError, NoAccess
from kitlib.parsers import ip
from kitlib.result import Result
from kitlib.sighting import VantagePoint
from kubernetes_lab.helpers import Helpers, refusal
from kubernetes_lab.listings import Listings, items_of
from live_labs.clocks import on_one_clock
from live_labs.shell import Completed, run

GATEWAY_NOTE = "worked out from the client's node's routes: this lab asks no Docker, and its host is the nodes' gateway"
FORBIDDEN = re.compile(r"^Error from server \(Forbidden\)", re.M)
ENTER_NODE = ("nsenter", "--target", "1", "--mount", "--net", "--")       # a program of the node's own, by its files
SEARCH = 'for one in /proc/1/root/run/netns/*; do echo "netns: ${one##*/}"; nsenter --net="$one" ip -o addr; done'
DEFAULTED = re.compile(r"^Defaulted container .*\n?", re.M)      # kubectl exec in a pod of several, ours among them
LISTED_NOTE = "of these only what a query needs: the client, CoreDNS, their nodes, and Services near them"


def open_backend(consent: bool = False) -> KubernetesLab:
    """Open the cluster of KITLIB_CONTEXT, or of kubectl's current context. Raises KitError: what is missing."""
    context = os.environ.get("KITLIB_CONTEXT") or _current_context()
    return KubernetesLab(context, consent)


def _current_context() -> str:
    asked = run(["kubectl", "config", "current-context"], ANSWER_S)
    if asked.rc or not asked.stdout.strip():
        raise KitError("kubectl has no current context. Name one: KITLIB_CONTEXT=NAME (kubectl config get-contexts)."
                       + f" kubectl said: {asked.stderr.strip()}" * bool(asked.stderr.strip()))
    return asked.stdout.strip()


class KubernetesLab(KindLab):
    """The backend of `open_lab("kubernetes")`: pods by `kubectl exec`, nodes by `kubectl exec` into a helper pod."""

    def __init__(self, context: str, consent: bool = False, ask: Callable[..., Completed] = run) -> None:
        super().__init__(context, ask=ask)
        self.name = "kubernetes"
        self.helpers = Helpers(context, ask, consent)
        self.listings = Listings(self._get, os.environ.get("KITLIB_POD", ""))
        self.nodes = tuple(require_name("pod", node) for node in self.listings.nodes)
        pod = self.listings.client["metadata"]
        self.client = f"pod:{pod['namespace']}/{pod['name']}"
        self.tools = HelperTools(self._answer, self.helpers, self.client)
        self.helpers.require_consent(self.nodes)

    def __str__(self) -> str:
        client, *others = self.nodes
        dns = f", and on {', '.join(others)}, where CoreDNS runs" if others else ""
        left_out = "".join(f". Left out: {words}" for words in self.listings.left_out)
        return (f"the kubernetes lab: the context {self.cluster}, live; through pods of the image {self.helpers.image} "
                f"on {client}, where {self.client.removeprefix('pod:')} runs{dns}{left_out}")

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; of nodes, pods and Services, list those that a query needs."""
        if place == "host" and argv[:3] == ("docker", "network", "inspect"):
            return Result(" ".join(argv), argv, 0, self._nodes_network(), note=GATEWAY_NOTE)
        if place == "host" and argv[:2] == ("kubectl", "get") and argv[3:] in (("-o", "json"), ("-A", "-o", "json")):
            listed = json.dumps(items_of(self.listings.of(argv[2])))
            return Result(self._typed(place, argv), argv, 0, listed, note=LISTED_NOTE)
        result = super().run(place, argv)
        return replace(result, stderr=DEFAULTED.sub("", result.stderr))

    def _get(self, kind: str, *words: str) -> list[dict[str, Any]]:
        """List objects of a kind. Raises NoAccess."""
        outcome = self._ask((*self._kubectl(), "get", kind, *words, "-o", "json"), ANSWER_S + 5)
        if outcome.rc:
            raise refusal(f"Listing {' '.join((kind, *words))}", outcome.stderr, self._kubectl()[:2])
        top = json.loads(outcome.stdout or '{"items": []}')        # nothing is there, with --ignore-not-found
        return top.get("items", [top])

    def _nodes_network(self) -> str:
        """Return the network that the nodes are on, as Docker prints one: with no bridge and no containers."""
        routes = ()
        with suppress(NoAccess):
            routes = ip.routes(super().run(f"node:{self.nodes[0]}", ("ip", "route")).text)
        way_out = next((route for route in routes if route.destination == "default" and route.via), None)
        config = [{"Subnet": route.destination, "Gateway": way_out.via} for route in routes
                  if way_out and not route.via and route.device == way_out.device and "/" in route.destination]
        return json.dumps([{"Name": "nodes", "Id": "", "Driver": "none", "IPAM": {"Config": config[:1]}}])

    @contextmanager
    def _listening(self, points: Sequence[VantagePoint], traced: Sequence[str], ports: Sequence[int]
                   ) -> Iterator[CaptureData]:
        """Listen at the points that can be reached while the block runs; this machine is no part of the cluster."""
        obstacles = {point: self._obstacle(point.place) for point in points if point.place != "host"}
        reached = [point for point, obstacle in obstacles.items() if not obstacle]
        if not reached:
            raise NoAccess("; ".join(dict.fromkeys(obstacles.values())))
        with super()._listening(reached, traced, ports) as data:
            yield data
        home = next((point.machine for point in reached if point.place in (self.client, f"node:{self.nodes[0]}")), "")
        data.seen[:] = on_one_clock(data.seen, reached, ports, home)
        missing = {point.machine: obstacle for point, obstacle in obstacles.items() if obstacle}
        words = [f"not all was listened at on {machine}: {obstacle}" for machine, obstacle in missing.items()]
        data.seen[:] = [one._replace(note="; ".join([one.note, *words])) for one in data.seen]

    def _obstacle(self, place: str) -> str:
        """Say why this place cannot be listened at; "" if it can."""
        try:
            self.tools.beside(place)
        except NoAccess as error:
            return str(error).partition(" (kubectl said")[0]
        return ""

    def _reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        kind, _, node = place.partition(":")
        if kind != "node" or is_listener(argv) or argv[0].startswith("-"):
            return super()._reach(place, argv)
        return (*self.helpers.at_node(node), "timeout", str(COMMAND_S), *ENTER_NODE, *argv)

    def _complain(self, place: str, stderr: str) -> None:
        if SILENT.search(stderr) or FORBIDDEN.search(stderr):
            raise refusal(f"Asking {place}", stderr, self._kubectl()[:2])
        super()._complain(place, stderr)

    def _forget(self) -> None:
        super()._forget()
        self.helpers.forget()

    def _on_host(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        ours = self._kubectl()      # a command of our own names the cluster already
        return argv if argv[:len(ours)] == ours else super()._on_host(argv)

    def _kubectl(self) -> tuple[str, ...]:
        return self.helpers.kubectl

    def _typed(self, place: str, argv: tuple[str, ...]) -> str:
        typed = super()._typed(place, argv)
        return typed.replace("docker exec", "kubectl exec HELPER-OF", 1) if place.startswith("node:") else typed


class HelperNamespaces(Namespaces):
    """Finds network namespaces from inside a node's helper, where process 1 is the node's."""

    def _pid(self, container: str) -> str:
        return "1"


class HelperTools(Tools):
    """Runs the programs of the helper's image in the network of a place of its node."""

    def __init__(self, answer: Callable[[tuple[str, ...]], str], helpers: Helpers, client: str) -> None:
        super().__init__(answer)
        self.helpers, self.client, self.image, self.way = helpers, client, helpers.image, "image"
        self.where = HelperNamespaces(self._from_node)

    def _from_node(self, argv: tuple[str, ...]) -> str:
        """Answer what is asked of a node by its helper; the search for namespaces needs nothing of the node's own."""
        if argv[:2] != ("docker", "exec"):
            return self._answer(argv)
        words = ("sh", "-c", SEARCH) if "-all" in argv else (*ENTER_NODE, *argv[3:])
        return self._answer((*self.helpers.at_node(argv[2]), *words))

    def listen(self, place: str, argv: tuple[str, ...], shown: bool = False) -> tuple[str, ...]:
        """Return the argv that runs a listener at a place, and ends there after LISTEN_S at the latest."""
        helper, entered = self.beside(place)
        return self._swept(helper, (*self._bound(shown), *entered, *argv))

    def beside(self, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the argv before a program of ours, and the argv that enters the place's network from there.

        Without its node, the client's network is that of an ephemeral container in its pod. Raises NoAccess.
        """
        try:
            return self.helpers.at_node(self.where.inside(place)[0]), self._enter(place)
        except Denied:
            if place != self.client:
                raise
        pod, namespace = pod_and_namespace(place.partition(":")[2])
        return self.helpers.in_pod(namespace, pod), ()

    def borrow(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that runs a program of the image in a place's network; () if it might say something else."""
        if place == "host":
            return ()
        helper, entered = self.beside(place)
        if not entered:
            return (*helper, *argv)
        borrowed = super().borrow(place, argv)
        return (*helper, *borrowed) if borrowed else ()

    def _helper(self) -> tuple[str, ...]:
        return ()
