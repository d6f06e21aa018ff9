"""What `kubectl get … -o json` prints of pods and nodes; a List or a single object.

What `kubectl get … -o json` prints of services and endpointslices; a List or a single object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.json_fields import WHAT, address_at, at, each_at, facts, load, take, take_address, words_at

ROLE_LABEL = "node-role.kubernetes.io/"


@dataclass(frozen=True)
class Pod:
    """A pod; node and address are "" until it is scheduled and has one."""

    namespace: str = at(str, "metadata", "namespace")
    name: str = at(str, "metadata", "name")
    node: str = at(str, "spec", "nodeName", absent="")
    address: str = address_at("status", "podIP", other=("",))
    host_network: bool = at(bool, "spec", "hostNetwork", absent=False)
    dns_policy: str = at(str, "spec", "dnsPolicy")
    labels: Mapping[str, str] = words_at("metadata", "labels")


@dataclass(frozen=True)
class Node:
    """A node; a worker has no roles in kind."""

    name: str = at(str, "metadata", "name")
    address: str
    pod_cidr: str = at(str, "spec", "podCIDR", absent="")
    roles: tuple[str, ...]


@parse_context("kubectl get pods -o json")
def pods(text: str) -> tuple[Pod, ...]:
    """The pods in `kubectl get pods -o json`. Raises ParseError."""
    return tuple(facts(Pod, item) for item in items(text, "Pod"))


@parse_context("kubectl get nodes -o json")
def nodes(text: str) -> tuple[Node, ...]:
    """The nodes in `kubectl get nodes -o json`; `address` is the InternalIP. Raises ParseError."""
    return tuple(_node(item) for item in items(text, "Node"))


def items(text: str, kind: str) -> list[Any]:
    """The objects of this kind in a List, or the single one that was asked for."""
    top = load(text)
    is_list = take(top, str, "kind") in ("List", f"{kind}List")
    items = take(top, list, "items") if is_list else [top]
    for item in items:
        found = take(item, str, "kind", default=kind)
        if found != kind:
            raise ParseError(WHAT, f"objects of kind {kind}", found, "kind")
    return items


def _node(item: Any) -> Node:
    addresses = take(item, list, "status", "addresses")
    internal = [take_address(entry, "address") for entry in addresses if take(entry, str, "type") == "InternalIP"]
    if not internal:
        raise ParseError(WHAT, "an address of type InternalIP", addresses, "status.addresses")
    labels = take(item, dict, "metadata", "labels", default={})
    roles = tuple(label.removeprefix(ROLE_LABEL) for label in labels if label.startswith(ROLE_LABEL))
    return facts(Node, item, address=internal[0], roles=roles)


SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Port:
    """A port of a Service or an EndpointSlice; `target` (a number or a container port's name) is a Service's."""

    name: str = at(str, "name", absent="")
    port: int = at(int, "port")
    protocol: str = at(str, "protocol")
    target: int | str | None = at(int | str, "targetPort", default=None)


@dataclass(frozen=True)
class Service:
    """A Service; `cluster_ip` is "None" for a headless one and "" for type ExternalName."""

    namespace: str = at(str, "metadata", "namespace")
    name: str = at(str, "metadata", "name")
    type: str = at(str, "spec", "type")
    cluster_ip: str = address_at("spec", "clusterIP", other=("", "None"))
    ports: tuple[Port, ...] = each_at(Port, "spec", "ports")
    selector: Mapping[str, str] = words_at("spec", "selector")


@dataclass(frozen=True)
class Endpoint:
    """One address behind a Service; `pod` is its name (in the slice's namespace), "" if no pod stands behind it."""

    address: str
    ready: bool = at(bool, "conditions", "ready", absent=True)      # as EndpointConditions has it, discovery.k8s.io/v1
    pod: str
    node: str = at(str, "nodeName", absent="")


@dataclass(frozen=True)
class Endpoints:
    """An EndpointSlice: a Service may have several, each with one address type (IPv4, IPv6, FQDN)."""

    namespace: str = at(str, "metadata", "namespace")
    service: str = at(str, "metadata", "labels", SERVICE_LABEL, absent="")
    address_type: str = at(str, "addressType")
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...] = each_at(Port, "ports")


@parse_context("kubectl get services -o json")
def services(text: str) -> tuple[Service, ...]:
    """The services in `kubectl get services -o json`. Raises ParseError."""
    return tuple(facts(Service, item) for item in items(text, "Service"))


@parse_context("kubectl get endpointslices -o json")
def endpoints(text: str) -> tuple[Endpoints, ...]:
    """The slices in `kubectl get endpointslices -o json`. Raises ParseError."""
    return tuple(_slice(item) for item in items(text, "EndpointSlice"))


def _slice(item: Any) -> Endpoints:
    is_address = take(item, str, "addressType") != "FQDN"
    return facts(Endpoints, item, endpoints=tuple(
        _endpoint(entry, {"addresses": address}, is_address)
        for entry in take(item, list, "endpoints", default=[]) for address in take(entry, list, "addresses")))


def _endpoint(entry: Any, one: dict[str, Any], is_address: bool) -> Endpoint:
    address = take_address(one, "addresses") if is_address else take(one, str, "addresses")
    target = take(entry, dict, "targetRef", default={})
    pod = take(target, str, "name") if target.get("kind") == "Pod" else ""
    return facts(Endpoint, entry, address=address, pod=pod)
