"""In what a cluster differs from the walkthrough's, in words, and what still holds there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitlib.lab import Lab


def differences(lab: Lab) -> tuple[str, ...]:
    """One sentence for each difference, from what a node says of its interfaces, routes and tables."""
    node = lab.coredns[0].node if lab.coredns else lab.nodes[-1]       # a node without pods need not have a bridge
    names = {interface.name for interface in node.interfaces()}
    bridges = {route.device for route in node.routes() if route.destination == node.pod_range and not route.via}
    tables = node.run("nft", "list", "tables").stdout
    found = {
        "The CNI has a bridge, {}: pods of one node meet there, not in its routes. Each still has its veth pair.":
            ", ".join(sorted(bridges)),
        "kube-proxy is in IPVS mode ({}): no KUBE-SVC chain rewrites the destination; `ipvsadm -Ln` shows what does. "
        "The ladder shows the same rewrite.": "kube-ipvs0" if "kube-ipvs0" in names else "",
        "kube-proxy is in nftables mode: its rules are in `nft list {}`, not in iptables. The ladder shows the same "
        "rewrite.": "table ip kube-proxy" if "table ip kube-proxy\n" in tables else "",
        "Every node has a DNS cache of its own ({}): pods ask it first, and it asks CoreDNS.":
            "nodelocaldns" if "nodelocaldns" in names else "",
        "The cluster has two address families, {}: the notebooks follow IPv4.":
            lab.ranges.pods if "," in lab.ranges.pods else "",
    }
    return tuple(sentence.format(what) for sentence, what in found.items() if what)
