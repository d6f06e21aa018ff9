"""What Docker prints: `docker container ls`, `docker inspect CONTAINER`, `docker network inspect NETWORK`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import address_at, at, facts, load, take

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


def attachments(text: str) -> tuple[Attachment, ...]:
    """The networks of the containers in `docker inspect CONTAINER…`, one Attachment each. Raises ParseError."""
    what = "docker inspect"
    return tuple(
        facts(Attachment, end, what, container=take(item, str, "Name", what=what).removeprefix("/"), network=network)
        for item in _objects(text, what)
        for network, end in take(item, dict, "NetworkSettings", "Networks", what=what).items())


def networks(text: str) -> tuple[Network, ...]:
    """The networks in `docker network inspect NETWORK…`. Raises ParseError.

    The bridge is named by the option com.docker.network.bridge.name; without it the bridge driver takes "br-" and
    the first 12 digits of the network's id (https://docs.docker.com/engine/network/drivers/bridge/).
    """
    return tuple(_network(item, "docker network inspect") for item in _objects(text, "docker network inspect"))


def _network(item: Any, what: str) -> Network:
    ranges = take(take(item, dict, "IPAM", what=what), list, "Config", what=what, default=[])
    subnet, gateway = next(filter(None, (_ipv4_range(entry, what) for entry in ranges)), ("", ""))
    members = tuple(_member(end, item, gateway, what)
                    for end in take(item, dict, "Containers", what=what, default={}).values())
    bridge = "br-" + take(item, str, "Id", what=what)[:12] if take(item, str, "Driver", what=what) == "bridge" else ""
    if bridge:
        bridge = take(item, str, "Options", "com.docker.network.bridge.name", what=what, default=bridge)
    return facts(Network, item, what, subnet=subnet, gateway=gateway, bridge=bridge, attachments=members)


def _ipv4_range(entry: Any, what: str) -> tuple[str, str] | None:
    subnet = take(entry, str, "Subnet", what=what)
    try:
        is_ipv4 = ip_network(subnet).version == 4
    except ValueError:
        raise ParseError(what, "a subnet", subnet, "IPAM.Config.Subnet") from None
    return (subnet, take(entry, str, "Gateway", what=what, default="")) if is_ipv4 else None


def _member(end: Any, network: Any, gateway: str, what: str) -> Attachment:
    cidr = take(end, str, "IPv4Address", what=what)
    name = take(end, str, "Name", what=what)
    try:
        interface = ip_interface(cidr) if cidr else None
    except ValueError:
        raise ParseError(what, "an address with its prefix length", cidr, f"container {name}") from None
    return facts(Attachment, end, what, container=name, network=take(network, str, "Name", what=what), gateway=gateway,
                 address=str(interface.ip) if interface else "",
                 prefix_length=interface.network.prefixlen if interface else 0)


def _objects(text: str, what: str) -> list[Any]:
    items = load(text, what)
    if not isinstance(items, list) or not items:
        raise ParseError(what, "a JSON list with at least one object", items)
    return items
