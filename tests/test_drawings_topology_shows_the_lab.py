"""The map holds every address and interface of the lab, lights what it is told to, and fits the page at any size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_drawings_ladder_tells_the_journey import LAB, POINTS, WORD, assert_fits, journey, words_in

from kitlib.cluster import Topology
from kitlib.drawings.svg import ACCENT, FOCUS
from kitlib.drawings.topology import draw_topology
from kitlib.errors import NotFound
from kitlib.place import Node, Place, Pod


def node(name: str, address: str) -> Node:
    role = "control plane" if name.endswith("control-plane") else "worker"
    return Node(f"node:kind-test1-{name}", name, "node", name, address, None, role)


def pod(node: Node, name: str, title: str, address: str, kind: str = "pod") -> Pod:
    return Pod(f"pod:{name}", title, kind, node.title, address, None, node)


def container(title: str, address: str, kind: str) -> Place:
    return Place(f"container:{title}", title, kind, title, address, None)


def lab(*nodes: Node, veths: dict[Pod, str] | None = None, containers: tuple[Place, ...] = ()) -> Topology:
    return Topology("br-13ebef48a9f1", "172.20.0.0/16", "172.20.0.1", nodes, veths or {}, containers, "10.244.0.0/16",
                    "10.96.0.0/16", "10.96.0.10")


REAL = LAB.topology


@st.composite
def labs(draw: st.DrawFn) -> Topology:
    """1 to 8 nodes with up to 20 pods and up to 3 containers; long names, IPv4 and IPv6."""
    def one_of(*choices: str) -> str:
        return draw(st.sampled_from(choices))

    nodes = [node(f"{draw(WORD)}{i}", one_of(f"172.20.0.{i}", f"fc00:f853:ccd:e793:1:2:3:{i:x}"))
             for i in range(draw(st.integers(1, 8)))]
    veths = {}
    for i in range(draw(st.integers(0, 20))):
        address = one_of(f"10.244.0.{i}", f"fd00:10:244:1:2:3:4:{i:x}")
        each = pod(nodes[i % len(nodes)], f"default/{i}", draw(WORD), address, one_of("pod", "coredns"))
        veths[each] = one_of(f"veth{i:08x}", f"longest-name-{i:02}")
    containers = [container(f"{draw(WORD)}{i}", f"172.20.1.{i}", "upstream") for i in range(draw(st.integers(0, 3)))]
    return lab(*nodes, veths=veths, containers=tuple(containers))


@settings(max_examples=60)
@given(labs(), st.data())
def test_any_map_fits_its_page(world: Topology, data: st.DataObject) -> None:
    veths = [pod.node.at(veth) for pod, veth in world.veths.items()]
    places = ["host", *(each.id for each in (*world.nodes, *world.containers, *world.veths))]
    drawn = draw_topology(world, data.draw(st.lists(st.sampled_from([*veths, *places]), max_size=30)))
    assert_fits(drawn.svg)
    assert 'width="760"' in drawn.svg


def test_every_address_and_interface_is_on_the_map() -> None:
    drawn = draw_topology(REAL)
    places = [*REAL.nodes, *REAL.containers, *REAL.veths]
    facts = [*(fact for each in places for fact in (each.address, each.title)), *REAL.veths.values()]
    shown = " ".join(entry[0] for entry in words_in(drawn.svg))
    for fact in (*facts, REAL.bridge, REAL.subnet, REAL.gateway, REAL.dns_service, REAL.service_range, REAL.pod_range):
        assert fact in shown and fact in drawn.text


def test_a_pod_stands_in_its_node_behind_its_cable() -> None:
    boxes = {words: (x, y) for words, x, y, _, _ in words_in(draw_topology(REAL).svg)}
    veth, pod = boxes["veth4b6923b0"], boxes["eth0 10.244.2.3"]
    assert veth[0] < pod[0] and abs(veth[1] - pod[1]) < 0.2
    assert boxes["eth0 172.20.0.4"][1] < veth[1] < boxes["container 172.20.0.53"][1]
    lines = draw_topology(REAL).text.splitlines()
    depth = {name: next(line for line in lines if name in line).index(name) for name in ("worker3", "my-nginx")}
    assert lines.index(next(line for line in lines if "worker3" in line)) < lines.index(
        next(line for line in lines if "my-nginx" in line)) and depth["worker3"] < depth["my-nginx"]


def test_nobody_owns_the_cluster_ip() -> None:
    drawn = draw_topology(REAL)
    assert "10.96.0.10: the ClusterIP of the DNS Service: an address on no interface. Who answers there?" in drawn.alt
    dashed = [rect for rect in re.findall(r"<rect [^>]*>", draw_topology(lab(node("worker", "172.20.0.3"))).svg)
              if "dasharray" in rect]
    assert len(dashed) == 1, "its frame has no cable and no solid edge"
    assert drawn.text.splitlines()[-2].startswith("10.96.0.10  the ClusterIP"), "outside the tree"


def test_what_is_lit_has_an_outline_and_a_marker() -> None:
    drawn = draw_topology(REAL, [POINTS["veth"]])
    assert "veth4b6923b0 ◀ here ═══ eth0 10.244.2.3" in drawn.text
    assert "here: node:kind-test1-worker3 veth4b6923b0" in drawn.alt
    words = [entry[0] for entry in words_in(drawn.svg)]
    assert words[words.index("here") + 1] == "veth4b6923b0" and words.count("here") == 1
    assert len(re.findall(f'stroke="{FOCUS}"', drawn.svg)) == 1
    assert FOCUS not in draw_topology(REAL).svg and ACCENT not in drawn.svg


def test_several_lit_hops_are_numbered_in_order() -> None:
    way = [POINTS[label] for label in ("pod", "veth", "eth0", "bridge")]
    text = draw_topology(REAL, [*way, "container:upstream-dns", POINTS["eth0"]]).text
    for words in ("my-nginx ◀ 1", "veth4b6923b0 ◀ 2", "eth0 172.20.0.4 ◀ 3, 6", "(network 172.20.0.0/16) ◀ 4",
                  "upstream-dns ◀ 5"):
        assert words in text


def test_what_is_not_on_the_map_cannot_be_lit() -> None:
    with pytest.raises(NotFound, match=r"node:elsewhere is not on this map.*node:kind-test1-worker3"):
        draw_topology(REAL, ["node:elsewhere"])


def test_the_map_along_a_journey_shows_what_it_passed_and_no_more() -> None:
    passed = REAL.along(journey())
    assert [each.title for each in passed.nodes] == ["control-plane", "worker3"]
    assert [pod.title for pod in passed.veths] == ["coredns 10.244.0.3", "my-nginx"]
    assert [each.title for each in passed.containers] == ["upstream-dns"]
    assert_fits(draw_topology(passed, [hop.sighting.point for hop in journey().hops]).svg)
