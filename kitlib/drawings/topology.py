"""The page that the map is drawn on: frames, and boxes ("chips") that hold an address, a name and perhaps a marker.

The map of the lab in words: its title, its alt text, its tree; and which parts of it are lit.

The map of the lab: host, bridge, nodes, veth pairs, pods, and the ClusterIP that nobody owns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kitlib.cluster import MachineBox, NodeBox, PodBox, Topology
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.svg import (
    FAINT,
    FOCUS,
    INK,
    LINE,
    MARGIN,
    PAD,
    PAGE,
    PAPER,
    QUIET,
    SIZE,
    Page,
    Shade,
    box,
    line,
    shade,
    text,
    width,
    wrap,
)
from kitlib.errors import NotFound
from kitlib.sighting import VantagePoint

RIGHT = PAGE - MARGIN - PAD          # where the boxes in the host's frame end


@dataclass
class Map(Page):
    """The picture so far, what is lit on it, and the x of the pods."""

    lit: Lit = field(default_factory=dict)
    pods: float = 0


def frame(page: Map, y: float, x: float, right: float, colours: Shade, place: str) -> None:
    """The frame from `y` to here, behind all that is there: frames are finished from the inside out."""
    marker = page.lit.get((place, ""))
    page.behind.insert(0, _outline(x, y, right, page.y, colours, marker))
    if marker:
        _badge(page, right - width(marker, SIZE, True) - 20, y + 6, marker)


def inner(x: float, marker: str | None) -> float:
    """Where the words of a chip begin: after its marker, if it has one."""
    return x + PAD + (width(marker, SIZE, True) + 16 if marker else 0)


def chip(page: Map, x: float, lead: str, title: str, colours: Shade, where: tuple[str, str], right: float = 0,
         dashed: bool = False) -> tuple[float, float]:
    """A box with an address and a bold title beside it, under it if they are too long; gives its right and bottom."""
    marker = page.lit.get(where)
    start = inner(x, marker)
    right = right or start + width(lead) + PAD
    beside = start + width(lead) + 16
    column = beside if right - PAD - beside > 110 else start
    leads = wrap(lead, right - PAD - start)
    titles = wrap(title, right - PAD - column, SIZE, True) if title else []
    first = 0 if column == beside else len(leads)
    bottom = page.y + LINE * max(len(leads), first + len(titles)) + 9
    page.marks.append(_outline(x, page.y, right, bottom, colours, marker, dashed))
    if marker:
        _badge(page, x + 6, page.y + 4.5, marker)
    page.marks += [text(start, page.y + 17 + LINE * i, part) for i, part in enumerate(leads)]
    page.marks += [text(column, page.y + 17 + LINE * i, part, bold=True) for i, part in enumerate(titles, first)]
    return right, bottom


def _outline(x: float, y: float, right: float, bottom: float, colours: Shade, marker: str | None,
             dashed: bool = False) -> str:
    return box(x, y, right - x, bottom - y, colours.fill, FOCUS if marker else colours.edge,
               thick=3 if marker else 1.3, dashed=dashed)


def _badge(page: Map, x: float, y: float, marker: str) -> None:
    """The marker of something lit: white words on black, so that it stands out without a colour."""
    page.marks += [box(x, y, width(marker, SIZE, True) + 12, LINE, FOCUS, radius=8),
                   text(x + 6, y + 13, marker, SIZE, True, PAPER)]


POD_INTERFACE = "eth0"               # what a container runtime calls a pod's end of its cable
SHOWN_NUMBERS = 4
NOBODY = ("the ClusterIP of the DNS Service: an address that nobody owns. No interface has it; "
          "it stands only in the rules of each node, which rewrite it to the address of a CoreDNS pod.")

Lit = dict[tuple[str, str], str]     # (place, interface or "" for the place as a whole) -> the marker's words


def map_title(world: Topology) -> str:
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


def map_alt_text(world: Topology, lit: Lit) -> str:
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

    told = [map_title(world), "", f"host{mark('host')}",
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


BUS, NODE, VETH = 38, 70, 104                           # x of the bridge, the nodes, their veth ends
CABLE = 60                                              # the shortest that is still seen as one
GREY, BLUE = shade("host"), shade("node")
PORT = Shade(BLUE.edge, PAPER)                          # an interface of a node
VETH_PAIR = "Thick line: a veth pair. What enters at one end leaves at the other."


def topology(world: Topology, lit: Iterable[VantagePoint | str] = ()) -> Drawing:
    """The lab as a map; `lit` are vantage points (or places), numbered in their order. NotFound: not on this map."""
    spots = [(spot, "") if isinstance(spot, str) else (spot.place, spot.interface) for spot in lit]
    lit = numbered(world, spots)
    ends = [inner(VETH, lit.get((node.place, pod.veth))) + width(pod.veth) + PAD
            for node in world.nodes for pod in node.pods]
    page = Map(lit=lit, pods=max([320, *(end + CABLE for end in ends)]))
    title, alt = map_title(world), map_alt_text(world, lit)
    page.title(title)
    _host(page, world)
    page.y += 14
    _service(page, world)
    return Drawing(title, alt, page.svg(title, alt), tree(world, lit))


def _host(page: Map, world: Topology) -> None:
    """The host's frame: the bridge down its left side, on it the nodes and the machines."""
    top = page.y
    page.marks.append(text(MARGIN + PAD, page.y + 19, "host", SIZE + 1, True))
    page.y += 28
    _, bridge = chip(page, MARGIN + PAD, f"bridge {world.bridge} · {world.gateway}", f"network {world.subnet}", GREY,
                      ("host", world.bridge), RIGHT)
    page.y, last = bridge + 16, bridge
    for each in (*world.nodes, *world.machines):
        last = _node(page, each) if isinstance(each, NodeBox) else _machine(page, each)
        page.y += 12
    page.behind.insert(0, line(BUS, bridge, BUS, last + 1.5, GREY.edge, 6))
    if any(pod.veth for node in world.nodes for pod in node.pods):
        page.paragraph(VETH_PAIR, NODE, fill=QUIET)
        page.y += 10
    frame(page, top, MARGIN, PAGE - MARGIN, Shade(GREY.edge, PAPER), "host")


