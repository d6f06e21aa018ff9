"""The rules of a node, from the Services and their endpoints: kube-proxy's, and in node.rules those of kind."""

from __future__ import annotations

from collections.abc import Iterator

from kitlib.netfilter.kube_proxy import REJECT, SERVICE, chain_name, endpoint_rules
from netns_lab.description import Description, ServicePort, fill


def ruleset(lab: Description) -> str:
    """Return what `iptables-restore` loads on every node."""
    ports, network = lab.service_ports(), lab.settings["network"]
    rules = [rule for port in ports for rule in _service_rules(port, lab.settings["pod_range"])]
    chains = dict.fromkeys(rule.split()[1] for rule in rules if rule.split()[1] != "KUBE-SERVICES")
    return fill(
        "node.rules", gateway=network["gateway"], resolver_port=network["resolver_port"],
        pod_range=lab.settings["pod_range"], services="\n".join(rules),
        chains="\n".join(f":{chain} - [0:0]" for chain in chains),
        without_endpoints="\n".join(f"-A KUBE-SERVICES {_match(port, 'has no endpoints')} {REJECT}"
                                    for port in ports if not port.endpoints))


def _service_rules(port: ServicePort, pod_range: str) -> Iterator[str]:
    """Yield one Service port's rules in table nat; none if nobody answers for it (then table filter refuses it)."""
    if port.endpoints:
        service, match = chain_name(SERVICE, port.name, port.protocol), _match(port, "cluster IP")
        yield f"-A KUBE-SERVICES {match} -j {service}"
        yield f"-A {service} ! -s {pod_range} {match} -j KUBE-MARK-MASQ"
        yield from endpoint_rules(service, port.name, port.protocol, port.endpoints)


def _match(port: ServicePort, words: str) -> str:
    comment = f'-m comment --comment "{port.name} {words}"'
    return f"-d {port.address}/32 -p {port.protocol} {comment} -m {port.protocol} --dport {port.port}"
