"""What `docker network inspect NETWORK` prints: the network that kind's nodes are on, and who is attached to it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any

from kitlib.errors import ParseError, parse_context
from kitlib.parsers import json_text
from kitlib.parsers.ip import can_read
from kitlib.parsers.json_text import value_at, words_at


@dataclass(frozen=True)
class Attachment:
    """A container's interface on a network; a stopped container has no address ("") and prefix length 0."""

    container: str
    network: str
    address: str
    prefix_length: int
    gateway: str
    mac: str


@dataclass(frozen=True)
class Network:
    """A Docker network. Subnet and gateway are the IPv4 ones; `bridge` is the host's interface ("" for no bridge)."""

    name: str
    subnet: str
    gateway: str
    bridge: str
    attachments: tuple[Attachment, ...]


@parse_context("docker network inspect")
def networks(text: str) -> tuple[Network, ...]:
    """Return the networks in `docker network inspect NETWORK…`. Raises ParseError.

    The bridge is named by the option com.docker.network.bridge.name; without it the bridge driver takes "br-" and
    the first 12 digits of the network's id (https://docs.docker.com/engine/network/drivers/bridge/).
    """
    items = json_text.parse(text)
    if not isinstance(items, list) or not items:
        raise ParseError("JSON", "a JSON list with at least one object", items)
    return tuple(_network(item) for item in items)


def _network(item: Any) -> Network:
    ranges = [_range(entry) for entry in value_at(item, "IPAM.Config", list, [])]
    subnet, gateway = next((found for found in ranges if ":" not in found[0]), ("", ""))
    name, bridge = value_at(item, "Name"), f"br-{value_at(item, 'Id')[:12]}"
    if value_at(item, "Driver") == "bridge":
        bridge = words_at(item, "Options").get("com.docker.network.bridge.name", bridge)
    else:
        bridge = ""
    members = value_at(item, "Containers", dict, {}).values()
    return Network(name, subnet, gateway, bridge, tuple(_attachment(end, name, gateway) for end in members))


def _range(entry: Any) -> tuple[str, str]:
    subnet = value_at(entry, "Subnet")
    if not can_read(ip_network, subnet):
        raise ParseError("JSON", "a subnet", subnet, "IPAM.Config.Subnet")
    return subnet, value_at(entry, "Gateway", default="")


def _attachment(end: Any, network: str, gateway: str) -> Attachment:
    container, cidr = value_at(end, "Name"), value_at(end, "IPv4Address")
    try:
        interface = ip_interface(cidr) if cidr else None
    except ValueError:
        raise ParseError("JSON", "an address with its prefix length", cidr, f"container {container}") from None
    address, length = (str(interface.ip), interface.network.prefixlen) if interface else ("", 0)
    return Attachment(container, network, address, length, gateway, value_at(end, "MacAddress"))
