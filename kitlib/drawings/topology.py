"""The map of the lab, as SVG and as a tree: host, bridge, nodes, veth pairs, pods, and the ClusterIP nobody owns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kitlib.cluster import Topology
from kitlib.drawings import svg
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.svg import LINE, MARGIN, PAD, PAGE, PAPER, SIZE, Shade
from kitlib.errors import NotFound
from kitlib.place import Node, Place, Pod
from kitlib.sighting import VantagePoint

BUS, NODE, VETH, POD = 38, 70, 104, 320                 # x of the bridge, the nodes, their veth ends, the pods at least
CABLE = 60                                              # the shortest that is still seen as one
GREY, BLUE = svg.shade("host"), svg.shade("node")
PORT = Shade(BLUE.edge, PAPER)                          # an interface of a node
POD_INTERFACE = "eth0"                                  # what a container runtime calls a pod's end of its cable
SHOWN_NUMBERS = 4
VETH_PAIR = "Thick line: a veth pair. What enters at one end leaves at the other."
NOBODY = "the ClusterIP of the DNS Service: an address on no interface. Who answers there?"

Lit = dict[tuple[str, str], str]     # (place, interface or "" for the place as a whole) -> the words of its marker


@dataclass
class Map(svg.Page):
    """The map in the making: what is lit on it, and the x of the pods."""

    lit: Lit = field(default_factory=dict)
    pods_x: float = POD

    @property
    def right(self) -> float:
        """Return where the boxes in the host's frame end."""
        return self.width - MARGIN - PAD


def draw_topology(topology: Topology, lit: Iterable[VantagePoint | str] = ()) -> Drawing:
    """Draw the lab as a map; `lit` are vantage points or places, numbered in order. NotFound: not on this map."""
    page = _map(topology, [(spot, "") if isinstance(spot, str) else (spot.place, spot.interface) for spot in lit])
    title, alt = _title(topology), _alt_text(topology, page.lit)
    page.add_title(title)
    _host(page, topology)
    page.y += 14
    _service(page, topology)
    return Drawing(title, alt, page.finish(title, alt), _tree(topology, page.lit))


def draw_spot(topology: Topology, spot: VantagePoint, title: str, wide: float) -> Drawing:
    """Draw what hangs on the host's bridge, `wide` px, with one vantage point lit."""
    page = _map(topology, [(spot.place, spot.interface)], wide)
    alt = _alt_text(topology, page.lit)
    page.add_title(title)
    _host(page, topology)
    return Drawing(title, alt, page.finish(title, alt), _tree(topology, page.lit))


def _map(topology: Topology, spots: Sequence[tuple[str, str]], wide: float = PAGE) -> Map:
    """Begin a map on which these spots are lit."""
    lit = _markers(topology, spots)
    ends = (_words_x(VETH, lit.get((pod.node.id, veth))) + svg.width(veth) for pod, veth in topology.veths.items())
    return Map(wide, lit=lit, pods_x=max([POD, *(end + PAD + CABLE for end in ends)]))


def _markers(topology: Topology, spots: Sequence[tuple[str, str]]) -> Lit:
    """Return which ends and places are lit, each with its marker: its numbers, or "here" if it is the only one."""
    ends = {"host": {topology.bridge}}
    ends |= {node.id: {node.interface_name, *(veth for _, veth in topology.cables(node))} for node in topology.nodes}
    wholes = [place.id for place in (*topology.veths, *topology.containers)]
    found: dict[tuple[str, str], list[str]] = {}
    for number, (place, interface) in enumerate(spots, 1):
        if place not in ends and place not in wholes:
            raise NotFound(f"{place} is not on this map, which shows: {', '.join([*ends, *wholes])}")
        shown = (place, interface if interface in ends.get(place, ()) else "")
        found.setdefault(shown, []).append("here" if len(spots) == 1 else str(number))
    return {shown: ", ".join(numbers[:SHOWN_NUMBERS]) + (" …" if len(numbers) > SHOWN_NUMBERS else "")
            for shown, numbers in found.items()}


def _title(topology: Topology) -> str:
    where = "hangs on the host's bridge" if topology.bridge else "is on one network"
    return f"Each node {where}{', each pod behind a veth pair' if topology.veths else ''}"


def _outside(topology: Topology) -> str:
    return "host" if topology.bridge else "network of the nodes"


def _way_out(topology: Topology) -> str:
    """Name what connects the nodes; where there is no Docker, their gateway is all that is known of it."""
    return f"bridge {topology.bridge}" if topology.bridge else "gateway"


