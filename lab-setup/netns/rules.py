"""The rules of a node, from the Services and their endpoints: kube-proxy's, and in node.rules those of kind."""

from __future__ import annotations

from collections.abc import Iterator

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
from netns_lab.description import Description, ServicePort, fill

WITHOUT_ENDPOINTS = (("has no endpoints",) * 3, "KUBE-EXTERNAL-SERVICES", "-m addrtype --dst-type LOCAL ")


def ruleset(lab: Description) -> str:
    """Return what `iptables-restore` loads on every node."""
    ports, network = lab.service_ports(), lab.settings["network"]
    rules = [rule for port in ports for rule in _service_rules(port, lab.settings["pod_range"])]
    chains = dict.fromkeys(rule.split()[1] for rule in rules)
    chains = [chain for chain in chains if chain not in (SERVICES, NODE_PORTS)]
    return fill(
        "node.rules", gateway=network["gateway"], resolver_port=network["resolver_port"],
        pod_range=lab.settings["pod_range"], services="\n".join(rules),
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
