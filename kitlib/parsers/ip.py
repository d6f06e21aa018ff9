"""What `ip addr`, `ip link`, `ip route` and `ip rule` print, without -j: ip-address(8), ip-route(8) and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network

from kitlib.errors import ParseError, parse_context

HEADER = re.compile(r"(\d{1,20}): ([^\s:@]+)(?:@(?:if(\d{1,20})|([^\s:]+)))?: <[^>]*> mtu (\d{1,20}) "
                    r"(?:.*?\bmaster (\S+))?.*?\bstate (\S+)")
WITHOUT_DEVICE = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
ROUTE_TYPES = WITHOUT_DEVICE | {"unicast", "local", "broadcast", "anycast", "multicast", "nat"}
ROUTE_FLAGS = frozenset({"onlink", "linkdown", "dead", "pervasive", "offload", "trap", "notify", "unresolved"})
ROUTE_WORDS = {"via": "via", "dev": "device", "src": "source", "scope": "scope", "proto": "protocol", "table": "table"}
# The interfaces to which kube-proxy in IPVS mode, and kube-router, give every Service's address.
IPVS = frozenset({"kube-ipvs0", "kube-dummy-if"})
USUAL_RULES = ("from all lookup local", "from all lookup main", "from all lookup default")
AVOIDED = frozenset({"deprecated", "tentative", "dadfailed"})      # flags of an address (net/ipv6/addrconf.c)
NO_MATTER = frozenset({  # what neither limits a route to some packets nor sends them elsewhere
    "metric", "pref", "expires", "nhid", "error", "uid", "mtu", "advmss", "hoplimit", "window", "rtt", "rttvar",
    "rto_min", "ssthresh", "cwnd", "initcwnd", "initrwnd", "reordering", "quickack", "congctl"})


@dataclass(frozen=True)
class Interface:
    """A network interface as one namespace sees it.

    `peer_index` is the ifindex behind the @ of "eth0@if3", for a veth its other end. Where that end is in another
    namespace that has a name under /run/netns, `peer_namespace` is that name. `avoided` are those of its addresses that
    nothing is sent from as long as there is another: deprecated, or not known to be its own alone. `master`: the bridge
    or bond that it is a port of; what comes in by it comes in by that.
    """

    index: int
    name: str
    mac: str
    mtu: int
    state: str
    addresses: tuple[str, ...] = ()       # "10.244.2.3/24"
    peer_index: int | None = None
    peer_namespace: str = ""
    avoided: tuple[str, ...] = field(default=(), repr=False)
    master: str = field(default="", repr=False)


@dataclass(frozen=True)
class Route:
    """A route. What ip leaves out is "": scope when it is global, protocol when it is boot, via on a direct link.

    `version` is that of IP, 4 or 6. `unknown` says why it is not known where the route leads; "" if it is.
    """

    destination: str                      # "default", "10.244.0.0/24" or one address
    via: str = ""
    device: str = ""
    source: str = ""
    scope: str = ""
    protocol: str = ""
    type: str = "unicast"
    table: str = "main"
    version: int = field(default=4, repr=False)
    unknown: str = field(default="", repr=False)
    metric: int = field(default=0, repr=False)
    is_dead: bool = field(default=False, repr=False)      # its link is down: the kernel passes it over


@parse_context("ip addr")
def interfaces(text: str) -> tuple[Interface, ...]:
    """Return the interfaces in the output of `ip addr` or `ip link`. Raises ParseError."""
    blocks = [block for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if block.strip()]
    found = [_interface(block) for block in blocks]
    if not found:
        raise ParseError("ip", "at least one interface", text.strip())
    indexes = {interface.name: interface.index for interface, _ in found}
    # A link in the same namespace is given by its name instead of its index.
    return tuple(replace(interface, peer_index=indexes[link]) if link in indexes else interface
                 for interface, link in found)


def _interface(block: str) -> tuple[Interface, str]:
    """Return an interface and the name behind its @."""
    first, *rest = block.splitlines()
    header = HEADER.match(first)
    lines = [line.split() for line in rest if line.strip()]
    link = next((words for words in lines if words[0].startswith("link/")), None)
    if not header or link is None:
        raise ParseError("ip", "N: NAME: <FLAGS> mtu N … state STATE, then link/…", block.strip())
    if link[0] == "link/ether" and not re.fullmatch("(..:){5}..", "".join(link[1:2])):
        raise ParseError("ip", "link/ether and a MAC address", " ".join(link), header[2])
    index, name, peer, link_name, mtu, master, state = header.groups()
    flags = {_address(words): AVOIDED.intersection(words) for words in lines if words[0] in ("inet", "inet6")}
    avoided = tuple(address for address, found in flags.items() if found)
    return Interface(int(index), name, "".join(link[1:2]), int(mtu), state, tuple(flags), int(peer) if peer else None,
                     _after(link, "link-netns"), avoided, master or ""), link_name


def _address(words: list[str]) -> str:
    """Read `inet 10.0.0.1/24 …`, or on a point-to-point link `inet 10.0.0.1 peer 10.0.0.2/32 …`."""
    local, _, length = "".join(words[1:2]).partition("/")
    address = f"{local}/{_after(words, 'peer').partition('/')[2] or length}"
    if not can_read(ip_interface, address):
        raise ParseError("ip", "an address with its prefix length", " ".join(words))
    return address


def _after(words: list[str], key: str) -> str:
    return words[words.index(key) + 1] if key in words[:-1] else ""


@parse_context("ip route")
def routes(text: str, version: int = 4) -> tuple[Route, ...]:
    """Return the routes in the output of `ip route` (`show` or `get`), or of `ip -6 route` with `version` 6.

    No output at all is an answer: a table without routes. A line that is not understood, or a route with several next
    hops, is a route that leads nobody knows where: `unknown`. Raises ParseError where a line has no destination.
    """
    found: list[Route] = []
    for line in text.splitlines():
        if line[:1].isspace() and line.split()[:1] == ["nexthop"] and found:
            words = f"the route {found[-1].destination} has several next hops, and which one is taken is not known here"
            found[-1] = replace(found[-1], unknown=words)
        elif line.strip() and not line.startswith("    cache"):
            found.append(_route(line, version))
    return tuple(found)


@parse_context("ip rule")
def rules(text: str) -> tuple[str, ...]:
    """Return the lines of `ip rule`, which say who looks up which table, in the order in which the kernel asks them."""
    found = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    for number, line in enumerate(found, 1):
        if not re.match(r"\d+: (not )?from ", line):
            raise ParseError("ip rule", "PRIORITY: from …", line, f"line {number}")
    return found


def unusual_rules(lines: Sequence[str], table: str = "") -> list[str]:
    """Return the lines of `ip rule` that are not on every machine, of those that are asked before this table.

    All lines, if the usual three are in another order, or one of them is missing (IPv6 has none for "default").
    """
    words = [line.partition(": ")[2] for line in lines]
    if tuple(word for word in words if word in USUAL_RULES) not in (USUAL_RULES, USUAL_RULES[:2]):
        return list(lines)
    before = words.index(f"from all lookup {table}") if f"from all lookup {table}" in words else len(words)
    return [line for line, word in zip(lines[:before], words, strict=False) if word not in USUAL_RULES]


def _route(line: str, version: int) -> Route:
    """Read a line of `ip route`. Next hops of IPv6 stand in routes of IPv4 as `via inet6 ADDRESS`; "pref" is IPv6's."""
    kind, destination, rest = _head(line)
    words = [word for word in rest if word not in (*ROUTE_FLAGS, "inet6")]
    if words[:1] == ["from"] and can_read(ip_address, destination):     # the packet that `ip route get` was asked about
        words = words[2:]
    known = {ROUTE_WORDS[word]: value for word, value in zip(words[::2], words[1::2], strict=False)
             if word in ROUTE_WORDS}
    is_six = ":" in destination or "pref" in words or (":" in known.get("via", "") and "inet6" not in rest)
    metric = _after(words, "metric")
    route = Route(destination, type=kind, version=6 if is_six else version, **known, is_dead="dead" in rest,
                  metric=int(metric) if metric.isdecimal() and len(metric) < 11 else 0)
    is_read = NO_MATTER.union(ROUTE_WORDS).issuperset(words[::2]) and len(words) % 2 == 0
    are_addresses = all(can_read(ip_address, each) for each in (route.via, route.source) if each)
    if is_read and are_addresses and (route.device or kind in WITHOUT_DEVICE):
        return route
    return Route(destination, type=kind, table=route.table, version=route.version,
                 unknown=f"the route {' '.join(line.split())!r} is not understood here")


def _head(line: str) -> tuple[str, str, list[str]]:
    """Split a line into the route's type, its destination and what follows."""
    words = line.split()
    kind = words.pop(0) if words[0] in ROUTE_TYPES else "unicast"
    destination, *rest = words or [""]
    if line[0].isspace() or not (destination == "default" or can_read(ip_network, destination)):
        raise ParseError("ip", "a destination, and pairs such as `dev eth0`", line)
    return kind, destination, rest


def can_read(read: Callable[[str], object], text: str) -> bool:
    """Say whether `read` (ip_address, ip_network, …) takes this text: it raises ValueError or OSError if not."""
    try:
        read(text)
    except (ValueError, OSError):
        return False
    return True
