"""Names that people have given to a node's interfaces and routing tables: a scrubbed recording has others for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from recorder.keep_nft import WORDS

# What kernels, systemd, Docker and the CNI plugins call theirs; enx… is not here: it spells a MAC.
USUAL_INTERFACE = re.compile(
    r"(?:lo|(?:eth|bond|dummy|br|cni|docker|tunl|wg|sit|gre|gretap|erspan|ip6tnl|ip_vti|ip6_vti|virbr|net)\d{1,3}|"
    r"(?:en|ib|wl)(?:[os]\d{1,3}|p\d{1,3}s\d{1,3})(?:[fdn]p?\d{1,3})*|(?:veth|vethwe|cali|lxc|gke|eni|tap)[0-9a-f]{1,15}|"
    r"br-[0-9a-f]{12}|br-(?:int|ex|tun)|cilium_(?:net|host|vxlan|geneve|wg0)|flannel(?:\.1|-wg|-v6\.1)|"
    r"vxlan(?:-v6)?\.calico|wireguard\.cali|kube-(?:ipvs0|bridge|dummy-if)|nodelocaldns|weave|genev_sys_\d+|"
    r"antrea-gw0|ovs-system|ovn-k8s-mp0)(?:\.\d{1,4})?")
USUAL_TABLE = re.compile(r"main|local|default|unspec|all")
INTERFACE = re.compile(r"""(?:^\d+: (?=[^ ]+:)|\b(?:dev|master) |(?<= )-[io] |\b[io]if(?:name)? "?)"""
                       r"([A-Za-z][\w.-]{1,14})(?![\w.-])", re.M)
TABLE = re.compile(r"\b(?:lookup|table) ([A-Za-z][\w.-]{1,30})(?![\w.-])")


def given_names(texts: Iterable[str]) -> dict[str, str]:
    """Return the pseudonyms of what people have named, out of what ip, iptables and nft print.

    A name that is also a word of nft's stays: it tells nothing, and such words stand everywhere.
    """
    interfaces, tables = set(), set()
    for text in texts:
        interfaces.update(name for name in INTERFACE.findall(text) if not USUAL_INTERFACE.fullmatch(name))
        tables.update(name for name in TABLE.findall(text) if not USUAL_TABLE.fullmatch(name))
    return {old: f"{kind}{number}".ljust(len(old), "x")
            for kind, names in (("if", interfaces), ("rt", tables - interfaces))
            for number, old in enumerate(sorted(names - WORDS), start=1)}
