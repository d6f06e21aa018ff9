"""The map of the lab in words: its title, its alt text, its tree; and which parts of it are lit."""

from __future__ import annotations

from collections.abc import Sequence

from kitlib.errors import NotFound
from kitlib.topology import MachineBox, Topology

POD_INTERFACE = "eth0"               # what a container runtime calls a pod's end of its cable
SHOWN_NUMBERS = 4
NOBODY = ("the ClusterIP of the DNS Service: an address that nobody owns. No interface has it; "
          "it stands only in the rules of each node, which rewrite it to the address of a CoreDNS pod.")

Lit = dict[tuple[str, str], str]     # (place, interface or "" for the place as a whole) -> the marker's words


def title_of(world: Topology) -> str:
    """What the map shows."""
    cables = any(pod.veth for node in world.nodes for pod in node.pods)
    return f"Each node hangs on the host's bridge{', each pod behind a veth pair' if cables else ''}"


def ranges(world: Topology) -> str:
    """Where the addresses of Services and pods come from."""
    return f"Services: {world.service_range} · Pods: {world.pod_range}"


def numbered(world: Topology, spots: Sequence[tuple[str, str]]) -> Lit:
    """Which ends and places are lit, each with its marker: a number, or "here" if it is the only one."""
    ends = {"host": {world.bridge}}
    ends |= {node.place: {node.interface, *(pod.veth for pod in node.pods if pod.veth)} for node in world.nodes}
    wholes = [pod.place for node in world.nodes for pod in node.pods] + [machine.place for machine in world.machines]
    found: dict[tuple[str, str], list[str]] = {}
    for number, (place, interface) in enumerate(spots, 1):
        if place not in ends and place not in wholes:
            raise NotFound(f"{place} is not on this map, which shows: {', '.join([*ends, *wholes])}")
        shown = (place, interface if interface in ends.get(place, ()) else "")
        found.setdefault(shown, []).append("here" if len(spots) == 1 else str(number))
    return {shown: ", ".join(numbers[:SHOWN_NUMBERS]) + (" …" if len(numbers) > SHOWN_NUMBERS else "")
            for shown, numbers in found.items()}


def described(world: Topology, lit: Lit) -> str:
    """The alt text."""
    told = [f"Map of the lab: the host with bridge {world.bridge} ({world.gateway}, network {world.subnet})."]
    for node in world.nodes:
        pods = ", ".join(f"{pod.title} {pod.address} ({pod.veth or 'no veth'})" for pod in node.pods) or "none"
        told.append(f"Node {node.title} {node.address}, pods: {pods}.")
    told += [f"{machine.title} {machine.address}, a container on the bridge." for machine in world.machines]
    told.append(f"{world.dns_service}: {NOBODY}")
    marked = [f"{marker}: {' '.join(filter(None, where))}" for where, marker in lit.items()]
    return " ".join([*told, *([f"Lit: {'; '.join(marked)}."] if marked else [])])


def tree(world: Topology, lit: Lit) -> str:
    """The map as an indented tree; what is lit has an arrowhead and its marker."""
    def mark(place: str, interface: str = "") -> str:
        return f" ◀ {lit[place, interface]}" if (place, interface) in lit else ""

    told = [title_of(world), "", f"host{mark('host')}",
            f"└── bridge {world.bridge}  {world.gateway}  (network {world.subnet}){mark('host', world.bridge)}"]
    boxes = [*world.nodes, *world.machines]
    for each in boxes:
        stem, rest = ("└──", "   ") if each is boxes[-1] else ("├──", "│  ")
        if isinstance(each, MachineBox):
            told.append(f"    {stem} container {each.address}  {each.title}{mark(each.place)}")
            continue
        told.append(f"    {stem} {each.interface} {each.address}{mark(each.place, each.interface)}  {each.title} "
                    f"(node, {each.role}){mark(each.place)}")
        for pod in each.pods:
            branch = "└──" if pod is each.pods[-1] else "├──"
            cable = f"{pod.veth}{mark(each.place, pod.veth)} ═══ {POD_INTERFACE}" if pod.veth else "no veth: the node's"
            told.append(f"    {rest} {branch} {cable} {pod.address}  {pod.title}{mark(pod.place)}")
    return "\n".join([*told, "", f"{world.dns_service}  {NOBODY}", ranges(world)])
