"""The map of the lab: host, bridge, nodes, veth pairs, pods, and the ClusterIP that nobody owns."""

from __future__ import annotations

from collections.abc import Iterable

from kitlib.drawings.drawing import Drawing
from kitlib.drawings.page import MARGIN, PAD, PAGE
from kitlib.drawings.palette import FAINT, INK, PAPER, QUIET, Shade, shade
from kitlib.drawings.svg import LINE, SIZE, box, line, text, width, wrap
from kitlib.drawings.topology_page import RIGHT, Map, chip, frame, inner
from kitlib.drawings.topology_text import NOBODY, POD_INTERFACE, described, numbered, ranges, title_of, tree
from kitlib.sighting import VantagePoint
from kitlib.topology import MachineBox, NodeBox, PodBox, Topology

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
    title, alt = title_of(world), described(world, lit)
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
