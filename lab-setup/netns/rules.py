"""The rules of a node, from the Services and their endpoints: kube-proxy's in either mode, in node.rules those of kind.

Source for nftables: kubernetes, pkg/proxy/nftables/proxier.go; order and comments are those of a recorded cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kitlib.netfilter.kube_proxy import (
    EXTERNAL,
    MARK,
    NODE_PORTS,
    REJECT,
    SERVICE,
    SERVICES,
    chain_name,
    endpoint_rules,
)
from kitlib.netfilter.nft_kube_proxy import name_base
from kitlib.netfilter.targets import split_socket
from kitlib.parsers import kubernetes
from netns_lab.description import Description, ServicePort, fill

WITHOUT_ENDPOINTS = (("has no endpoints",) * 3, "KUBE-EXTERNAL-SERVICES", "-m addrtype --dst-type LOCAL ")
OF_KUBE_PROXY = re.compile(r"\bKUBE-(?!FIREWALL|KUBELET-CANARY|IPTABLES-HINT)")
REFUSES = "goto reject-chain"
# How a table of nftables differs by family: what it is called, and how it knows the addresses of node ports.
FAMILIES = {4: {"ip": "ip", "to_node": "ip daddr @nodeport-ips", "to_node_nat": "ip daddr @nodeport-ips"},
            6: {"ip": "ip6", "to_node": "ip6 daddr != ::1", "to_node_nat": "fib daddr type local ip6 daddr != ::1"}}
NODE_PORT_IPS = """set nodeport-ips {{
		type ipv4_addr
		comment "IPs that accept NodePort traffic"
		elements = {{ {} }}
	}}"""


def ruleset(lab: Description) -> str:
    """Return what `iptables-restore` loads on every node."""
    ports, network, pod_range = lab.service_ports(), lab.settings["network"], lab.range_of("pod_range")
    rules = [rule for port in ports for rule in _service_rules(port, pod_range)]
    chains = dict.fromkeys(rule.split()[1] for rule in rules)
    chains = [chain for chain in chains if chain not in (SERVICES, NODE_PORTS)]
    return fill(
        "node.rules", gateway=network["gateway"], resolver_port=network["resolver_port"],
        pod_range=pod_range, services="\n".join(rules),
        chains="\n".join(f":{chain} - [0:0]" for chain in chains),
        without_endpoints="\n".join(f"-A {chain} {match} {REJECT}" for port in ports if not port.endpoints
                                    for chain, match in _ways_in(port, *WITHOUT_ENDPOINTS)))


def _service_rules(port: ServicePort, pod_range: str) -> Iterator[str]:
    """Yield one Service port's rules in table nat; none if nobody answers for it (then table filter refuses it)."""
    if port.endpoints:
        service, outside = (chain_name(prefix, port.name, port.protocol) for prefix in (SERVICE, EXTERNAL[0]))
        (_, internal), *others = _ways_in(port, ("cluster IP", "external IP", ""))
        yield f"-A {SERVICES} {internal} -j {service}"
        yield from (f"-A {chain} {match} -j {outside}" for chain, match in others)
        if others:
            masquerade = f'-m comment --comment "masquerade traffic for {port.name} external destinations"'
            yield from (f"-A {outside} {masquerade} -j {MARK}", f"-A {outside} -j {service}")
        yield f"-A {service} ! -s {pod_range} {internal} -j {MARK}"
        yield from endpoint_rules(service, port.name, port.protocol, port.endpoints, port.affinity)


def _ways_in(port: ServicePort, words: tuple[str, str, str], outside: str = "", local: str = "") -> \
        Iterator[tuple[str, str]]:
    """Yield chain and conditions for the ClusterIP, each external address, the node port (`outside`: another chain)."""
    def match(addresses: str, told: str, type_of: str, number: int) -> str:
        comment = f'-m comment --comment "{f"{port.name} {told}".strip()}"'
        return f"{addresses}-p {port.protocol} {comment} {type_of}-m {port.protocol} --dport {number}"

    yield SERVICES, match(f"-d {port.address}/32 ", words[0], "", port.port)
    for address in port.external:
        yield outside or SERVICES, match(f"-d {address}/32 ", words[1], "", port.port)
    if port.node_port:
        yield outside or NODE_PORTS, match("", words[2], local, port.node_port)


