"""The rules that kube-proxy writes for a Service in nftables mode, and what they would be with other endpoints.

Source: kubernetes, pkg/proxy/nftables/proxier.go (syncProxyRules, writeServiceToEndpointRules).
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kitlib.errors import NotFound
from kitlib.netfilter.targets import split_socket
from kitlib.parsers.nft import Chain, Ruleset, Set, Table

SERVICE, EXTERNAL, ENDPOINT, MARK = "service-", "external-", "endpoint-", "mark-for-masquerade"
REFUSED = {"goto": {"target": "reject-chain"}}


def endpoints(ruleset: Ruleset, service: Chain) -> tuple[str, ...]:
    """Return the endpoints ("10.244.0.2:53") behind a chain service-…, in the order of its coin."""
    chains = ruleset.tables[service.table].chains
    return tuple(_dnat(chains[name])[1] for name in _ways(service))


def with_endpoints(ruleset: Ruleset, service: Chain, sockets: Sequence[str]) -> Ruleset:
    """Return the rules as kube-proxy would write them if the Service had these endpoints; without any, it rejects."""
    table = ruleset.tables[service.table]
    if not sockets:
        return _with(ruleset, table, sets=_refusing(table, service))
    known = dict(zip(endpoints(ruleset, service), _ways(service), strict=True))
    if not known:
        raise NotFound(f"{service.name} has no coin that leads to an endpoint: there is nothing to change.")
    protocol, _ = _dnat(table.chains[next(iter(known.values()))])
    behind = {socket: known.get(socket) or ENDPOINT + name_base(service.name.split("-", 2)[2], socket)
              for socket in sorted(sockets)}
    made = {name: _endpoint(table, name, protocol, socket) for socket, name in behind.items() if socket not in known}
    gone = {name for socket, name in known.items() if socket not in behind}
    lines = tuple({**line, "expr": [_coin(tuple(behind.values()))]} if _coin_of(line) else line
                  for line in service.lines if not _goes_to(line["expr"][-1]) & gone or _coin_of(line))
    return _with(ruleset, table, {**table.chains, **made, service.name: replace(service, lines=lines)})


def masquerade_mark(ruleset: Ruleset) -> int:
    """Return the bit that says "masquerade this packet": what mark-for-masquerade sets, else 0x4000."""
    chain = ruleset.chain("ip kube-proxy", MARK)
    return chain.lines[0]["expr"][0]["mangle"]["value"]["|"][1] if chain else 0x4000


def _with(ruleset: Ruleset, table: Table, chains: dict[str, Chain] | None = None, sets: dict[str, Set] | None = None) \
        -> Ruleset:
    changed = replace(table, chains=chains or table.chains, sets=sets or table.sets, _anonymous={})
    return replace(ruleset, tables={**ruleset.tables, str(table): changed})


def _coin_of(line: dict[str, Any]) -> list[Any]:
    """The ways of a rule that throws a coin, [] for any other rule."""
    vmap = line["expr"][-1].get("vmap", {})
    return vmap["data"]["set"] if "numgen" in vmap.get("key", ()) else []


def _ways(service: Chain) -> list[str]:
    return [verdict["goto"]["target"] for line in service.lines for _, verdict in _coin_of(line)]


def _goes_to(verdict: dict[str, Any]) -> set[str]:
    return {verdict["goto"]["target"]} if "goto" in verdict else set()


def _coin(names: Sequence[str]) -> dict[str, Any]:
    """The statement that draws one of these chains, each with the same chance."""
    ways = [[side, {"goto": {"target": name}}] for side, name in enumerate(names)]
    return {"vmap": {"key": {"numgen": {"mode": "random", "mod": len(names), "offset": 0}}, "data": {"set": ways}}}


def name_base(port: str, socket: str = "") -> str:
    """Return what stands behind "service-" or "endpoint-" in the name of a chain: a hash, and what it is of.

    `port` is "kube-system/kube-dns/udp/dns", `socket` an endpoint of it. Names may hold no colon.
    """
    name = f"{port}__{'/'.join(split_socket(socket)).replace(':', '.')}" if socket else port
    return f"{b32encode(hashlib.sha256(name.encode()).digest())[:8].decode()}-{name}"


def _endpoint(table: Table, name: str, protocol: str, socket: str) -> Chain:
    """The chain of one endpoint: its own packets get the mark, all get its address as their destination."""
    address, port = split_socket(socket)
    saddr = {"payload": {"protocol": table.family, "field": "saddr"}}
    source = {"match": {"op": "==", "left": saddr, "right": address}}
    by = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": protocol}}
    dnat = {"dnat": {"addr": address, "port": int(port)}}
    return Chain(str(table), name, lines=({"expr": [source, {"jump": {"target": MARK}}]}, {"expr": [by, dnat]}))


def _dnat(chain: Chain) -> tuple[str, str]:
    """Read the protocol and the endpoint from an endpoint's chain."""
    for line in chain.lines:
        *conditions, last = line["expr"]
        if "dnat" in last:
            address, port = last["dnat"]["addr"], last["dnat"]["port"]
            protocol = next((each["match"]["right"] for each in conditions if "match" in each), "")
            return protocol, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    raise NotFound(f"{chain.name} has no rule that sends packets to an endpoint (dnat to).")


def _refusing(table: Table, service: Chain) -> dict[str, Set]:
    """Move what leads to the Service to the map of those that have no endpoints."""
    chains = {prefix + service.name.removeprefix(SERVICE) for prefix in (SERVICE, EXTERNAL)}
    sets = dict(table.sets)
    refused = []
    for name in ("service-ips", "service-nodeports"):
        if name in sets:
            led = [element for element in sets[name].elements if _goes_to(element[1]) & chains]
            sets[name] = replace(sets[name], elements=[each for each in sets[name].elements if each not in led])
            refused += led if name == "service-ips" else []
    refusing = sets["no-endpoint-services"]
    sets[refusing.name] = replace(refusing, elements=[*refusing.elements, *([key, REFUSED] for key, _ in refused)])
    return sets