def _node(page: Map, node: NodeBox) -> float:
    """A node and its pods; gives the y at which it hangs on the bridge."""
    top, page.y = page.y, page.y + 10
    right, bottom = chip(page, NODE + PAD, f"{node.interface} {node.address}", "", PORT, (node.place, node.interface))
    hangs = (page.y + bottom) / 2
    page.behind.append(line(BUS, hangs, NODE + PAD, hangs, GREY.edge, 3))
    page.y += 1
    for part in wrap(f"{node.title} · node, {node.role}", RIGHT - 70 - right, SIZE + 1, True):
        page.marks.append(text(right + 14, page.y + 16, part, SIZE + 1, True))
        page.y += LINE
    page.y = max(page.y, bottom) + 10
    joints = [joint for pod in node.pods if (joint := _pod(page, node, pod))]
    if joints:
        page.behind.append(line(NODE + 22, bottom, NODE + 22, joints[-1], FAINT, 1.5))
    frame(page, top, NODE, RIGHT, BLUE, node.place)
    return hangs


def _pod(page: Map, node: NodeBox, pod: PodBox) -> float:
    """A pod behind its cable; gives the y of the cable, 0 if it has none."""
    lead, joint = f"{POD_INTERFACE} {pod.address}", page.y + 13
    if not pod.veth:
        lead, joint = f"no veth: the node's {pod.address}", 0
    _, bottom = chip(page, page.pods, lead, pod.title, shade(pod.kind), (pod.place, ""), RIGHT - PAD - 2, not pod.veth)
    if pod.veth:
        right, _ = chip(page, VETH, pod.veth, "", PORT, (node.place, pod.veth))
        page.behind += [line(NODE + 22, joint, VETH, joint, FAINT, 1.5), line(right, joint, page.pods, joint, INK, 4)]
    page.y = bottom + 8
    return joint


def _machine(page: Map, machine: MachineBox) -> float:
    """A container on the bridge that is no node; gives the y at which it hangs there."""
    _, bottom = chip(page, NODE, f"container {machine.address}", machine.title, shade(machine.kind),
                      (machine.place, ""), RIGHT)
    hangs, page.y = (page.y + bottom) / 2, bottom
    page.behind.append(line(BUS, hangs, NODE, hangs, GREY.edge, 3))
    return hangs


def _service(page: Map, world: Topology) -> None:
    """The ClusterIP in a dashed frame without a cable, and the ranges."""
    top, page.y = page.y, page.y + 8
    page.marks.append(text(MARGIN + PAD, page.y + 13, world.dns_service, SIZE + 1, True))
    page.paragraph(NOBODY, MARGIN + PAD + width(world.dns_service, SIZE + 1, True) + 14)
    page.y += 4
    page.paragraph(ranges(world), MARGIN + PAD, fill=QUIET)
    page.y += 8
    page.behind.append(box(MARGIN, top, PAGE - 2 * MARGIN, page.y - top, PAPER, QUIET, 8, dashed=True))
