"""The strip of the hooks: those that a packet meets, what each changes, and the one where it is, in words too."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_drawings_ladder_tells_the_journey import assert_fits

from kitlib import open_lab, simulate
from kitlib.drawings.hooks import draw_hooks, way
from kitlib.drawings.svg import ACCENT, FOCUS
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath

LAB = open_lab("recorded")
POD, SERVER = LAB.pod("my-nginx"), LAB.coredns[0]
LEAVES, = {way(path) for path in simulate(POD.node.netfilter(), Packet(
    POD.address, "10.96.0.10", sport=42438, in_interface=POD.veth.interface))}


def path_of(packet: Packet) -> PacketPath:
    return simulate(SERVER.node.netfilter(), packet)[0]


STAYS = path_of(Packet(SERVER.address, LAB.topology.gateway, sport=4, in_interface=SERVER.veth.interface))
MADE = path_of(Packet(SERVER.node.address, "172.20.0.53", sport=4))


def test_each_way_through_a_machine_has_its_hooks() -> None:
    assert LEAVES == ("in", "PREROUTING", "route", "FORWARD", "POSTROUTING", "out")
    assert way(STAYS) == ("in", "PREROUTING", "route", "INPUT", "program")
    assert way(MADE) == ("program", "OUTPUT", "POSTROUTING", "out")


@pytest.mark.parametrize("path", [STAYS, MADE], ids=["comes in", "made here"])
def test_where_it_is_is_lit_and_said(path: PacketPath) -> None:
    for step in path.hook_steps:
        drawn = draw_hooks(path, step)
        assert drawn.svg.count(f'stroke="{FOCUS}"') == 1 == drawn.svg.count(">here: ")
        assert drawn.title.startswith(f"Here: {f'{step.table} at ' * bool(step.table)}{step.hook}. ")
        assert_fits(drawn.svg)
    assert FOCUS not in draw_hooks(path).svg.replace(f'fill="{FOCUS}"', "")


def test_a_rewrite_stands_at_its_hook_in_all_forms() -> None:
    drawn = draw_hooks(STAYS)
    for words in (drawn.text, drawn.alt):
        assert "in (veth" in words and "→ PREROUTING (rewritten) → route → INPUT → program (receives it)" in words
        assert "nat at PREROUTING: destination 172.20.0.1:53 → 127.0.0.11:" in words
        assert "Not met: FORWARD, POSTROUTING, out, OUTPUT." in words
    assert drawn.svg.count(ACCENT) == 1 and ACCENT not in draw_hooks(MADE).svg


@pytest.mark.parametrize(("end", "words"), [("is dropped", "ends here"), ("is undecided", "undecided")])
def test_a_way_that_ends_early_ends_at_its_last_hook(end: str, words: str) -> None:
    path = replace(STAYS, hook_steps=STAYS.hook_steps[:2], end=end)
    assert way(path) == ("in", "PREROUTING") and f"PREROUTING ({words})" in draw_hooks(path).text
