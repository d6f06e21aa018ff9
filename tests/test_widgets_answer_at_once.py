"""Each widget answers to its controls, within 50 ms, and says what its controls are."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from time import process_time

import ipywidgets
import pytest
from test_widgets_read_without_a_kernel import LAB, POD, WIDGETS

from conftest import captured_dig, pictures
from kitlib import open_lab, packet_view, search_list_playground, stepper, topology_view
from kitlib.capture import Capture
from kitlib.drawings.svg import ACCENT, FOCUS
from kitlib.widgets.packet_view import packet_fields

BUDGET_S, TRIES = 0.05, 5


@pytest.fixture(scope="module")
def seen() -> Capture:
    lab = open_lab("recorded")      # the first take, whoever has asked LAB before
    pod = lab.pod("my-nginx")
    return captured_dig(lab, pod, pod.veth, pod.node, *lab.coredns)


def quickest(act: Callable[[int], None]) -> float:
    """The shortest of a few goes, so that a busy machine is not taken for a slow widget."""
    def once(number: int) -> float:
        start = process_time()
        act(number)
        return process_time() - start

    return min(once(number) for number in range(TRIES))


def test_the_playground_follows_name_ndots_and_resolver() -> None:
    typed, ndots, resolver, shown, _ = search_list_playground(POD.resolv_conf()).widget.children
    assert "8 queries" in shown.value
    typed.value = "www.example.com."
    assert "2 queries" in shown.value and "svc.cluster.local" not in shown.value
    typed.value, ndots.value = "www.example.com", 1
    assert "ndots:1" in shown.value and "2 queries" in shown.value and "svc.cluster.local" in shown.value
    resolver.value = "musl"
    assert "musl later than 1.2.3: 2 queries" in shown.value and "svc.cluster.local" not in shown.value
    typed.value = "<b>..</b>"
    assert "expected labels" in shown.value and "<b>" not in shown.value
    typed.value = "10.96.0.10"
    assert "(none)" in shown.value


def test_the_packet_view_shows_the_chosen_packet_and_what_changed(seen: Capture) -> None:
    chosen, _, shown, _ = packet_view(seen.sightings).widget.children
    assert "Packet 2: the query at worker3 veth" in shown.value      # the first with something to compare
    chosen.value = 0
    assert "Packet 1: the query at my-nginx eth0" in shown.value and "(was " not in shown.value
    chosen.value = 2
    assert "query at worker3 eth0, compared with the same query at worker3 veth" in shown.value
    assert "10.244.0.3 (was 10.96.0.10)" in shown.value and "63 (was 64)" in shown.value


def test_what_changed_stands_first_with_the_accent_and_the_rest_is_folded(seen: Capture) -> None:
    before, after = seen.at(POD.veth)[0], seen.at(POD.node)[0]
    compared, alone = packet_fields(after, before, 2), packet_fields(after, None, 2)
    changed, folded = compared.html.split("<details>")
    count = changed.count(ACCENT)
    assert f"{count} of 46 fields changed" in changed and f"{46 - count} fields the same" in folded
    assert all(f">{name}<" in changed and f">{name}<" not in folded for name in ("TTL",)) and "(was " not in folded
    assert compared.text.index("(was ") < compared.text.index(f"{46 - count} fields the same")
    assert ACCENT not in alone.html and "(was " not in alone.text and "<details>" not in alone.html
    assert "0 of 46 fields changed" in packet_fields(before, before, 2).text


def test_a_packet_is_only_compared_with_the_same_message(seen: Capture) -> None:
    """CoreDNS's own query has another DNS id: nothing in it was rewritten."""
    chosen, _, shown, _ = packet_view(seen.sightings).widget.children
    queries = [number for number, each in enumerate(seen.sightings) if each.direction == "query"]
    own = next(number for number in queries if seen.sightings[number].message.id != seen.sightings[0].message.id)
    chosen.value = own
    assert "compared" not in shown.value and "(was " not in shown.value


