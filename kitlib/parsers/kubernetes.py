"""What `kubectl get … -o json` prints of pods, nodes, Services and EndpointSlices; a List or a single object.

The fields are those of the Kubernetes API: core/v1 and discovery.k8s.io/v1, https://kubernetes.io/docs/reference/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from kitlib.errors import ParseError, parse_context
from kitlib.parsers import json_text
from kitlib.parsers.ip import can_read
from kitlib.parsers.json_text import value_at, words_at

ROLE_LABEL = "node-role.kubernetes.io/"
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Pod:
    """A pod; node and address are "" until it is scheduled and has one, and the node again when it has ended."""

    namespace: str
    name: str
    node: str
    address: str
    host_network: bool
    dns_policy: str
    labels: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Node:
    """A node; `address` is its InternalIP, "" without one. A worker has no roles in kind."""

    name: str
    address: str
    pod_cidr: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """A port of a Service or of an EndpointSlice."""

    name: str
    port: int
    protocol: str


@dataclass(frozen=True)
class Service:
    """A Service; `cluster_ip` is "None" for a headless one and "" for type ExternalName."""

    namespace: str
    name: str
    type: str
    cluster_ip: str
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Endpoint:
    """One address behind a Service; `pod` is the name of the pod that has it, "" where that is not said."""

    address: str
    ready: bool
    pod: str = ""


@dataclass(frozen=True)
class Endpoints:
    """An EndpointSlice: a Service may have several."""

    namespace: str
    service: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


@parse_context("kubectl get pods -o json")
def pods(text: str) -> tuple[Pod, ...]:
    """Return the pods in `kubectl get pods -o json`. Raises ParseError."""
    return tuple(map(_pod, _items(text, "Pod")))


@parse_context("kubectl get nodes -o json")
def nodes(text: str) -> tuple[Node, ...]:
    """Return the nodes in `kubectl get nodes -o json`. Raises ParseError."""
    return tuple(map(_node, _items(text, "Node")))


@parse_context("kubectl get services -o json")
def services(text: str) -> tuple[Service, ...]:
    """Return the Services in `kubectl get services -o json`. Raises ParseError."""
    return tuple(map(_service, _items(text, "Service")))


@parse_context("kubectl get endpointslices -o json")
def endpoints(text: str) -> tuple[Endpoints, ...]:
    """Return the slices in `kubectl get endpointslices -o json`. Raises ParseError."""
    return tuple(map(_slice, _items(text, "EndpointSlice")))


def _items(text: str, kind: str) -> list[Any]:
    """Return the objects of this kind in a List, or the single one that was asked for."""
    top = json_text.parse(text)
    is_list = value_at(top, "kind") in ("List", f"{kind}List")
    items = value_at(top, "items", list) if is_list else [top]
    for item in items:
        found = value_at(item, "kind", default=kind)
        if found != kind:
            raise ParseError("JSON", f"objects of kind {kind}", found, "kind")
    return items


def _pod(item: Any) -> Pod:
    has_ended = value_at(item, "status.phase", default="") in ("Succeeded", "Failed")
    return Pod(namespace=value_at(item, "metadata.namespace"),
               name=value_at(item, "metadata.name"),
               node="" if has_ended else value_at(item, "spec.nodeName", default=""),
               address=_address(item, "status.podIP", ""),
               host_network=value_at(item, "spec.hostNetwork", bool, False),
               dns_policy=value_at(item, "spec.dnsPolicy"),
               labels=words_at(item, "metadata.labels"))


def _node(item: Any) -> Node:
    addresses, labels = value_at(item, "status.addresses", list, []), words_at(item, "metadata.labels")
    internal = [_address(entry, "address") for entry in addresses if value_at(entry, "type") == "InternalIP"]
    return Node(name=value_at(item, "metadata.name"),
                address=next(iter(internal), ""),
                pod_cidr=value_at(item, "spec.podCIDR", default=""),
                roles=tuple(label.removeprefix(ROLE_LABEL) for label in labels if label.startswith(ROLE_LABEL)))


def _service(item: Any) -> Service:
    return Service(namespace=value_at(item, "metadata.namespace"),
                   name=value_at(item, "metadata.name"),
                   type=value_at(item, "spec.type"),
                   cluster_ip=_address(item, "spec.clusterIP", "", "None"),
                   ports=_ports(item, "spec.ports"))


def _slice(item: Any) -> Endpoints:
    return Endpoints(namespace=value_at(item, "metadata.namespace"),
                     service=words_at(item, "metadata.labels").get(SERVICE_LABEL, ""),
                     endpoints=tuple(_endpoints(item)),
                     ports=_ports(item, "ports"))


def _endpoints(item: Any) -> Iterator[Endpoint]:
    """Yield one for each address. An endpoint that does not say whether it is ready counts as ready (see the API)."""
    is_name = value_at(item, "addressType") == "FQDN"
    for entry in value_at(item, "endpoints", list, []):
        ready, target = value_at(entry, "conditions.ready", bool, True), value_at(entry, "targetRef", dict, {})
        pod = value_at(target, "name", default="") if value_at(target, "kind", default="") == "Pod" else ""
        for address in value_at(entry, "addresses", list):
            yield Endpoint(value_at({"addresses": address}, "addresses") if is_name else
                           _address({"addresses": address}, "addresses"), ready, pod)


def _ports(item: Any, path: str) -> tuple[Port, ...]:
    """Return the ports that are numbers: one that is null stands for whatever port the reader means (see the API)."""
    return tuple(Port(value_at(port, "name", default=""), value_at(port, "port", int),
                      value_at(port, "protocol", default="TCP"))
                 for port in value_at(item, path, list, []) if value_at(port, "port", int, None) is not None)


def _address(item: Any, path: str, *instead: str) -> str:
    """Return the address at a path, or one of the words that may stand instead; "" among them: it may be absent."""
    text = value_at(item, path, default="")
    if text not in instead and not can_read(ip_address, text):
        raise ParseError("JSON", "an IP address", text, path)
    return text
