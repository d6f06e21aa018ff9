"""What `kubectl get … -o json` prints of pods and nodes; a List or a single object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kitlib.errors import ParseError, told_of
from kitlib.parsers.json_fields import WHAT, address_at, at, facts, load, take, take_address, words_at

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


@told_of("kubectl get pods -o json")
def pods(text: str) -> tuple[Pod, ...]:
    """The pods in `kubectl get pods -o json`. Raises ParseError."""
    return tuple(facts(Pod, item) for item in items(text, "Pod"))


@told_of("kubectl get nodes -o json")
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
