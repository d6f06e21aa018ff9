"""What `ip addr` and `ip link` print, as JSON (`ip -j`) or as plain text: the same facts from both."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_interface

from kitlib.errors import ParseError
from kitlib.parsers.json_fields import load, take

HEADER = re.compile(r"(\d+): ([^\s:@]+)(?:@([^\s:]+))?: <[^>]*> mtu (\d+) .*?\bstate (\S+)")


@dataclass(frozen=True)
class Interface:
    """A network interface as one namespace sees it.

    `peer_index` is the ifindex behind the @ of "eth0@if3", for a veth its other end. Where that end is in another
    namespace, ip names it in plain text (`peer_namespace`, if it has a name under /run/netns) and numbers it
    otherwise and in JSON (`peer_netnsid`).
    """

    index: int
    name: str
    mac: str
    mtu: int
    state: str
    addresses: tuple[str, ...] = ()       # "10.244.2.3/24"
    peer_index: int | None = None
    peer_namespace: str = ""
    peer_netnsid: int | None = None


def interfaces(text: str) -> tuple[Interface, ...]:
    """The interfaces in the output of `ip addr` or `ip link`, with -j or without. Raises ParseError."""
    is_json = text.lstrip().startswith("[")
    found = list(_interfaces_from_json(text) if is_json else _interfaces_from_text(text))
    if not found:
        raise ParseError("ip addr", "at least one interface", text.strip())
    indexes = {interface.name: interface.index for interface, _ in found}
    # A link in the same namespace is given by its name instead of its index.
    return tuple(replace(interface, peer_index=indexes[link]) if link in indexes else interface
                 for interface, link in found)


def _interfaces_from_json(text: str) -> Iterable[tuple[Interface, str]]:
    what = "ip -j addr"
    for item in load(text, what):
        if item == {}:          # what older iproute2 leaves of an interface that was filtered out
            continue
        addresses = [f"{take(entry, str, 'local', what=what)}/{take(entry, int, 'prefixlen', what=what)}"
                     for entry in take(item, list, "addr_info", what=what, default=[]) if entry]
        yield Interface(
            take(item, int, "ifindex", what=what),
            take(item, str, "ifname", what=what),
            take(item, str, "address", what=what, default=""),
            take(item, int, "mtu", what=what),
            take(item, str, "operstate", what=what),
            tuple(_cidr(address) for address in addresses),
            peer_index=take(item, int, "link_index", what=what, default=None),
            peer_netnsid=take(item, int, "link_netnsid", what=what, default=None),
        ), take(item, str, "link", what=what, default="")


def _interfaces_from_text(text: str) -> Iterable[tuple[Interface, str]]:
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    for block in blocks:
        if block.strip():
            yield _interface_from_block(block)


def _interface_from_block(block: str) -> tuple[Interface, str]:
    first, *rest = block.splitlines()
    header = HEADER.match(first)
    lines = [line.split() for line in rest if line.strip()]
    link = next((words for words in lines if words[0].startswith("link/")), None)
    if not header or link is None:
        raise ParseError("ip addr", "N: NAME: <FLAGS> mtu N … state STATE, then link/…", block.strip())
    if link[0] == "link/ether" and not re.fullmatch("(..:){5}..", link[1] if link[1:] else ""):
        raise ParseError("ip addr", "link/ether and a MAC address", " ".join(link), header[2])
    behind = header[3] or ""
    other_end = re.fullmatch(r"if(\d+)", behind)
    netnsid = _after(link, "link-netnsid")
    if netnsid and not re.fullmatch("[0-9]+", netnsid):
        raise ParseError("ip addr", "link-netnsid and a number", " ".join(link), header[2])
    return Interface(
        int(header[1]),
        header[2],
        link[1] if link[1:] else "",
        int(header[4]),
        header[5],
        tuple(_address_from_words(words) for words in lines if words[0] in ("inet", "inet6")),
        peer_index=int(other_end[1]) if other_end else None,
        peer_namespace=_after(link, "link-netns"),
        peer_netnsid=int(netnsid) if netnsid else None,
    ), "" if other_end else behind


def _address_from_words(words: list[str]) -> str:
    """`inet 10.0.0.1/24 …`; on a point-to-point link `inet 10.0.0.1 peer 10.0.0.2/32 …`."""
    local = words[1] if words[1:] else ""
    peer = _after(words, "peer")
    return _cidr(f"{local}/{peer.partition('/')[2]}" if peer else local)


def _cidr(address: str) -> str:
    try:
        ip_interface(address if "/" in address else "")
    except ValueError:
        raise ParseError("ip addr", "an address with its prefix length", address) from None
    return address


def _after(words: list[str], key: str) -> str:
    return words[words.index(key) + 1] if key in words[:-1] else ""
