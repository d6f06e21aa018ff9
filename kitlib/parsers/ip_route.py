"""What `ip route` prints, as JSON (`ip -j`) or as plain text: the same facts from both."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import load, take

WITHOUT_DEVICE = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
ROUTE_TYPES = WITHOUT_DEVICE | {"unicast", "local", "broadcast", "anycast", "multicast", "nat"}
ROUTE_FLAGS = frozenset({"onlink", "linkdown", "dead", "pervasive", "offload", "trap", "notify", "unresolved"})


@dataclass(frozen=True)
class Route:
    """A route. What ip leaves out is "": scope when it is global, protocol when it is boot, via on a direct link."""

    destination: str                      # "default", "10.244.0.0/24" or one address
    via: str = ""
    device: str = ""
    source: str = ""
    scope: str = ""
    protocol: str = ""
    type: str = "unicast"
    table: str = "main"


def routes(text: str) -> tuple[Route, ...]:
    """The routes in the output of `ip route` (`show` or `get`), with -j or without. Raises ParseError.

    No output at all is an answer: a table without routes. A route with several next hops is not understood.
    """
    if text.lstrip().startswith("["):
        return tuple(_route_from_json(item) for item in load(text, "ip route"))
    lines = [line for line in text.splitlines() if line.strip()]
    return tuple(_route_from_text(line) for line in lines if not line.startswith("    cache"))


def _route_from_json(item: Any) -> Route:
    what = "ip -j route"
    keys = {"destination": "dst", "via": "gateway", "device": "dev", "source": "prefsrc",
            "scope": "scope", "protocol": "protocol"}
    facts = {name: take(item, str, key, what=what, default="") for name, key in keys.items()}
    return _checked(Route(
        **facts,
        type=take(item, str, "type", what=what, default="unicast"),
        table=take(item, str, "table", what=what, default="main"),
    ), item)


def _route_from_text(line: str) -> Route:
    words = line.split()
    kind = words.pop(0) if words[0] in ROUTE_TYPES else "unicast"
    destination, *rest = words or [""]
    pairs = [word for word in rest if word not in ROUTE_FLAGS]
    if len(pairs) % 2 or line[0].isspace():
        raise ParseError("ip route", "DESTINATION and pairs such as `dev eth0`", line)
    facts = dict(zip(pairs[::2], pairs[1::2], strict=True))
    keys = {"via": "via", "device": "dev", "source": "src", "scope": "scope", "protocol": "proto"}
    named = {name: facts.get(key, "") for name, key in keys.items()}
    return _checked(Route(destination, **named, type=kind, table=facts.get("table", "main")), line)


def _checked(route: Route, found: object) -> Route:
    try:
        if route.destination != "default":
            ip_network(route.destination)
        for address in filter(None, (route.via, route.source)):
            ip_address(address)
    except ValueError:
        raise ParseError("ip route", "a destination, a next hop and a source that are addresses", found) from None
    if not route.device and route.type not in WITHOUT_DEVICE:
        raise ParseError("ip route", "one next hop: dev INTERFACE", found)
    return route
