"""The rules of a node whose kube-proxy is in nftables mode: its table, and what it leaves to iptables.

Source: kubernetes, pkg/proxy/nftables/proxier.go; the order and the comments are those of a recorded cluster.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterable, Iterator

from kitlib.parsers import kubernetes
from netns_lab.description import Description, ServicePort, fill

OF_KUBE_PROXY = re.compile(r"\bKUBE-(?!FIREWALL|KUBELET-CANARY|IPTABLES-HINT)")
REFUSES = "goto reject-chain"


def without_kube_proxy(ruleset: str) -> str:
    """Return the rules of iptables that a node in nftables mode has: the kubelet's, kind's and Docker's."""
    return "".join(line for line in ruleset.splitlines(keepends=True) if not OF_KUBE_PROXY.search(line))


def nft_ruleset(lab: Description, node: kubernetes.Node) -> str:
    """Return what `nft -f` loads on this node."""
    ports = lab.service_ports()
    able, unable = [port for port in ports if port.endpoints], [port for port in ports if not port.endpoints]
    return fill(
        "node.nft", node=node.address, service_range=lab.settings["service_range"],
        cluster_ips=_elements(dict.fromkeys(port.address for port in ports)),
        service_ips=_elements(entry for port in able for entry in _addresses(
            port, f"goto service-{_base(port)}", f"goto external-{_base(port)}")),
        service_nodeports=_elements(f"{port.protocol} . {port.node_port} : goto external-{_base(port)}"
                                    for port in able if port.node_port),
        no_endpoint_services=_elements(entry for port in unable for entry in _addresses(port, REFUSES, REFUSES)),
        no_endpoint_nodeports=_elements(f"{port.protocol} . {port.node_port} : {REFUSES}"
                                        for port in unable if port.node_port),
        affinity_sets="\n".join(
            f"set affinity-{_base(port, end)} {{ type ipv4_addr; flags dynamic,timeout; timeout {port.affinity}s; }}"
            for port in able if port.affinity for end in port.endpoints),
        chains="\n".join(_chain(name, rules) for port in able
                         for name, rules in _chains(port, lab.settings["pod_range"])))


def _base(port: ServicePort, endpoint: str = "") -> str:
    """Return how kube-proxy calls a Service port, or one of its endpoints, behind "service-" or "endpoint-"."""
    service, _, name = port.name.partition(":")
    path = f"{service}/{port.protocol}/{name}" + (f"__{endpoint.replace(':', '/')}" if endpoint else "")
    return f"{b32encode(hashlib.sha256(path.encode()).digest()).decode()[:8]}-{path}"


def _addresses(port: ServicePort, inside: str, outside: str) -> Iterator[str]:
    """Yield the map elements that lead the ClusterIP to one verdict, and addresses outside to another."""
    yield f"{port.address} . {port.protocol} . {port.port} : {inside}"
    for address in port.external:
        yield f"{address} . {port.protocol} . {port.port} : {outside}"


def _chains(port: ServicePort, pod_range: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a Service port's chains, each with its rules."""
    service = f"service-{_base(port)}"
    if port.external or port.node_port:
        yield f"external-{_base(port)}", ["jump mark-for-masquerade", f"goto {service}"]
    ends = {endpoint: _base(port, endpoint) for endpoint in port.endpoints}
    ways = ", ".join(f"{number} : goto endpoint-{end}" for number, end in enumerate(ends.values()))
    known = [f"ip saddr @affinity-{end} goto endpoint-{end}" for end in ends.values() if port.affinity]
    yield service, [f"ip daddr {port.address} ip saddr != {pod_range} jump mark-for-masquerade", *known,
                    f"numgen random mod {len(ends)} vmap {{ {ways} }}"]
    for endpoint, end in ends.items():
        keep = [f"update @affinity-{end} {{ ip saddr }}"] if port.affinity else []
        yield f"endpoint-{end}", [f"ip saddr {endpoint.partition(':')[0]} jump mark-for-masquerade", *keep,
                                  f"meta l4proto {port.protocol} dnat to {endpoint}"]


def _chain(name: str, rules: Iterable[str]) -> str:
    return "\n".join([f"chain {name} {{", *rules, "}"])


def _elements(entries: Iterable[str]) -> str:
    listed = ", ".join(entries)
    return f"elements = {{ {listed} }}" if listed else ""