def test_the_topology_view_lights_the_chosen_hop(seen: Capture) -> None:
    journey = seen.journey()
    chosen, _, shown, _ = topology_view(LAB.topology, journey).widget.children
    pictures = [shown.value]
    for number in range(1, len(journey.hops)):
        chosen.value = number
        pictures.append(shown.value)
    assert len(set(pictures)) == len(journey.hops)
    assert "destination rewritten (DNAT) 10.96.0.10:53 → 10.244.0.3:53" in pictures[2]


def test_two_buttons_step_through_the_list_and_stop_at_its_ends(seen: Capture) -> None:
    chosen, buttons, _, _ = packet_view(seen.sightings[:3]).widget.children
    back, on = buttons.children
    values = []
    for button in (back, on, on, on, back):
        button.click()
        values.append(chosen.value)
    assert values == [0, 1, 2, 2, 1]


def test_the_stepper_moves_map_ladder_and_packet_together(seen: Capture) -> None:
    journey = seen.journey()
    buttons, at, shown, _ = stepper(LAB.topology, journey, seen).widget.children
    back, on, player, note = buttons.children
    views = []
    for number, hop in enumerate(journey.hops, 1):
        assert (at.value, player.value) == (number, number)
        views.append(shown.value)
        title, command = escape(hop.sighting.point.title), escape(seen.tcpdump(hop.sighting.point).typed)
        assert f"$ {command}" in shown.value
        assert f"Packet {number}: the {hop.direction} at {title}" in shown.value
        assert f"Step {number} of {len(journey.hops)}: {title}" in shown.value
        lit = "".join(pictures(shown.value)).count(f'stroke="{FOCUS}"')
        assert lit == 2, "one place on the map, one row of the ladder"
        on.click()
    assert len(set(views)) == len(journey.hops) == at.max == player.max and shown.value == views[-1]
    assert "63 (was 64)" in views[2] and "10.244.0.3 (was 10.96.0.10)" in views[2]
    at.value = 1
    back.click()
    assert at.value == 1 and shown.value == views[0] and "(was " not in views[0]
    took = (journey.hops[-1].sighting.time_ns - journey.hops[0].sighting.time_ns) // 1000
    assert f"It took {took:,} µs" in note.value and "times slower" in note.value


def test_playing_moves_the_stepper(seen: Capture) -> None:
    buttons, at, shown, _ = stepper(LAB.topology, seen.journey(), seen).widget.children
    buttons.children[2].value = 3          # what the browser's timer does
    assert at.value == 3 and "Step 3 of" in shown.value


def test_every_callback_answers_within_50_ms(seen: Capture) -> None:
    parts = {name: make(seen).widget.children for name, make in WIDGETS.items()}

    def check(number: int) -> None:
        _, field, buttons, *_ = parts["question"]
        field.value = "ab"[number % 2]
        buttons.children[0].click()

    def act(name: str, control: int, value: Callable[[int], object]) -> Callable[[int], None]:
        return lambda number: setattr(parts[name][control], "value", value(number))

    acts = {"playground": act("playground", 0, lambda number: f"host{number}.example.com"),
            "packet view": act("packet view", 0, lambda number: 1 + number % 2),
            "topology view": act("topology view", 0, lambda number: 1 + number % 2), "question": check,
            "stepper": act("stepper", 1, lambda number: 2 + number),
            "rule walk": act("rule walk", 0, lambda number: number % 2),
            "what if": act("what if", 3, lambda number: f"10.244.0.2 10.244.0.{3 + number}")}
    assert acts.keys() == WIDGETS.keys()
    slow = {name: seconds for name, act in acts.items() if (seconds := quickest(act)) > BUDGET_S}
    assert not slow


def test_every_control_has_a_name_and_a_tooltip(seen: Capture) -> None:
    controls = [control for make in WIDGETS.values() for control in descendants(make(seen).widget)
                if isinstance(control, ipywidgets.ValueWidget | ipywidgets.Button)
                and not isinstance(control, ipywidgets.HTML)]
    assert len(controls) == 27
    assert all(control.tooltip and (control.description or isinstance(control, ipywidgets.RadioButtons))
               for control in controls)


def descendants(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    children = list(getattr(widget, "children", ()))
    return [*children, *(below for child in children for below in descendants(child))]
