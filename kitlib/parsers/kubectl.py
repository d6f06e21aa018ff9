"""What `kubectl get … -o json` prints: pods, services, endpointslices, nodes; a List or a single object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import load, take

ROLE_LABEL = "node-role.kubernetes.io/"
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Pod:
    """A pod; node and address are "" until it is scheduled and has one."""

    namespace: str
    name: str
    node: str
    address: str
    host_network: bool
    dns_policy: str
    labels: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Port:
    """A port of a Service or an EndpointSlice; `target` (a number or a container port's name) is a Service's."""

    name: str
    port: int
    protocol: str
    target: int | str | None = None


@dataclass(frozen=True)
class Service:
    """A Service; `cluster_ip` is "None" for a headless one and "" for type ExternalName."""

    namespace: str
    name: str
    type: str
    cluster_ip: str
    ports: tuple[Port, ...]
    selector: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Endpoint:
    """One address behind a Service; `pod` is its name (in the slice's namespace), "" if no pod stands behind it."""

    address: str
    ready: bool
    pod: str
    node: str


@dataclass(frozen=True)
class Endpoints:
    """An EndpointSlice: a Service may have several, each with one address type (IPv4, IPv6, FQDN)."""

    namespace: str
    service: str
    address_type: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Node:
    """A node; a worker has no roles in kind."""

    name: str
    address: str
    pod_cidr: str
    roles: tuple[str, ...]


def pods(text: str) -> tuple[Pod, ...]:
    """The pods in `kubectl get pods -o json`. Raises ParseError."""
    return tuple(_pod(item) for item in _items(text, "Pod"))


def services(text: str) -> tuple[Service, ...]:
    """The services in `kubectl get services -o json`. Raises ParseError."""
    return tuple(_service(item) for item in _items(text, "Service"))


def endpoints(text: str) -> tuple[Endpoints, ...]:
    """The slices in `kubectl get endpointslices -o json`. Raises ParseError.

    An endpoint whose `ready` is not said counts as ready, as the API has it (EndpointConditions, discovery.k8s.io/v1).
    """
    return tuple(_slice(item) for item in _items(text, "EndpointSlice"))


def nodes(text: str) -> tuple[Node, ...]:
    """The nodes in `kubectl get nodes -o json`; `address` is the InternalIP. Raises ParseError."""
    return tuple(_node(item) for item in _items(text, "Node"))


def _items(text: str, kind: str) -> list[Any]:
    what = f"kubectl get -o json ({kind})"
    top = load(text, what)
    is_list = take(top, str, "kind", what=what) in ("List", f"{kind}List")
    items = take(top, list, "items", what=what) if is_list else [top]
    for item in items:
        found = take(item, str, "kind", what=what, default=kind)
        if found != kind:
            raise ParseError(what, f"objects of kind {kind}", found, "kind")
    return items


def _named(item: Any, kind: str) -> tuple[str, str]:
    return (take(item, str, "metadata", "namespace", what=kind), take(item, str, "metadata", "name", what=kind))


def _pod(item: Any) -> Pod:
    return Pod(
        *_named(item, "Pod"),
        node=take(item, str, "spec", "nodeName", what="Pod", default=""),
        address=take(item, str, "status", "podIP", what="Pod", default=""),
        host_network=take(item, bool, "spec", "hostNetwork", what="Pod", default=False),
        dns_policy=take(item, str, "spec", "dnsPolicy", what="Pod"),
        labels=take(item, dict, "metadata", "labels", what="Pod", default={}),
    )


def _service(item: Any) -> Service:
    return Service(
        *_named(item, "Service"),
        type=take(item, str, "spec", "type", what="Service"),
        cluster_ip=take(item, str, "spec", "clusterIP", what="Service", default=""),
        ports=_ports(take(item, list, "spec", "ports", what="Service", default=[]), "Service"),
        selector=take(item, dict, "spec", "selector", what="Service", default={}),
    )


def _slice(item: Any) -> Endpoints:
    what = "EndpointSlice"
    return Endpoints(
        _named(item, what)[0],
        service=take(item, str, "metadata", "labels", SERVICE_LABEL, what=what, default=""),
        address_type=take(item, str, "addressType", what=what),
        endpoints=tuple(
            _endpoint(entry, address)
            for entry in take(item, list, "endpoints", what=what, default=[])
            for address in take(entry, list, "addresses", what=what)
        ),
        ports=_ports(take(item, list, "ports", what=what, default=[]), what),
    )


def _endpoint(entry: Any, address: str) -> Endpoint:
    what = "EndpointSlice"
    target = take(entry, dict, "targetRef", what=what, default={})
    pod = take(target, str, "name", what=what) if target.get("kind") == "Pod" else ""
    ready = take(entry, bool, "conditions", "ready", what=what, default=True)
    return Endpoint(address, ready, pod, take(entry, str, "nodeName", what=what, default=""))


def _ports(entries: list[Any], what: str) -> tuple[Port, ...]:
    return tuple(
        Port(
            take(entry, str, "name", what=what, default=""),
            take(entry, int, "port", what=what),
            take(entry, str, "protocol", what=what),
            entry.get("targetPort"),
        )
        for entry in entries
    )


def _node(item: Any) -> Node:
    addresses = take(item, list, "status", "addresses", what="Node")
    internal = [take(entry, str, "address", what="Node") for entry in addresses
                if take(entry, str, "type", what="Node") == "InternalIP"]
    if not internal:
        raise ParseError("Node", "an address of type InternalIP", addresses, "status.addresses")
    labels = take(item, dict, "metadata", "labels", what="Node", default={})
    return Node(
        take(item, str, "metadata", "name", what="Node"),
        internal[0],
        pod_cidr=take(item, str, "spec", "podCIDR", what="Node", default=""),
        roles=tuple(label.removeprefix(ROLE_LABEL) for label in labels if label.startswith(ROLE_LABEL)),
    )
