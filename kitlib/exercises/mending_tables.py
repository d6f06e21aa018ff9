"""What `ip route`, `conntrack` and `sysctl` would change, applied to the text of what they print. See ip-route(8)."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

from kitlib.errors import ParseError
from kitlib.exercises.answers import WHAT
from kitlib.exercises.mending import Answers, key_and_value, node_only
from kitlib.parsers.ip_route import ROUTE_TYPES

if TYPE_CHECKING:
    from kitlib.lab import Lab

ROUTES, FLOWS = ("ip", "route"), ("conntrack", "-L", "-p", "udp")
FILTERS = {"-s": "src", "--orig-src": "src", "--src": "src", "-d": "dst", "--orig-dst": "dst", "--dst": "dst",
           "--sport": "sport", "--orig-port-src": "sport", "--dport": "dport", "--orig-port-dst": "dport"}
REPLY_FILTERS = {"-r": "src", "--reply-src": "src", "-q": "dst", "--reply-dst": "dst",
                 "--reply-port-src": "sport", "--reply-port-dst": "dport"}


def ip(lab: Lab, place: str, words: list[str]) -> Answers:
    """`ip route add|del|replace|change|append|flush …` in the node's main table."""
    node_only(place, ["ip", *words])
    words = [word for word in words if word not in ("-4",)]
    if len(words) < 3 or words[0] not in ("r", "ro", "route"):
        raise ParseError(WHAT, "ip route add, del, replace, change or flush, and a route", " ".join(["ip", *words]))
    verb, spec = words[1], words[2:]
    lines = lab.run(place, ROUTES).stdout.splitlines()
    same = [line for line in lines if _route(line.split())[1] == _route(spec)[1]]
    if verb in ("del", "delete", "flush"):
        gone = [line for line in same if _fits(line.split(), spec)]
        if not gone:
            raise ParseError(WHAT, "a route that is there, as `ip route` shows it", " ".join(spec))
        lines = [line for line in lines if line not in (gone if verb == "flush" else gone[:1])]
    elif verb in ("add", "append", "replace", "change"):
        if verb == "add" and same:
            raise ParseError(WHAT, "replace or change: there is a route for this destination already", " ".join(spec))
        lines = [line for line in lines if line not in same or verb == "append"] + [" ".join(_with_device(spec))]
    else:
        raise ParseError(WHAT, "add, del, replace, change or flush", verb)
    return {(place, ROUTES): "\n".join(lines) + "\n"}


def _route(words: list[str]) -> tuple[str, str]:
    kind = words[0] if words and words[0] in ROUTE_TYPES else "unicast"
    rest = words[1:] if words and words[0] in ROUTE_TYPES else words
    try:
        return kind, "default" if rest[:1] == ["default"] else str(ip_network(rest[0]))
    except (ValueError, IndexError):
        raise ParseError(WHAT, "a destination such as 10.0.0.0/24", " ".join(words)) from None


def _fits(line: list[str], spec: list[str]) -> bool:
    """Is this the route that `spec` names? A type or next hop that `spec` does not give does not matter."""
    named = [word for word in spec if word not in ROUTE_TYPES][1:]
    return set(named) <= set(line) and (spec[0] not in ROUTE_TYPES or spec[0] == line[0])


def _with_device(spec: list[str]) -> list[str]:
    return spec if "dev" in spec or spec[0] in ROUTE_TYPES else [*spec, "dev", "eth0"]


def conntrack(lab: Lab, place: str, words: list[str]) -> Answers:
    """`conntrack -D FILTERS` or `-F`: the flows that stay."""
    node_only(place, ["conntrack", *words])
    lines = lab.run(place, FLOWS).stdout.splitlines()
    if words[:1] == ["-F"]:
        return {(place, FLOWS): ""}
    if words[:1] != ["-D"]:
        raise ParseError(WHAT, "conntrack -D and what to delete, or -F", " ".join(["conntrack", *words]))
    wanted = list(zip(words[1::2], words[2::2], strict=False))
    return {(place, FLOWS): "".join(f"{line}\n" for line in lines if not all(_has(line, *one) for one in wanted))}


def _has(line: str, option: str, value: str) -> bool:
    if option in ("-p", "--proto"):
        return line.split()[0] == value
    index = 0 if option in FILTERS else 1
    name = (FILTERS | REPLY_FILTERS).get(option)
    if name is None:
        raise ParseError(WHAT, f"one of {', '.join(FILTERS | REPLY_FILTERS)}", option)
    return re.findall(rf"\b{name}=(\S+)", line)[index] == value


def sysctl(lab: Lab, place: str, words: list[str]) -> Answers:
    """`sysctl -w KEY=VALUE`."""
    node_only(place, ["sysctl", *words])
    given = [word for word in words if not word.startswith("-")]
    settings = dict(key_and_value(word) for word in given)
    if not settings:
        raise ParseError(WHAT, "sysctl -w KEY=VALUE", " ".join(["sysctl", *words]))
    return {(place, ("sysctl", key)): f"{key} = {value}\n" for key, value in settings.items()}
