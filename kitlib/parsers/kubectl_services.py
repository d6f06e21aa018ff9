"""What `kubectl get … -o json` prints of services and endpointslices; a List or a single object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.parsers.json_fields import take, take_address, take_words
from kitlib.parsers.kubectl import items, named

SERVICE_LABEL = "kubernetes.io/service-name"


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


def services(text: str) -> tuple[Service, ...]:
    """The services in `kubectl get services -o json`. Raises ParseError."""
    return tuple(_service(item) for item in items(text, "Service"))


def endpoints(text: str) -> tuple[Endpoints, ...]:
    """The slices in `kubectl get endpointslices -o json`. Raises ParseError.

    An endpoint whose `ready` is not said counts as ready, as the API has it (EndpointConditions, discovery.k8s.io/v1).
    """
    return tuple(_slice(item) for item in items(text, "EndpointSlice"))


def _service(item: Any) -> Service:
    return Service(
        *named(item, "Service"),
        type=take(item, str, "spec", "type", what="Service"),
        cluster_ip=take_address(item, "spec", "clusterIP", what="Service", other=("", "None")),
        ports=_ports(take(item, list, "spec", "ports", what="Service", default=[]), "Service"),
        selector=take_words(item, "spec", "selector", what="Service"),
    )


def _slice(item: Any) -> Endpoints:
    what = "EndpointSlice"
    kind = take(item, str, "addressType", what=what)
    return Endpoints(
        named(item, what)[0],
        service=take(item, str, "metadata", "labels", SERVICE_LABEL, what=what, default=""),
        address_type=kind,
        endpoints=tuple(
            _endpoint(entry, _address(address, kind))
            for entry in take(item, list, "endpoints", what=what, default=[])
            for address in take(entry, list, "addresses", what=what)
        ),
        ports=_ports(take(item, list, "ports", what=what, default=[]), what),
    )


def _address(value: Any, kind: str) -> str:
    found, what = {"addresses": value}, "EndpointSlice"
    return take(found, str, "addresses", what=what) if kind == "FQDN" else take_address(found, "addresses", what=what)


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
            take(entry, int | str, "targetPort", what=what, default=None),
        )
        for entry in entries
    )
