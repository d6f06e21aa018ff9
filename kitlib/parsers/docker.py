"""What Docker prints: `docker container ls`, `docker inspect CONTAINER`, `docker network inspect NETWORK`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.json_fields import WHAT, address_at, at, facts, load, take

COLUMNS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


@dataclass(frozen=True)
class Container:
    """A row of `docker container ls`; every value as printed."""

    id: str
    image: str
    command: str
    created: str
    status: str
    ports: str
    name: str


@dataclass(frozen=True)
class Attachment:
    """A container's interface on a network; a stopped container has no address ("") and prefix length 0."""

    container: str
    network: str
    address: str = address_at("IPAddress", other=("",))
    prefix_length: int = at(int, "IPPrefixLen")
    gateway: str = at(str, "Gateway")
    mac: str = at(str, "MacAddress")


@dataclass(frozen=True)
class Network:
    """A Docker network. Subnet and gateway are the IPv4 ones; `bridge` is the host's interface ("" for no bridge)."""

    name: str = at(str, "Name")
    id: str = at(str, "Id")
    driver: str = at(str, "Driver")
    subnet: str
    gateway: str
    bridge: str
    attachments: tuple[Attachment, ...]


def containers(text: str) -> tuple[Container, ...]:
    """The rows of `docker container ls`. Raises ParseError.

    The columns stand below their headings (Docker pads with Go's text/tabwriter, which counts characters), so that
    an empty PORTS column is no riddle; without the heading line the text cannot be read.
    """
    heading, *rows = text.splitlines() or [""]
    starts = [heading.find(column) for column in COLUMNS]
    if heading.split() != " ".join(COLUMNS).split():
        raise ParseError("docker container ls", f"the heading {' '.join(COLUMNS)}", heading, "line 1")
    return tuple(_container(row, starts, number) for number, row in enumerate(rows, start=2) if row.strip())


def _container(row: str, starts: list[int], number: int) -> Container:
    values = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    aligned = all(row[start - 1] == " " for start in starts[1:] if start <= len(row))
    if not aligned or not re.fullmatch("[0-9a-f]{12,64}", values[0]) or not values[-1]:
        raise ParseError("docker container ls", "a row with an id, a name and all between", row, f"line {number}")
    return Container(*values)


@parse_context("docker inspect")
def attachments(text: str) -> tuple[Attachment, ...]:
    """The networks of the containers in `docker inspect CONTAINER…`, one Attachment each. Raises ParseError."""
    return tuple(facts(Attachment, end, container=take(item, str, "Name").removeprefix("/"), network=network)
                 for item in _objects(text)
                 for network, end in take(item, dict, "NetworkSettings", "Networks").items())


@parse_context("docker network inspect")
def networks(text: str) -> tuple[Network, ...]:
    """The networks in `docker network inspect NETWORK…`. Raises ParseError.

    The bridge is named by the option com.docker.network.bridge.name; without it the bridge driver takes "br-" and
    the first 12 digits of the network's id (https://docs.docker.com/engine/network/drivers/bridge/).
    """
    return tuple(_network(item) for item in _objects(text))


def _network(item: Any) -> Network:
    ranges = [_range(entry) for entry in take(take(item, dict, "IPAM"), list, "Config", default=[])]
    subnet, gateway = next((found for found in ranges if ":" not in found[0]), ("", ""))
    bridge = take(item, str, "Options", "com.docker.network.bridge.name", default=f"br-{take(item, str, 'Id')[:12]}")
    members = tuple(_member(end, gateway, take(item, str, "Name"))
                    for end in take(item, dict, "Containers", default={}).values())
    return facts(Network, item, subnet=subnet, gateway=gateway, attachments=members,
                 bridge=bridge if take(item, str, "Driver") == "bridge" else "")


def _range(entry: Any) -> tuple[str, str]:
    subnet = take(entry, str, "Subnet")
    try:
        ip_network(subnet)
    except ValueError:
        raise ParseError(WHAT, "a subnet", subnet, "IPAM.Config.Subnet") from None
    return subnet, take(entry, str, "Gateway", default="")


def _member(end: Any, gateway: str, network: str) -> Attachment:
    cidr, name = take(end, str, "IPv4Address"), take(end, str, "Name")
    try:
        interface = ip_interface(cidr) if cidr else None
    except ValueError:
        raise ParseError(WHAT, "an address with its prefix length", cidr, f"container {name}") from None
    address, length = (str(interface.ip), interface.network.prefixlen) if interface else ("", 0)
    return Attachment(name, network, address, length, gateway, take(end, str, "MacAddress"))


def _objects(text: str) -> list[Any]:
    items = load(text)
    if not isinstance(items, list) or not items:
        raise ParseError(WHAT, "a JSON list with at least one object", items)
    return items
