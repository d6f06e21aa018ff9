"""What `kubectl get … -o json` prints of pods and nodes; a List or a single object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import load, take, take_address, take_words

ROLE_LABEL = "node-role.kubernetes.io/"


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
class Node:
    """A node; a worker has no roles in kind."""

    name: str
    address: str
    pod_cidr: str
    roles: tuple[str, ...]


def pods(text: str) -> tuple[Pod, ...]:
    """The pods in `kubectl get pods -o json`. Raises ParseError."""
    return tuple(_pod(item) for item in items(text, "Pod"))


def nodes(text: str) -> tuple[Node, ...]:
    """The nodes in `kubectl get nodes -o json`; `address` is the InternalIP. Raises ParseError."""
    return tuple(_node(item) for item in items(text, "Node"))


def items(text: str, kind: str) -> list[Any]:
    """The objects of this kind in a List, or the single one that was asked for."""
    what = f"kubectl get -o json ({kind})"
    top = load(text, what)
    is_list = take(top, str, "kind", what=what) in ("List", f"{kind}List")
    items = take(top, list, "items", what=what) if is_list else [top]
    for item in items:
        found = take(item, str, "kind", what=what, default=kind)
        if found != kind:
            raise ParseError(what, f"objects of kind {kind}", found, "kind")
    return items


def named(item: Any, kind: str) -> tuple[str, str]:
    """An object's namespace and name."""
    return take(item, str, "metadata", "namespace", what=kind), take(item, str, "metadata", "name", what=kind)


def _pod(item: Any) -> Pod:
    return Pod(
        *named(item, "Pod"),
        node=take(item, str, "spec", "nodeName", what="Pod", default=""),
        address=take_address(item, "status", "podIP", what="Pod", other=("",)),
        host_network=take(item, bool, "spec", "hostNetwork", what="Pod", default=False),
        dns_policy=take(item, str, "spec", "dnsPolicy", what="Pod"),
        labels=take_words(item, "metadata", "labels", what="Pod"),
    )


def _node(item: Any) -> Node:
    addresses = take(item, list, "status", "addresses", what="Node")
    internal = [take_address(entry, "address", what="Node") for entry in addresses
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
