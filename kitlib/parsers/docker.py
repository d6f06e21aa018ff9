"""What Docker prints: `docker container ls`, `docker inspect CONTAINER`, `docker network inspect NETWORK`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import load, take, take_address

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
    address: str
    prefix_length: int
    gateway: str
    mac: str


@dataclass(frozen=True)
class Network:
    """A Docker network. Subnet and gateway are the IPv4 ones; `bridge` is the host's interface ("" for no bridge)."""

    name: str
    id: str
    driver: str
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


def attachments(text: str) -> tuple[Attachment, ...]:
    """The networks of the containers in `docker inspect CONTAINER…`, one Attachment each. Raises ParseError."""
    what = "docker inspect"
    return tuple(
        Attachment(
            take(item, str, "Name", what=what).removeprefix("/"),
            network,
            take_address(end, "IPAddress", what=what, other=("",)),
            take(end, int, "IPPrefixLen", what=what),
            take(end, str, "Gateway", what=what),
            take(end, str, "MacAddress", what=what),
        )
        for item in _objects(text, what)
        for network, end in take(item, dict, "NetworkSettings", "Networks", what=what).items()
    )


def networks(text: str) -> tuple[Network, ...]:
    """The networks in `docker network inspect NETWORK…`. Raises ParseError.

    The bridge is named by the option com.docker.network.bridge.name; without it the bridge driver takes "br-" and
    the first 12 digits of the network's id (https://docs.docker.com/engine/network/drivers/bridge/).
    """
    return tuple(_network(item) for item in _objects(text, "docker network inspect"))


def _network(item: dict[str, Any]) -> Network:
    what = "docker network inspect"
    name, identifier, driver = (take(item, str, key, what=what) for key in ("Name", "Id", "Driver"))
    subnet, gateway = _ipv4_range(take(take(item, dict, "IPAM", what=what), list, "Config", what=what, default=[]))
    options = take(item, dict, "Options", what=what, default={})
    bridge = options.get("com.docker.network.bridge.name", f"br-{identifier[:12]}") if driver == "bridge" else ""
    ends = take(item, dict, "Containers", what=what, default={})
    members = tuple(_member(end, name, gateway) for end in ends.values())
    return Network(name, identifier, driver, subnet, gateway, bridge, members)


def _ipv4_range(ranges: list[Any]) -> tuple[str, str]:
    what = "docker network inspect"
    for entry in ranges:
        subnet = take(entry, str, "Subnet", what=what)
        try:
            version = ip_network(subnet).version
        except ValueError:
            raise ParseError(what, "a subnet", subnet, "IPAM.Config.Subnet") from None
        if version == 4:
            return subnet, take(entry, str, "Gateway", what=what, default="")
    return "", ""


def _member(end: Any, network: str, gateway: str) -> Attachment:
    what = "docker network inspect"
    name, cidr, mac = (take(end, str, key, what=what) for key in ("Name", "IPv4Address", "MacAddress"))
    try:
        interface = ip_interface(cidr) if cidr else None
    except ValueError:
        raise ParseError(what, "an address with its prefix length", cidr, f"container {name}") from None
    address, length = (str(interface.ip), interface.network.prefixlen) if interface else ("", 0)
    return Attachment(name, network, address, length, gateway, mac)


def _objects(text: str, what: str) -> list[Any]:
    items = load(text, what)
    if not isinstance(items, list) or not items:
        raise ParseError(what, "a JSON list with at least one object", items)
    return items
