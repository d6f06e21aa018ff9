"""For every packet that the kernel traced: the same rules in the same order, the same verdicts, marks and addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import captured_dig, every_sighting, recorded_scenes
from kitlib import open_lab
from kitlib.backends.recording import read_take
from kitlib.netfilter.compare import TracedPath, traced_paths
from kitlib.parsers import iptables_save
from kitlib.parsers.xtables_monitor import traces

TRACED = [scene for scene in recorded_scenes() if scene.startswith("trace-")]


@pytest.fixture(scope="module")
def lab():
    return open_lab()


def kernel(lab, place: str, without: str = ""):
    """The node as it was while it was traced: TRACE rules in raw. `without`: leave out the rules that hold this."""
    recording = lab.backend.recording
    rules = recording.traced_rules[place, ("iptables-save",)].stdout
    kept = "\n".join(line for line in rules.split("\n") if not without or without not in line)
    return replace(lab.node(place.partition(":")[2]).netfilter(), ruleset=iptables_save.parse(kept))


def followed(lab, scene: str, without: str = "") -> list[TracedPath]:
    recording = lab.backend.recording
    found = next(known for known in recording.scenes if known.name == scene)
    takes = [read_take(recording, found, number) for number in range(1, len(found.takes) + 1)]
    return [one for take in takes for trace in take.traces
            for one in traced_paths(kernel(lab, trace.place, without), traces(trace.stdout))]


@pytest.mark.parametrize("scene", TRACED)
def test_the_walk_equals_the_kernels_trace(lab, scene: str) -> None:
    packets = followed(lab, scene)
    assert packets
    for one in packets:
        assert not one.differences, f"{one.path.packet}: {one.differences}"
        assert all(step and met for step, met in one.pairs)


def test_queries_and_replies_on_both_nodes_are_compared(lab, capsys: pytest.CaptureFixture) -> None:
    packets = [one for scene in TRACED for one in followed(lab, scene)]
    rules = sum(1 for one in packets for met in one.trace_lines if met.rule)
    with capsys.disabled():
        print(f"\nThe rule walk and the kernel's trace agree on {len(packets)} packets, {rules} rules and "
              f"{sum(len(one.trace_lines) for one in packets) - rules} policies.")
    assert len(TRACED) == 6 and len(packets) > 60 and rules > 500
    assert {one.path.packet.states >= {"NEW"} for one in packets} == {True, False}
    assert any(one.path.after.source != one.path.packet.source for one in packets if "NEW" in one.path.packet.states)
    assert any(one.path.after.mark == 0 and "set-xmark" in str(one.path.matched) for one in packets)


@pytest.mark.parametrize("scene", TRACED)
def test_what_the_walk_sends_out_was_caught_on_the_wire(lab, scene: str) -> None:
    """A trace ends before the last rewrite; tcpdump has seen what came of it."""
    for number in range(1, recorded_scenes()[scene] + 1):
        take, sightings = every_sighting(lab, scene, number)
        for trace in take.traces:
            wire = {(*seen.source, *seen.destination) for seen in sightings if seen.point.place == trace.place}
            for one in traced_paths(kernel(lab, trace.place), traces(trace.stdout)):
                after = one.path.after
                fits = {seen for seen in wire if (seen[0], *seen[2:]) == (after.source, after.destination, after.dport)}
                assert one.path.end == "is delivered here" or any(seen[1] == after.sport or (
                    after.sport is None and seen[1] != one.path.packet.sport) for seen in fits), after


@pytest.mark.parametrize("missing", ["-j KUBE-MARK-MASQ", "-A KUBE-POSTROUTING -j MARK", "KIND-MASQ-AGENT -d 10.244",
                                     "-j DNAT --to-destination 10.244.0.3:53", "--ctstate RELATED,ESTABLISHED -j"])
def test_one_rule_less_is_noticed(lab, missing: str) -> None:
    assert any(one.differences for scene in TRACED for one in followed(lab, scene, without=missing))


def test_a_learner_sees_the_same_under_capture(lab) -> None:
    seen = captured_dig(lab, trace=True)
    node = lab.node("worker3")
    assert seen.trace(node).typed == "docker exec kind-test1-worker3 xtables-monitor --trace"
    assert seen.trace(node).note == "recorded: take 1 of 4"
    packets = seen.traced_paths(node)
    assert len(packets) == 2 and not any(one.differences for one in packets)
    assert packets[0].path.after.destination == seen.journey().client_leg.endpoint.address
