"""The picture of the world: a host with a bridge, nodes on it, pods behind veth pairs, machines beside the nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kitlib.journey import Journey


@dataclass(frozen=True)
class PodBox:
    """A pod on its node. `veth` is the node's end of its cable; empty for a hostNetwork pod, which has none."""

    place: str            # "pod:NAMESPACE/NAME"
    title: str            # "my-nginx", "coredns 10.244.0.3"
    address: str
    veth: str
    kind: str             # "pod" or "coredns"


@dataclass(frozen=True)
class NodeBox:
    """A node: a container of the host with an address on the bridge."""

    place: str            # "node:NAME"
    title: str            # "worker3"
    address: str
    role: str             # "control plane" or "worker"
    interface: str        # the one that leads to the bridge: "eth0"
    pods: tuple[PodBox, ...] = ()


@dataclass(frozen=True)
class MachineBox:
    """A container on the bridge that is no node."""

    place: str            # "container:NAME"
    title: str
    address: str
    kind: str             # "upstream" or "container"


@dataclass(frozen=True)
class Topology:
    """Everything that a picture of the lab shows."""

    bridge: str           # "br-13ebef48a9f1"
    subnet: str           # "172.20.0.0/16"
    gateway: str          # the host's address on the bridge
    nodes: tuple[NodeBox, ...]
    machines: tuple[MachineBox, ...]
    pod_range: str        # "10.244.0.0/16"
    service_range: str    # "10.96.0.0/16"
    dns_service: str      # the ClusterIP of kube-dns: "10.96.0.10"


def along(world: Topology, journey: Journey) -> Topology:
    """Only what the journey came by: places where it was seen, and those whose address it carried."""
    seen = [hop.sighting for hop in journey.hops]
    places = {sighting.point.place for sighting in seen if sighting.point}
    addresses = {end.address for sighting in seen for end in (sighting.source, sighting.destination)}

    def passed(box: NodeBox | PodBox | MachineBox) -> bool:
        return box.place in places or box.address in addresses

    nodes = (replace(node, pods=tuple(filter(passed, node.pods))) for node in world.nodes)
    return replace(world, nodes=tuple(node for node in nodes if node.pods or passed(node)),
                   machines=tuple(filter(passed, world.machines)))
