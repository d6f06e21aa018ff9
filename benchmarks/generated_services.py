"""The rules that kube-proxy would write for very many Services, and the routes of a node that they are on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kitlib.lab import open_lab
from kitlib.parsers import nft
from kitlib.parsers.nft_text import expression

TABLE = "ip kube-proxy"
NODE = "172.20.0.9"
NODE_PORTS = 500
FIRST_NODE_PORT = 30_000
ROUTES = f"""default via 172.20.0.1 dev eth0
10.244.0.0/16 via 172.20.0.2 dev eth0
local {NODE} dev eth0 table local
"""


def cluster_ip(number: int) -> str:
    """Return the ClusterIP of one Service."""
    return _address(number, "10.96")


def _address(number: int, range_: str) -> str:
    return f"{range_}.{number >> 8}.{number & 255}"


def iptables_save(services: int) -> str:
    """Return the table nat of so many Services as iptables-save prints it; the first NODE_PORTS have a node port."""
    parts = [_service(number) for number in range(services)]
    chains = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-MARK-MASQ", *(chain for chains, _ in parts for chain in chains)]
    return "\n".join([
        "*nat", *(f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
        *(f":{chain} - [0:0]" for chain in chains), "-A PREROUTING -j KUBE-SERVICES",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", *(rule for _, rules in parts for rule in rules),
        *(f'-A KUBE-NODEPORTS -p udp -m comment --comment "ns/name-{number}:dns" -m udp --dport '
          f"{FIRST_NODE_PORT + number} -j KUBE-SVC-{number:016d}" for number in range(NODE_PORTS)),
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "COMMIT\n"])


def _service(number: int) -> tuple[list[str], list[str]]:
    """Return the chains and the rules of one Service with two endpoints."""
    name, svc = f"ns/name-{number}:dns", f"KUBE-SVC-{number:016d}"
    chains, rules = [svc], [
        f'-A KUBE-SERVICES -d {cluster_ip(number)}/32 -p udp -m comment --comment "{name} cluster IP" -m udp --dport '
        f"53 -j {svc}",
        f'-A {svc} ! -s 10.244.0.0/16 -d {cluster_ip(number)}/32 -p udp -m comment --comment "{name} cluster IP" '
        "-m udp --dport 53 -j KUBE-MARK-MASQ"]
    for last in (0, 1):
        endpoint, sep = _address(2 * number + last, "10.244"), f"KUBE-SEP-{number:015d}{last}"
        coin = "" if last else " -m statistic --mode random --probability 0.50000000000"
        chains.append(sep)
        rules += [f'-A {svc} -m comment --comment "{name} -> {endpoint}:53"{coin} -j {sep}',
                  f'-A {sep} -s {endpoint}/32 -m comment --comment "{name}" -j KUBE-MARK-MASQ',
                  f'-A {sep} -p udp -m comment --comment "{name}" -m udp -j DNAT --to-destination {endpoint}:53']
    return chains, rules


def nft_listing(services: int) -> str:
    """Return the recorded table of kube-proxy as `nft -j` prints it, with so many Services more, at port 5353."""
    recorded = open_lab("recorded", recording="kind-test1-nftables").node("worker3")
    listed = [item for item in json.loads(recorded.run("nft", "-j", "list", "ruleset").text)["nftables"]
              for what in item.values() if f"{what.get('family')} {what.get('table', what.get('name'))}" == TABLE]
    sets = {body["name"]: body for item in listed for kind, body in item.items() if kind in ("set", "map")}
    sets["cluster-ips"]["elem"] += map(cluster_ip, range(services))
    sets["service-ips"]["elem"] += [
        [{"concat": [cluster_ip(number), "udp", 5353]}, {"goto": {"target": _nft_name(number)}}]
        for number in range(services)]
    return json.dumps({"nftables": [*listed, *(part for number in range(services) for part in _nft_service(number))]})


def _nft_name(number: int) -> str:
    return f"service-{number:08}-ns/name-{number}/udp/dns"


def _nft_service(number: int) -> list[dict[str, Any]]:
    """Return the chains and the rules of one Service with two endpoints."""
    ends = [_address(2 * number + last, "10.244") for last in (0, 1)]
    chains = [_nft_name(number), *(f"endpoint-{number:08}-ns/name-{number}/udp/dns__{end}/53" for end in ends)]

    def equal(field: str, value: object, op: str = "==") -> dict[str, Any]:
        return {"match": {"op": op, "left": {"payload": {"protocol": "ip", "field": field}}, "right": value}}

    mark = {"jump": {"target": "mark-for-masquerade"}}
    coin = {"numgen": {"mode": "random", "mod": 2, "offset": 0}}
    goto = {"set": [[side, {"goto": {"target": chain}}] for side, chain in enumerate(chains[1:])]}
    pods = {"prefix": {"addr": "10.244.0.0", "len": 16}}
    udp = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}
    rules = [(chains[0], [equal("daddr", cluster_ip(number)), equal("saddr", pods, "!="), mark]),
             (chains[0], [{"vmap": {"key": coin, "data": goto}}])]
    for chain, end in zip(chains[1:], ends, strict=True):
        rules += [(chain, [equal("saddr", end), mark]), (chain, [udp, {"dnat": {"addr": end, "port": 53}}])]
    where = {"family": "ip", "table": "kube-proxy"}
    return [*({"chain": {**where, "name": chain, "handle": 9}} for chain in chains),
            *({"rule": {**where, "chain": chain, "handle": 9, "expr": rule}} for chain, rule in rules)]


def nft_script(listing: str) -> str:
    """Write what `nft -j` prints as `nft -f` reads it: 1.0.6 refuses JSON in which a map comes before its chains."""
    table = nft.ruleset(listing).tables[TABLE]
    sets = [one for item in json.loads(listing)["nftables"] for kind, body in item.items() if kind in ("set", "map")
            for one in _set_lines(kind, body)]
    chains = [f"chain {chain.name} {{ {_head(chain)}{'; '.join(rule.text for rule in chain.rules)}; }}"
              for chain in table.chains.values()]
    return "\n".join([f"table {TABLE} {{", *sets, *chains, "}\n"])


def _set_lines(kind: str, body: dict[str, Any]) -> Iterator[str]:
    types = " . ".join(body["type"]) if isinstance(body["type"], list) else body["type"]
    elements = expression({"set": body["elem"]}) if body.get("elem") else ""
    yield f"{kind} {body['name']} {{ type {types}{' : verdict' if kind == 'map' else ''};"
    yield f"{f'elements = {elements};' if elements else ''} }}"


def _head(chain: nft.Chain) -> str:
    hook = f"type {chain.type} hook {chain.hook} priority {chain.priority}; policy {chain.policy.lower()}; "
    return hook if chain.hook else ""