def without_kube_proxy(ruleset: str) -> str:
    """Return the rules of iptables that a node in nftables mode has: the kubelet's, kind's and Docker's."""
    return "".join(line for line in ruleset.splitlines(keepends=True) if not OF_KUBE_PROXY.search(line))


def nft_ruleset(lab: Description, node: kubernetes.Node) -> str:
    """Return what `nft -f` loads on this node: a table for each family, though it may have no Service."""
    return "".join(_nft_table(lab, node, version) for version in FAMILIES)


def _nft_table(lab: Description, node: kubernetes.Node, version: int) -> str:
    ports = lab.service_ports(version)
    able, unable = [port for port in ports if port.endpoints], [port for port in ports if not port.endpoints]
    services = lab.range_of("service_range", version)
    unallocated = f'{FAMILIES[version]["ip"]} daddr {services} drop comment "Drop traffic to unallocated ClusterIPs"'
    return fill(
        "node.nft", **FAMILIES[version], version=str(version),
        nodeport_ips=NODE_PORT_IPS.format(node.address) if version == 4 else "",
        unallocated=unallocated if services else "",
        cluster_ips=_elements(dict.fromkeys(port.address for port in ports)),
        service_ips=_elements(entry for port in able for entry in _addresses(
            port, f"goto service-{_base(port)}", f"goto external-{_base(port)}")),
        service_nodeports=_elements(f"{port.protocol} . {port.node_port} : goto external-{_base(port)}"
                                    for port in able if port.node_port),
        no_endpoint_services=_elements(entry for port in unable for entry in _addresses(port, REFUSES, REFUSES)),
        no_endpoint_nodeports=_elements(f"{port.protocol} . {port.node_port} : {REFUSES}"
                                        for port in unable if port.node_port),
        affinity_sets="\n".join(
            f"set affinity-{_base(port, end)} {{ type ipv{version}_addr; flags dynamic,timeout; "
            f"timeout {port.affinity}s; }}" for port in able if port.affinity for end in port.endpoints),
        chains="\n".join(_chain(name, rules) for port in able for name, rules in _chains(
            port, FAMILIES[version]["ip"], lab.range_of("pod_range", version))))


def _base(port: ServicePort, endpoint: str = "") -> str:
    """Return how kube-proxy calls a Service port, or one of its endpoints, behind "service-" or "endpoint-"."""
    service, _, name = port.name.partition(":")
    return name_base(f"{service}/{port.protocol}/{name}", endpoint)


def _addresses(port: ServicePort, inside: str, outside: str) -> Iterator[str]:
    """Yield the map elements that lead the ClusterIP to one verdict, and addresses outside to another."""
    yield f"{port.address} . {port.protocol} . {port.port} : {inside}"
    for address in port.external:
        yield f"{address} . {port.protocol} . {port.port} : {outside}"


def _chains(port: ServicePort, ip: str, pod_range: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a Service port's chains, each with its rules; without a range it is not known who is no pod."""
    service = f"service-{_base(port)}"
    if port.external or port.node_port:
        yield f"external-{_base(port)}", ["jump mark-for-masquerade", f"goto {service}"]
    ends = {endpoint: _base(port, endpoint) for endpoint in port.endpoints}
    ways = ", ".join(f"{number} : goto endpoint-{end}" for number, end in enumerate(ends.values()))
    others = [f"{ip} daddr {port.address} {ip} saddr != {pod_range} jump mark-for-masquerade"] if pod_range else []
    known = [f"{ip} saddr @affinity-{end} goto endpoint-{end}" for end in ends.values() if port.affinity]
    yield service, [*others, *known, f"numgen random mod {len(ends)} vmap {{ {ways} }}"]
    for endpoint, end in ends.items():
        keep = [f"update @affinity-{end} {{ {ip} saddr }}"] if port.affinity else []
        yield f"endpoint-{end}", [f"{ip} saddr {split_socket(endpoint)[0]} jump mark-for-masquerade", *keep,
                                  f"meta l4proto {port.protocol} dnat to {endpoint}"]


def _chain(name: str, rules: Iterable[str]) -> str:
    return "\n".join([f"chain {name} {{", *rules, "}"])


def _elements(entries: Iterable[str]) -> str:
    listed = ", ".join(entries)
    return f"elements = {{ {listed} }}" if listed else ""
