"""What the kubernetes lab lists of a cluster: what a query needs, by the narrowest rights that tell it.

The client's pod and those that the notebooks name beside it, CoreDNS's pods, their nodes; Services of three namespaces.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

from kitlib.cluster import DNS_SERVICE, SYSTEM, dns_services
from kitlib.errors import NoAccess, NotFound
from kitlib.lab import HOW_TO_MAKE, WALKTHROUGH_POD
from kitlib.parsers import kubernetes

List = Callable[..., list[dict[str, Any]]]


class Listings:
    """Asks for objects by `get`, which raises NoAccess; `wanted` is the client's name or how it begins."""

    def __init__(self, get: List, wanted: str) -> None:
        self._get = get
        self._namespace, _, self._start = (wanted or WALKTHROUGH_POD).rpartition("/")
        self.left_out: list[str] = []

    @cached_property
    def client(self) -> dict[str, Any]:
        """Find the client's pod. Raises NotFound, which lists those that it may be."""
        pods = [pod for pod in self._near() if _name(pod).startswith(self._start) and pod["spec"].get("nodeName")]
        found = [pod for pod in pods if _name(pod) == self._start] or pods
        if len(found) != 1:
            listed = ", ".join(f"{_namespace(pod)}/{_name(pod)}" for pod in found) or "none"
            raise NotFound(f"{len(found)} pods are called {self._start}: {listed}. Name the one whose queries to "
                           "follow: KITLIB_POD=NAMESPACE/NAME (in follow: --from).")
        return found[0]

    def _near(self) -> list[dict[str, Any]]:
        if self._namespace:
            return self._get("pods", "-n", self._namespace)
        try:
            return self._get("pods", "-A")
        except NoAccess:
            return self._get("pods")        # of the context's own namespace

    @cached_property
    def dns_service(self) -> tuple[str, str]:
        """Find the DNS Service among the system's, by namespace and name; kube-dns if this account may not look."""
        with suppress(NoAccess):        # the same is said where its endpoints are asked for
            for namespace in SYSTEM:
                listed = json.dumps(items_of(self._get("services", "-n", namespace)))
                if found := dns_services(kubernetes.services(listed)):
                    return found[0]
        return DNS_SERVICE

    @cached_property
    def slices(self) -> list[dict[str, Any]]:
        """List the EndpointSlices of the DNS Service; none if this account may not, and that is said."""
        namespace, name = self.dns_service
        return self._try("endpointslices", "-n", namespace, f"--selector={kubernetes.SERVICE_LABEL}={name}")

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes of the client and of CoreDNS."""
        nodes = (end.get("nodeName") for end in self._ends)
        return tuple(dict.fromkeys(filter(None, (self.client["spec"]["nodeName"], *nodes))))

    @property
    def _ends(self) -> list[dict[str, Any]]:
        """List the endpoints of the DNS Service but those that are about to go."""
        every = [end for one in self.slices for end in one.get("endpoints") or ()]
        return [end for end in every if not (end.get("conditions") or {}).get("terminating")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """List what is needed of a kind: nodes, pods, services or endpointslices."""
        if kind == "nodes":
            return self._try("nodes", *self.nodes) or self._nodes_by_pods()
        if kind == "pods":
            return self._pods()
        spaces = dict.fromkeys((_namespace(self.client), self.dns_service[0], "default"))
        return [item for space in spaces for item in self._try(kind, "-n", space)]

    def _pods(self) -> list[dict[str, Any]]:
        names = (_name(self.client), *HOW_TO_MAKE)
        near = [pod for pod in self._try("pods", "-n", _namespace(self.client)) or [self.client]
                if _name(pod).startswith(names) and pod["spec"].get("nodeName") in self.nodes]
        targets = [end.get("targetRef") or {} for end in self._ends]
        dns = [target["name"] for target in targets if target.get("kind") == "Pod"]
        return near + (self._try("pods", "-n", self.dns_service[0], *dns, "--ignore-not-found") if dns else [])

    def _nodes_by_pods(self) -> list[dict[str, Any]]:
        """Say of nodes what their pods tell, where this account may not look at nodes."""
        addresses = {pod["spec"]["nodeName"]: pod["status"].get("hostIP") for pod in self._pods()}
        return [{"kind": "Node", "metadata": {"name": name, "labels": {}}, "spec": {},
                 "status": {"addresses": [{"type": "InternalIP", "address": address}]}}
                for name, address in addresses.items() if address]

    def _try(self, kind: str, *words: str) -> list[dict[str, Any]]:
        try:
            return self._get(kind, *words)
        except NoAccess as error:
            if str(error) not in self.left_out:
                self.left_out.append(str(error))
            return []


def items_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return these objects as the List that kubectl prints of several."""
    return {"kind": "List", "apiVersion": "v1", "items": objects}


def _name(item: dict[str, Any]) -> str:
    return item["metadata"]["name"]


def _namespace(item: dict[str, Any]) -> str:
    return item["metadata"]["namespace"]
