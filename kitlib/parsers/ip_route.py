"""What `ip route` prints, as JSON (`ip -j`) or as plain text: the same facts from both."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from kitlib.errors import ParseError, told_of
from kitlib.parsers.json_fields import WHAT, at, facts, load

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


@told_of("ip route")
def routes(text: str) -> tuple[Route, ...]:
    """The routes in the output of `ip route` (`show` or `get`), with -j or without. Raises ParseError.

    No output at all is an answer: a table without routes. A route with several next hops is not understood.
    """
    items = load(text) if text.lstrip().startswith("[") else [
        _item(line) for line in text.splitlines() if line.strip() and not line.startswith("    cache")]
    return tuple(_checked(facts(Route, item), item) for item in items)


def _item(line: str) -> dict[str, str]:
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
