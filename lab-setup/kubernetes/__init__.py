"""The kubernetes lab: any cluster, by kubectl alone. Nodes through helper pods that are agreed to first.

Only the nodes of the client and of CoreDNS are reached; the others, and what runs there, are left out and counted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kitlib.backends import CaptureData
from kitlib.backends.kind import ANSWER_S, COMMAND_S, SILENT, KindLab
from kitlib.backends.kind_tools import LISTEN_S, Namespaces, Tools, is_listener, require_name
from kitlib.errors import KitError, NotFound
from kitlib.parsers import ip
from kitlib.result import Result
from kitlib.shell import Completed, run
from kitlib.sighting import DNS_PORT, VantagePoint
from kubernetes_lab.helpers import Helpers
from kubernetes_lab.refusals import refusal

OWN_CLOCKS = "the nodes' clocks are not compared: trust times within one machine only"
GATEWAY_NOTE = "worked out from the client's node's routes: this lab asks no Docker, and its host is the nodes' gateway"
LISTED = {("get", "nodes"): lambda item: item["metadata"]["name"],
          ("get", "pods"): lambda item: item["spec"].get("nodeName", "")}


def open_backend(consent: bool = False) -> KubernetesLab:
    """Open the cluster of KITLIB_CONTEXT, or of kubectl's current context. Raises KitError: what is missing."""
    context = os.environ.get("KITLIB_CONTEXT") or run(["kubectl", "config", "current-context"], ANSWER_S).stdout.strip()
    if not context:
        raise KitError("kubectl has no current context. Name one: KITLIB_CONTEXT=NAME (kubectl config get-contexts).")
    return KubernetesLab(context, consent)


class KubernetesLab(KindLab):
    """The backend of `open_lab("kubernetes")`: pods by `kubectl exec`, nodes by `kubectl exec` into a helper pod."""

    def __init__(self, context: str, consent: bool = False, ask: Callable[..., Completed] = run) -> None:
        super().__init__(context, ask=ask)
        self.name = "kubernetes"
        self.helpers = Helpers(context, ask, consent)
        self.tools = HelperTools(self._answer, self.helpers)
        self.nodes = self._needed_nodes()
        self.helpers.require_consent(self.nodes)

    def __str__(self) -> str:
        return (f"the kubernetes lab: the context {self.cluster}, live; nodes {', '.join(self.nodes)}, "
                f"through pods of the image {self.helpers.image}")

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; of nodes and pods, list those that this lab can reach."""
        if place == "host" and argv[:3] == ("docker", "network", "inspect"):
            return Result(" ".join(argv), argv, 0, self._nodes_network(), note=GATEWAY_NOTE)
        result = super().run(place, argv)
        if place != "host" or result.rc or argv[1:3] not in LISTED or "json" not in argv:
            return result
        return self._reachable(result, LISTED[argv[1:3]])

    def _nodes_network(self) -> str:
        """Return the network that the nodes are on, as Docker prints one: with no bridge and no containers."""
        routes = ip.routes(super().run(f"node:{self.nodes[0]}", ("ip", "route")).text)
        way_out = next((route for route in routes if route.destination == "default" and route.via), None)
        config = [{"Subnet": route.destination, "Gateway": way_out.via} for route in routes
                  if way_out and not route.via and route.device == way_out.device and "/" in route.destination]
        return json.dumps([{"Name": "nodes", "Id": "", "Driver": "none", "IPAM": {"Config": config[:1]}}])

    def _reachable(self, result: Result, node_of: Callable[[dict], str]) -> Result:
        listing = json.loads(result.stdout)
        kept = [item for item in listing.get("items", ()) if node_of(item) in self.nodes]
        if "items" not in listing:
            return result
        note = f"{len(kept)} of {len(listing['items'])}: those of the client's and CoreDNS's nodes"
        return replace(result, stdout=json.dumps({**listing, "items": kept}), note=note)

    @contextmanager
    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str] = (), ports: Sequence[int] = (DNS_PORT,)
                ) -> Iterator[CaptureData]:
        """Listen at the points in the cluster while the block runs; this machine is no part of it."""
        with super().capture([point for point in points if point.place != "host"], traced, ports) as data:
            yield data
        if len(self.nodes) > 1:
            data.seen[:] = [one._replace(note=f"{one.note}; {OWN_CLOCKS}") for one in data.seen]

    def _needed_nodes(self) -> tuple[str, ...]:
        """Return the nodes of the client and of CoreDNS. Raises NotFound if one of them is not known."""
        pods = json.loads(self._answer(("kubectl", "get", "pods", "-A", "-o", "json")))["items"]
        wanted = os.environ.get("KITLIB_POD") or "my-nginx"
        clients = [pod for pod in pods if pod["metadata"]["name"].startswith(wanted)]
        dns = [pod for pod in pods if pod["metadata"].get("labels", {}).get("k8s-app") == "kube-dns"]
        if not clients or not dns:
            raise NotFound(f"No pod is called {wanted}: name the one whose queries to follow, KITLIB_POD=NAME." if dns
                           else "No pod has the label k8s-app=kube-dns, so CoreDNS's nodes are not known.")
        nodes = [pod["spec"].get("nodeName", "") for pod in (clients[0], *dns)]
        return tuple(require_name("pod", node) for node in dict.fromkeys(nodes))

    def _reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        kind, _, node = place.partition(":")
        if kind != "node" or is_listener(argv) or argv[0].startswith("-"):
            return super()._reach(place, argv)
        return (*self.tools.at_node(node), "timeout", str(COMMAND_S), *argv)

    def _complain(self, place: str, stderr: str) -> None:
        if SILENT.search(stderr):
            raise refusal(f"Asking {place}", stderr, can_i="", image="", namespace="")
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

    def __init__(self, answer: Callable[[tuple[str, ...]], str], helpers: Helpers) -> None:
        super().__init__(answer)
        self.helpers, self.image, self.way = helpers, helpers.image, "image"
        self.where = HelperNamespaces(self._from_node)

    def at_node(self, node: str) -> tuple[str, ...]:
        """Return the argv before a program of the node's own, in its files and its network."""
        return (*self.helpers.at_node(node), "nsenter", "--target", "1", "--mount", "--net", "--")

    def _from_node(self, argv: tuple[str, ...]) -> str:
        return self._answer((*self.at_node(argv[2]), *argv[3:]) if argv[:2] == ("docker", "exec") else argv)

    def listen(self, place: str, argv: tuple[str, ...], shown: bool = False) -> tuple[str, ...]:
        """Return the argv that runs a listener at a place, and ends there after LISTEN_S at the latest."""
        mark = f"KITLIB_SESSION={self._session}"
        helper = self.helpers.at_node(self.where.inside(place)[0])
        self._cleanup.add((*helper, "pkill", "-INT", "-f", f"timeout .* {mark} "))
        bound = () if shown else ("timeout", "-s", "INT", str(LISTEN_S), "env", mark)
        return (*helper, *bound, *self._enter(place), *argv)

    def borrow(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that runs a program of the image in a place's network; () if it might say something else."""
        entered = super().borrow(place, argv) if place != "host" else ()
        return (*self.helpers.at_node(self.where.inside(place)[0]), *entered) if entered else ()

    def _helper(self) -> tuple[str, ...]:
        return ()
