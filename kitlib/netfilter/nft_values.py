"""What the expressions of nftables are for a packet: header fields, metadata, lookups, coins.

Source: nft(8), EXPRESSIONS; net/netfilter/nft_payload.c, nft_meta.c, nft_ct.c, nft_fib.c, nft_numgen.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import and_, lshift, or_, rshift, xor
from types import MappingProxyType
from typing import Any, NamedTuple

from kitlib.netfilter.packet import Packet, Unknown
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.nft import Key, Table, number
from kitlib.parsers.nft_text import BITWISE, expression, flags, key_text

PORTS = ("udp", "tcp", "sctp", "dccp", "udplite")
TRANSPORTS = (*PORTS, "icmp", "icmpv6", "igmp", "esp", "ah", "comp")      # a packet has the header of one of them
OPERATIONS = {"&": and_, "|": or_, "^": xor, "<<": lshift, ">>": rshift}
NAMES = {"saddr": "source", "daddr": "destination", "sport": "source port", "dport": "destination port",
         "l4proto": "protocol", "nfproto": "IP version", "iifname": "in-interface", "oifname": "out-interface",
         "iif": "in-interface", "oif": "out-interface", "state": "conntrack state", "status": "conntrack status"}


class Breaks(Exception):
    """A statement does not hold: the rule ends here, and the next follows."""


class Draws(Exception):
    """The rule throws a coin: which one, and how many sides it has."""


class Context(NamedTuple):
    """What the expressions of a rule look at. `drawn`: what each coin shows, by its id().

    `explains`: a key that is missing is told with the nearest that are there.
    """

    packet: Packet
    netfilter: Netfilter
    table: Table
    hook: str
    drawn: Mapping[int, int] = MappingProxyType({})
    explains: bool = False


def look_up(value: Any, data: Any, context: Context, is_map: bool) -> Any:
    """Return what a set or map has for a key, None if it is not there. Raises Unknown if packets change the set."""
    found, key = context.table.set(data, is_map), key_of(value)
    if found is None or any(isinstance(part, frozenset) for part in key):    # of flags all would have to be known
        raise Unknown(f"unknown here: {expression(data)}")
    result = found.find(key)
    if found.is_changed_by_packets:
        raise Unknown(f"only if {key_text(key)} is in @{found.name}, which packets change: it was "
                      f"{'' if result else 'not '}there when the rules were read")
    return result


def key_of(value: Any) -> Key:
    """Return a value as the key of a set or map."""
    return value if isinstance(value, tuple) else (value,)


def value_of(value: Any, context: Context) -> Any:
    """Return what an expression is for a packet: a text, a number, flags as a set, or a tuple of them (a key)."""
    if not isinstance(value, dict):
        return value
    name, body = next(iter(value.items()))
    if name in BITWISE:
        first, *others = (number(value_of(side, context)) for side in body)
        for other in others:
            first = OPERATIONS[name](first, other) & (1 << 128) - 1
        return first
    if name not in EXPRESSIONS:
        raise Unknown(f"unknown here: {expression(value)}")
    return EXPRESSIONS[name](body, context)


def _payload(body: dict[str, Any], context: Context) -> Any:
    protocol, what, packet = body.get("protocol"), body.get("field"), context.packet
    if protocol in ("ip", "ip6"):
        if (protocol == "ip6") != (":" in packet.source):
            raise Breaks(f"it is no packet of {protocol}")
        if what in ("saddr", "daddr"):
            return packet.source if what == "saddr" else packet.destination
        if what in ("protocol", "nexthdr"):
            return packet.protocol
        if what == "version":
            return 6 if protocol == "ip6" else 4
    elif protocol in TRANSPORTS and protocol != packet.protocol:
        raise Breaks(f"protocol is {packet.protocol}, the rule wants {protocol}")
    if what in ("sport", "dport") and packet.protocol in PORTS and protocol in ("th", *PORTS):
        port = packet.sport if what == "sport" else packet.dport
        if port is None:
            raise Unknown(f"which {NAMES[what]} was drawn is not known here")
        return port
    raise Unknown(f"unknown here: {expression({'payload': body})}")


def _meta(body: dict[str, Any], context: Context) -> Any:
    if body["key"] not in META:
        raise Unknown(f"unknown here: meta {body['key']}")
    return META[body["key"]](context.packet)


def _family(packet: Packet, words: tuple[str, str]) -> str:
    return words[":" in packet.source]


META: dict[str, Callable[[Packet], Any]] = {
    "l4proto": lambda packet: packet.protocol,
    "nfproto": lambda packet: _family(packet, ("ipv4", "ipv6")),
    "protocol": lambda packet: _family(packet, ("ip", "ip6")),
    "mark": lambda packet: packet.mark,
    "iifname": lambda packet: packet.in_interface,
    "oifname": lambda packet: packet.out_interface,
    "iif": lambda packet: packet.in_interface,
    "oif": lambda packet: packet.out_interface,
}


def _ct(body: dict[str, Any], context: Context) -> str | frozenset[str]:
    """The connection's state, one word; its status, flags; a packet without a connection has none (nft_ct.c)."""
    states = context.packet.states
    if body["key"] == "state" and "dir" not in body:
        state, = states - {"DNAT", "SNAT"}
        return state.lower()
    if body["key"] == "status":
        if states & {"INVALID", "UNTRACKED"}:
            raise Breaks("the packet belongs to no connection")
        return frozenset(state.lower() for state in states & {"DNAT", "SNAT"})
    raise Unknown(f"unknown here: {expression({'ct': body})}")


