"""What `ip addr` and `ip link` print, as JSON (`ip -j`) or as plain text: the same facts from both.

What `ip route` prints, as JSON (`ip -j`) or as plain text: the same facts from both."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from kitlib.errors import ParseError, parse_context
from kitlib.parsers.json_fields import WHAT, at, facts, load, take

HEADER = re.compile(r"(\d+): ([^\s:@]+)(?:@(?:if(\d+)|([^\s:]+)))?: <[^>]*> mtu (\d+) .*?\bstate (\S+)")


@dataclass(frozen=True)
class Interface:
    """A network interface as one namespace sees it.

    `peer_index` is the ifindex behind the @ of "eth0@if3", for a veth its other end. Where that end is in another
    namespace, ip names it in plain text (`peer_namespace`, if it has a name under /run/netns) and numbers it
    otherwise and in JSON (`peer_netnsid`).
    """

    index: int = at(int, "ifindex")
    name: str = at(str, "ifname")
    mac: str = at(str, "address", absent="")
    mtu: int = at(int, "mtu")
    state: str = at(str, "operstate")
    addresses: tuple[str, ...] = ()       # "10.244.2.3/24"
    peer_index: int | None = at(int, "link_index", default=None)
    peer_namespace: str = at(str, "link_netns", default="")
    peer_netnsid: int | None = at(int, "link_netnsid", default=None)


@parse_context("ip addr")
def interfaces(text: str) -> tuple[Interface, ...]:
    """The interfaces in the output of `ip addr` or `ip link`, with -j or without. Raises ParseError."""
    items = load(text) if text.lstrip().startswith("[") else [
        _item(block) for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if block.strip()]
    # An empty object is what older iproute2 leaves of an interface that was filtered out.
    found = [(_interface(item), take(item, str, "link", default="")) for item in items if item != {}]
    if not found:
        raise ParseError(WHAT, "at least one interface", text.strip())
    indexes = {interface.name: interface.index for interface, _ in found}
    # A link in the same namespace is given by its name instead of its index.
    return tuple(replace(interface, peer_index=indexes[link]) if link in indexes else interface
                 for interface, link in found)


def _interface(item: Any) -> Interface:
    entries = take(item, list, "addr_info", default=[])
    return facts(Interface, item, addresses=tuple(_cidr(entry) for entry in entries if entry))


def _cidr(entry: Any) -> str:
    address = f"{take(entry, str, 'local')}/{take(entry, int, 'prefixlen')}"
    try:
        ip_interface(address)
    except ValueError:
        raise ParseError(WHAT, "an address with its prefix length", address) from None
    return address


def _item(block: str) -> dict[str, Any]:
    """What `ip -j` would say of an interface, from its lines of plain text."""
    first, *rest = block.splitlines()
    header = HEADER.match(first)
    lines = [line.split() for line in rest if line.strip()]
    link = next((words for words in lines if words[0].startswith("link/")), None)
    if not header or link is None:
        raise ParseError(WHAT, "N: NAME: <FLAGS> mtu N … state STATE, then link/…", block.strip())
    if link[0] == "link/ether" and not re.fullmatch("(..:){5}..", "".join(link[1:2])):
        raise ParseError(WHAT, "link/ether and a MAC address", " ".join(link), header[2])
    index, name, peer, behind, mtu, state = header.groups()
    return {"ifindex": int(index), "ifname": name, "mtu": int(mtu), "operstate": state, "address": "".join(link[1:2]),
            "link": behind, "link_index": peer and int(peer), "link_netns": _after(link, "link-netns"),
            "link_netnsid": _number(_after(link, "link-netnsid"), link),
            "addr_info": [_address(words) for words in lines if words[0] in ("inet", "inet6")]}


def _address(words: list[str]) -> dict[str, Any]:
    """`inet 10.0.0.1/24 …`; on a point-to-point link `inet 10.0.0.1 peer 10.0.0.2/32 …`."""
    local, _, length = "".join(words[1:2]).partition("/")
    peer = _after(words, "peer")
    return {"local": local, "prefixlen": _number(peer.partition("/")[2] if peer else length, words)}


def _number(digits: str | None, words: list[str]) -> int | None:
    if digits and not re.fullmatch("[0-9]+", digits):
        raise ParseError(WHAT, "a number", " ".join(words))
    return int(digits) if digits else None


def _after(words: list[str], key: str) -> str | None:
    return words[words.index(key) + 1] if key in words[:-1] else None


WITHOUT_DEVICE = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
ROUTE_TYPES = WITHOUT_DEVICE | {"unicast", "local", "broadcast", "anycast", "multicast", "nat"}
ROUTE_FLAGS = frozenset({"onlink", "linkdown", "dead", "pervasive", "offload", "trap", "notify", "unresolved"})
JSON_NAMES = {"via": "gateway", "src": "prefsrc", "proto": "protocol"}       # what plain text calls by another name


@dataclass(frozen=True)
class Route:
    """A route. What ip leaves out is "": scope when it is global, protocol when it is boot, via on a direct link."""

    destination: str = at(str, "dst")     # "default", "10.244.0.0/24" or one address
    via: str = at(str, "gateway", default="")
    device: str = at(str, "dev", default="")
    source: str = at(str, "prefsrc", default="")
    scope: str = at(str, "scope", default="")
    protocol: str = at(str, "protocol", default="")
    type: str = at(str, "type", default="unicast")
    table: str = at(str, "table", default="main")


@parse_context("ip route")
def routes(text: str) -> tuple[Route, ...]:
    """The routes in the output of `ip route` (`show` or `get`), with -j or without. Raises ParseError.

    No output at all is an answer: a table without routes. A route with several next hops is not understood.
    """
    items = load(text) if text.lstrip().startswith("[") else [
        _route_item(line) for line in text.splitlines() if line.strip() and not line.startswith("    cache")]
    return tuple(_checked(facts(Route, item), item) for item in items)


def _route_item(line: str) -> dict[str, str]:
    """What `ip -j` would say of a route, from its line of plain text."""
    words = line.split()
    kind = words.pop(0) if words[0] in ROUTE_TYPES else "unicast"
    destination, *rest = words or [""]
    pairs = [word for word in rest if word not in ROUTE_FLAGS]
    if len(pairs) % 2 or line[0].isspace():
        raise ParseError(WHAT, "DESTINATION and pairs such as `dev eth0`", line)
    said = {JSON_NAMES.get(word, word): value for word, value in zip(pairs[::2], pairs[1::2], strict=True)}
    return {**said, "dst": destination, "type": kind}


def _checked(route: Route, found: object) -> Route:
    try:
        if route.destination != "default":
            ip_network(route.destination)
        for address in filter(None, (route.via, route.source)):
            ip_address(address)
    except ValueError:
        raise ParseError(WHAT, "a destination, a next hop and a source that are addresses", found) from None
    if not route.device and route.type not in WITHOUT_DEVICE:
        raise ParseError(WHAT, "one next hop: dev INTERFACE", found)
    return route
