"""The rules of a node, as kube-proxy and kind write them, from the Services and their endpoints.

Source: kubernetes, pkg/proxy/iptables/proxier.go (syncProxyRules, servicePortChainName, servicePortEndpointChainName);
what does not depend on Services stands in lab-setup/netns/node.rules.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from netns_lab.description import Description, Ready, fill


def ruleset(lab: Description) -> str:
    """What `iptables-restore` loads on every node."""
    ports, network = lab.ready(), lab.settings["network"]
    rules = [rule for port in ports for rule in service_rules(port, lab.settings["pod_range"])]
    chains = dict.fromkeys(rule.split()[1] for rule in rules if rule.split()[1] != "KUBE-SERVICES")
    return fill(
        "node.rules", gateway=network["gateway"], resolver_port=network["resolver_port"],
        pod_range=lab.settings["pod_range"], services="\n".join(rules),
        chains="\n".join(f":{chain} - [0:0]" for chain in chains),
        without_endpoints="\n".join(_refuse(port) for port in ports if not port.endpoints))


def service_rules(port: Ready, pod_range: str) -> Iterator[str]:
    """The rules of one Service port in table nat; none if nobody answers for it (then table filter refuses it)."""
    service = chain("SVC", port)
    to_service = f'-d {port.address}/32 {_match(port, "cluster IP")} --dport {port.port}'
    if port.endpoints:
        yield f"-A KUBE-SERVICES {to_service} -j {service}"
        yield f"-A {service} ! -s {pod_range} {to_service} -j KUBE-MARK-MASQ"
    for left, endpoint in zip(range(len(port.endpoints), 0, -1), port.endpoints, strict=True):
        coin = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        yield f'-A {service} -m comment --comment "{port.name} -> {endpoint}" {coin}-j {chain("SEP", port, endpoint)}'
    for endpoint in port.endpoints:
        end, address = chain("SEP", port, endpoint), endpoint.partition(":")[0]
        yield f'-A {end} -s {address}/32 -m comment --comment "{port.name}" -j KUBE-MARK-MASQ'
        yield f"-A {end} {_match(port)} -j DNAT --to-destination {endpoint}"


def chain(kind: str, port: Ready, endpoint: str = "") -> str:
    """The name of a Service's chain (SVC) or of an endpoint's (SEP): a hash, for a chain's name must be short."""
    hashed = hashlib.sha256((port.name + port.protocol + endpoint).encode()).digest()
    return f"KUBE-{kind}-{base64.b32encode(hashed).decode()[:16]}"


def _match(port: Ready, what: str = "") -> str:
    comment = f"{port.name} {what}".strip()
    return f'-p {port.protocol} -m comment --comment "{comment}" -m {port.protocol}'


def _refuse(port: Ready) -> str:
    return (f'-A KUBE-SERVICES -d {port.address}/32 {_match(port, "has no endpoints")} --dport {port.port} '
            "-j REJECT --reject-with icmp-port-unreachable")