def _ranges(topology: Topology) -> str:
    """Say where the addresses of Services and pods come from."""
    return f"Services: {topology.service_range or 'not known'} · Pods: {topology.pod_range or 'not known'}"


def _alt_text(topology: Topology, lit: Lit) -> str:
    sentences = [f"Map of the lab: the {_outside(topology)} with {_way_out(topology)} "
                 f"({topology.gateway}, network {topology.subnet})."]
    for node in topology.nodes:
        pods = ", ".join(f"{pod.title} {pod.address} ({veth})" for pod, veth in topology.cables(node)) or "none"
        sentences.append(f"Node {node.title} {node.address}, pods: {pods}.")
    sentences += [f"{at.title} {at.address}, a container on the bridge." for at in topology.containers]
    sentences.append(f"{topology.dns_service}: {NOBODY}")
    markers = [f"{marker}: {' '.join(filter(None, where))}" for where, marker in lit.items()]
    return " ".join([*sentences, *([f"Lit: {'; '.join(markers)}."] if markers else [])])


def _tree(topology: Topology, lit: Lit) -> str:
    """Return the map as an indented tree; what is lit has an arrowhead and its marker."""
    def mark(place: str, interface: str = "") -> str:
        return f" ◀ {lit[place, interface]}" if (place, interface) in lit else ""

    lines = [_title(topology), "", f"{_outside(topology)}{mark('host')}",
             f"└── {_way_out(topology)}  {topology.gateway}  (network {topology.subnet})"
             f"{mark('host', topology.bridge)}"]
    places = [*topology.nodes, *topology.containers]
    for place in places:
        stem, rest = ("└──", "   ") if place is places[-1] else ("├──", "│  ")
        if not isinstance(place, Node):
            lines.append(f"    {stem} container {place.address}  {place.title}{mark(place.id)}")
            continue
        lines.append(f"    {stem} {place.interface_name} {place.address}{mark(place.id, place.interface_name)}  "
                     f"{place.title} (node, {place.role}){mark(place.id)}")
        cables = topology.cables(place)
        for pod, veth in cables:
            lines.append(f"    {rest} {'└──' if (pod, veth) == cables[-1] else '├──'} {veth}{mark(place.id, veth)} ═══ "
                         f"{POD_INTERFACE} {pod.address}  {pod.title}{mark(pod.id)}")
    return "\n".join([*lines, "", f"{topology.dns_service}  {NOBODY}", _ranges(topology)])


def _host(page: Map, topology: Topology) -> None:
    """Draw the host's frame: the bridge down its left side, on it the nodes and the containers."""
    top = page.y
    page.marks.append(svg.text(MARGIN + PAD, page.y + 19, _outside(topology), SIZE + 1, True))
    page.y += 28
    _, bridge = _chip(page, MARGIN + PAD, f"{_way_out(topology)} · {topology.gateway}",
                      f"network {topology.subnet}", GREY, ("host", topology.bridge), page.right)
    page.y, last = bridge + 16, bridge
    for place in (*topology.nodes, *topology.containers):
        last = _node(page, topology, place) if isinstance(place, Node) else _container(page, place)
        page.y += 12
    page.behind.insert(0, svg.line(BUS, bridge, BUS, last + 1.5, GREY.edge, 6))
    if topology.veths:
        page.add_paragraph(VETH_PAIR, NODE, fill=svg.QUIET)
        page.y += 10
    _frame(page, top, MARGIN, page.width - MARGIN, Shade(GREY.edge, PAPER), "host")


def _node(page: Map, topology: Topology, node: Node) -> float:
    """Draw a node and its pods; return the y at which it hangs on the bridge."""
    top, page.y = page.y, page.y + 10
    right, bottom = _chip(page, NODE + PAD, f"{node.interface_name} {node.address}", "", PORT,
                          (node.id, node.interface_name))
    joint = (page.y + bottom) / 2
    page.behind.append(svg.line(BUS, joint, NODE + PAD, joint, GREY.edge, 3))
    page.y += 1
    for part in svg.wrap(f"{node.title} · node, {node.role}", page.right - 70 - right, SIZE + 1, True):
        page.marks.append(svg.text(right + 14, page.y + 16, part, SIZE + 1, True))
        page.y += LINE
    page.y = max(page.y, bottom) + 10
    cables = [_pod(page, pod, veth) for pod, veth in topology.cables(node)]
    if cables:
        page.behind.append(svg.line(NODE + 22, bottom, NODE + 22, cables[-1], svg.FAINT, 1.5))
    _frame(page, top, NODE, page.right, BLUE, node.id)
    return joint


