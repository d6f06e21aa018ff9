"""open_lab(fault=…): the cluster while something was broken; what is older says so, what is outdated is not told."""

from __future__ import annotations

import json

import pytest

from conftest import REPO, part_of_the_recording
from kitlib.backends.recording import load
from kitlib.errors import NotFound, NotRecorded, RecordingError
from kitlib.lab import RECORDINGS, open_lab

FAULTS = [fault.name for fault in load(RECORDINGS / "kind-test1").faults]
DIG = ("+tries=1", "+timeout=3", "www.example.com")


def test_ten_faults_were_recorded_and_an_unknown_one_lists_them() -> None:
    assert len(FAULTS) == 10
    with pytest.raises(NotFound) as told:
        open_lab(fault="gremlins")
    assert "'gremlins'" in str(told.value) and all(name in str(told.value) for name in FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_its_dig_plays_with_its_captures(name) -> None:
    lab = open_lab(fault=name)
    scene = lab.backend.recording.scenes[0]
    with lab.capture() as seen:
        result = lab.run(scene.place, scene.argv)
    assert f"take 1 of {len(scene.takes)}" in result.note and seen.journeys()
    assert "while something was broken" in repr(lab) and name not in repr(lab)


def test_what_the_fault_changed_is_told_as_it_was_then() -> None:
    broken, healthy = open_lab(fault="forward-drop").node("worker3"), open_lab().node("worker3")
    assert ":FORWARD DROP" in broken.run("iptables-save").stdout
    assert ":FORWARD ACCEPT" in healthy.run("iptables-save").stdout
    assert not broken.run("iptables-save").note
    assert open_lab(fault="no-endpoints").coredns == () != open_lab().coredns


def test_what_was_not_asked_again_says_that_it_is_older_and_what_said_the_same_does_not() -> None:
    node = open_lab(fault="forward-drop").node("worker3")
    assert node.run("ip", "addr").note == "recorded before anything was broken"
    assert node.run("ip", "route").note == "" == node.run("sysctl", "net.ipv4.ip_forward").note


def test_what_it_made_untrue_is_not_told() -> None:
    node = open_lab(fault="route-blackhole").node("worker3")
    with pytest.raises(NotRecorded, match="docker exec kind-test1-worker3 ip route\n"):
        node.run("ip", "route", "get", "10.244.0.2")
    assert node.run("ip", "addr").stdout
    with pytest.raises(NotRecorded):
        open_lab(fault="forward-drop").node("worker3").run("iptables", "-t", "nat", "-S")


def test_a_healthy_dig_is_not_played_in_a_broken_lab() -> None:
    with pytest.raises(NotRecorded, match=r"dig \+tries=1 \+timeout=3 www\.example\.com"):
        open_lab(fault="forward-drop").pod("my-nginx").dig("www.example.com")


def test_two_queries_of_one_take_share_its_capture_and_a_new_capture_takes_the_next() -> None:
    lab = open_lab(fault="tcp-blocked")
    pod = lab.pod("my-nginx")
    with lab.capture() as seen:
        small, big = pod.dig(*DIG), pod.dig("+tries=1", "+timeout=3", "big.example.com", "TXT")
    assert "take 1 of" in small.note and "right after take 1" in big.note
    assert len([found for found in seen.journeys() if found.client_leg.client.address == pod.address]) == 2
    with lab.capture() as again:
        big = pod.dig("+tries=1", "+timeout=3", "big.example.com", "TXT")
    assert "take 2 of" in big.note and again.journeys()


@pytest.fixture
def copy(tmp_path):
    """The facts and one fault of the kit's own recording."""
    return part_of_the_recording(tmp_path, faults=("forward-drop",))


def test_damaged_facts_of_a_fault_name_file_and_line(copy) -> None:
    open_lab(recording=copy, fault="forward-drop")
    facts = copy / "faults" / "forward-drop" / "facts.jsonl"
    first, *rest = facts.read_text().splitlines()
    facts.write_text("\n".join([first, *rest[:-1], rest[-1][:10]]))
    with pytest.raises(RecordingError, match=rf"facts\.jsonl, line {len(rest) + 1}: not JSON"):
        open_lab(recording=copy, fault="forward-drop")
    facts.write_text(json.dumps({"outdated": {"place": "host", "argv": "rm"}}))
    with pytest.raises(RecordingError, match=r"facts\.jsonl, line 1: expected 'argv'"):
        open_lab(recording=copy, fault="forward-drop")
    facts.unlink()
    with pytest.raises(RecordingError, match=r"forward-drop/facts\.jsonl: the recording lacks this file"):
        open_lab(recording=copy, fault="forward-drop")


def test_facts_of_a_fault_outside_the_folder_are_not_opened(copy) -> None:
    index = json.loads((copy / "recording.json").read_text())
    index["faults"][0]["facts"] = "../elsewhere.jsonl"
    (copy / "recording.json").write_text(json.dumps(index))
    with pytest.raises(RecordingError, match=r"recording\.json, line 1: .*leaves the recording's folder"):
        load(copy)


@pytest.mark.parametrize("name, most", [("kind-test1", 5000), ("kind-test1-nftables", 2000)])
def test_the_recordings_stay_small(name: str, most: int) -> None:
    """In kB, in blocks of 4 KiB, as a disk counts, folders too."""
    folder = REPO / "kitlib" / "recordings" / name
    blocks = sum(1 if entry.is_dir() else -(-entry.stat().st_size // 4096) for entry in [folder, *folder.rglob("*")])
    assert blocks * 4 <= most
