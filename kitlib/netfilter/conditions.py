"""The conditions that are understood: what each is about, the packet's value, and whether it fits the rule's.

Sources: iptables-extensions(8), net/netfilter/xt_*.c.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address
from typing import NamedTuple

from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.packet import Packet

PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}
KNOWN_TYPES = ("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST")
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT")


class Field(NamedTuple):
    """A simple condition: what it is about, the packet's value, and whether that fits the rule's (None: unknown)."""

    name: str
    value: Callable[[Packet, Kernel], object]
    fits: Callable[[object, str], bool | None]
    shown: Callable[[object], str] = str


@cache
def _network(words: str) -> tuple[int, int]:
    address, _, length = words.partition("/")
    # A mask may have holes: iptables-save writes it as 255.0.0.255 then.
    mask = int(IPv4Address(length)) if "." in length else (1 << 32) - (1 << 32 - int(length or 32))
    return int(IPv4Address(address)) & mask, mask


def _in_network(address: object, wanted: str) -> bool | None:
    if "," in wanted:
        return any(_in_network(address, one) for one in wanted.split(","))
    network, mask = _network(wanted)
    return int(IPv4Address(str(address))) & mask == network


def _is_interface(name: object, wanted: str) -> bool:
    return str(name).startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted


def _is_protocol(protocol: object, wanted: str) -> bool:
    return PROTOCOLS.get(wanted, wanted) in (protocol, "all")


def _in_ports(port: object, wanted: str) -> bool | None:
    if port is None:
        return None
    ranges = (part.partition(":") for part in wanted.split(","))
    return any(int(low or 0) <= port <= int((high or 65535) if dots else low) for low, dots, high in ranges)


def _any_port(ports: object, wanted: str) -> bool | None:
    found = [_in_ports(port, wanted) for port in ports]
    return True if True in found else None if None in found else False


def _has_mark(mark: object, wanted: str) -> bool:
    value, _, mask = wanted.partition("/")
    return mark & int(mask or "0xffffffff", 0) == int(value, 0)


def _in_state(states: object, wanted: str) -> bool:
    return not states.isdisjoint(wanted.split(","))


def _is_found(found: object, wanted: str) -> bool | None:
    return None if found is None else wanted in found


def _has_type(address_type: object, wanted: str) -> bool | None:
    types = wanted.split(",")
    return None if set(types) - set(KNOWN_TYPES) else address_type in types


def _states(states: object) -> str:
    return " and ".join(sorted(states, key=STATES.index))


def _yes_or_no(value: object) -> str:
    return "yes" if value else "no"


def _or_none(name: object) -> str:
    return str(name) or "none"


SPORT = Field("source port", lambda packet, _: packet.sport, _in_ports)
DPORT = Field("destination port", lambda packet, _: packet.dport, _in_ports)
STATE = Field("conntrack state", lambda packet, _: packet.states, _in_state, _states)
STRING = Field("what is found in it", lambda packet, _: packet.holds, _is_found,
               lambda found: "(unknown)" if found is None else ", ".join(sorted(found)) or "nothing")
ALWAYS = Field("", lambda packet, _: "", lambda *_: True)
FIELDS: dict[tuple[str, str], Field] = {
    ("", "-s"): Field("source", lambda packet, _: packet.source, _in_network),
    ("", "-d"): Field("destination", lambda packet, _: packet.destination, _in_network),
    ("", "-i"): Field("in-interface", lambda packet, _: packet.in_interface, _is_interface, _or_none),
    ("", "-o"): Field("out-interface", lambda packet, _: packet.out_interface, _is_interface, _or_none),
    ("", "-p"): Field("protocol", lambda packet, _: packet.protocol, _is_protocol),
    **{(module, option): field for module in ("udp", "tcp", "sctp") for option, field in
       (("--sport", SPORT), ("--dport", DPORT))},
    ("multiport", "--sports"): SPORT,
    ("multiport", "--dports"): DPORT,
    ("multiport", "--ports"): Field("one of the ports", lambda packet, _: (packet.sport, packet.dport), _any_port),
    ("mark", "--mark"): Field("mark", lambda packet, _: packet.mark, _has_mark, hex),
    ("conntrack", "--ctstate"): STATE,
    ("state", "--state"): STATE,
    ("addrtype", "--src-type"): Field("the source's type", lambda packet, at: at.type_of(packet.source), _has_type),
    ("addrtype", "--dst-type"): Field("the destination's type", lambda packet, at: at.type_of(packet.destination),
                                      _has_type),
    ("comment", "--comment"): ALWAYS,
    **{("string", option): STRING for option in ("--string", "--hex-string")},
    **{("string", option): ALWAYS for option in ("--algo", "--from", "--to")},      # how and where it is searched
    ("physdev", "--physdev-in"): Field("bridge port in", lambda packet, _: packet.physdev_in, _is_interface),
    ("physdev", "--physdev-out"): Field("bridge port out", lambda packet, _: packet.physdev_out, _is_interface),
    **{("physdev", f"--physdev-is-{what}"): Field(f"physdev-is-{what}", value, lambda port, _: bool(port), _yes_or_no)
       for what, value in (("in", lambda packet, _: packet.physdev_in), ("out", lambda packet, _: packet.physdev_out),
                           ("bridged", lambda packet, _: packet.physdev_in and packet.physdev_out))},
}