def _pod(page: Map, pod: Pod, veth: str) -> float:
    """Draw a pod behind its cable; return the y of the cable."""
    y = page.y + 13
    _, bottom = _chip(page, page.pods_x, f"{POD_INTERFACE} {pod.address}", pod.title, svg.shade(pod.kind),
                      (pod.id, ""), page.right - PAD - 2)
    right, _ = _chip(page, VETH, veth, "", PORT, (pod.node.id, veth))
    page.behind += [svg.line(NODE + 22, y, VETH, y, svg.FAINT, 1.5), svg.line(right, y, page.pods_x, y, svg.INK, 4)]
    page.y = bottom + 8
    return y


def _container(page: Map, place: Place) -> float:
    """Draw a container on the bridge that is not a node; return the y at which it hangs there."""
    _, bottom = _chip(page, NODE, f"container {place.address}", place.title, svg.shade(place.kind), (place.id, ""),
                      page.right)
    joint, page.y = (page.y + bottom) / 2, bottom
    page.behind.append(svg.line(BUS, joint, NODE, joint, GREY.edge, 3))
    return joint


def _service(page: Map, topology: Topology) -> None:
    """Draw the ClusterIP in a dashed frame without a cable, and the ranges."""
    top, page.y = page.y, page.y + 8
    page.marks.append(svg.text(MARGIN + PAD, page.y + 13, topology.dns_service, SIZE + 1, True))
    page.add_paragraph(NOBODY, MARGIN + PAD + svg.width(topology.dns_service, SIZE + 1, True) + 14)
    page.y += 4
    page.add_paragraph(_ranges(topology), MARGIN + PAD, fill=svg.QUIET)
    page.y += 8
    page.behind.append(svg.box(MARGIN, top, page.width - 2 * MARGIN, page.y - top, PAPER, svg.QUIET, 8, dashed=True))


def _chip(page: Map, x: float, lead: str, title: str, colours: Shade, where: tuple[str, str],
          right: float = 0) -> tuple[float, float]:
    """Draw a box with an address and a bold title beside it (below, if too long); return its right and its bottom."""
    marker = page.lit.get(where)
    start = _words_x(x, marker)
    right = right or start + svg.width(lead) + PAD
    beside = start + svg.width(lead) + 16
    column = beside if right - PAD - beside > 110 else start
    leads = svg.wrap(lead, right - PAD - start)
    titles = svg.wrap(title, right - PAD - column, SIZE, True) if title else []
    first = 0 if column == beside else len(leads)
    bottom = page.y + LINE * max(len(leads), first + len(titles)) + 9
    page.marks.append(_outline(x, page.y, right, bottom, colours, marker))
    if marker:
        _badge(page, x + 6, page.y + 4.5, marker)
    page.marks += [svg.text(start, page.y + 17 + LINE * i, part) for i, part in enumerate(leads)]
    page.marks += [svg.text(column, page.y + 17 + LINE * i, part, bold=True) for i, part in enumerate(titles, first)]
    return right, bottom


def _words_x(x: float, marker: str | None) -> float:
    """Return where the words of a chip begin: after its marker, if it has one."""
    return x + PAD + (svg.width(marker, SIZE, True) + 16 if marker else 0)


def _frame(page: Map, y: float, x: float, right: float, colours: Shade, place: str) -> None:
    """Draw a frame from `y` to here, behind all that is there: frames are finished from the inside out."""
    marker = page.lit.get((place, ""))
    page.behind.insert(0, _outline(x, y, right, page.y, colours, marker))
    if marker:
        _badge(page, right - svg.width(marker, SIZE, True) - 20, y + 6, marker)


def _outline(x: float, y: float, right: float, bottom: float, colours: Shade, marker: str | None) -> str:
    return svg.box(x, y, right - x, bottom - y, colours.fill, svg.FOCUS if marker else colours.edge,
                   thick=3 if marker else 1.3)


def _badge(page: Map, x: float, y: float, marker: str) -> None:
    """Draw the marker of something lit: white words on black, so that it stands out without a colour."""
    page.marks += [svg.box(x, y, svg.width(marker, SIZE, True) + 12, LINE, svg.FOCUS, radius=8),
                   svg.text(x + 6, y + 13, marker, SIZE, True, PAPER)]