def _fib(body: dict[str, Any], context: Context) -> str:
    """The type of an address by the local routes (nft_fib_ipv4.c, nft_fib_ipv6.c)."""
    if body["result"] == "oif" and {"saddr", "iif"} <= {*flags(body)} <= {"saddr", "iif", "mark"}:
        return _way_back(context)
    if body["result"] != "type" or flags(body) not in (["daddr"], ["saddr"]):
        raise Unknown(f"unknown here: {expression({'fib': body})}")
    address = context.packet.destination if flags(body) == ["daddr"] else context.packet.source
    kind = context.netfilter.type_of(address).lower()
    decision = context.netfilter.route(address) if kind == "unicast" and ":" in address else None
    if not kind or (decision and decision.unknown):
        why = context.netfilter.unknown_addresses if not kind else decision.unknown
        raise Unknown(f"unknown here: {expression({'fib': body})}: {why}")
    if decision and decision.route is None:
        return "unreachable"
    return kind


def _way_back(context: Context) -> str:
    """The interface by which a packet came, if its sender is reached by it, else "0"."""
    interface, back = context.packet.in_interface, context.netfilter.route(context.packet.source)
    if back.unknown or context.netfilter.unknown_routes:
        raise Unknown(f"unknown here: the way back to {context.packet.source}: {back.unknown}")
    return interface if interface == "lo" or (back.is_unicast and back.device == interface) else "0"


def _numgen(body: dict[str, Any], context: Context) -> int:
    if id(body) not in context.drawn and body["mod"] > 1:
        raise Draws(id(body), body["mod"])
    return context.drawn.get(id(body), 0) + body.get("offset", 0)


def _map(body: dict[str, Any], context: Context) -> Any:
    found = look_up(value_of(body["key"], context), body["data"], context, True)
    if found is None:
        raise Breaks(f"the key is not in {expression(body['data'])}")
    return value_of(found, context)


EXPRESSIONS: dict[str, Callable[[Any, Context], Any]] = {
    "payload": _payload, "meta": _meta, "ct": _ct, "fib": _fib, "numgen": _numgen, "map": _map,
    "concat": lambda body, context: tuple(value_of(part, context) for part in body),
}
