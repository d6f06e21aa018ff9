"""What a lab was asked while it was recorded, the recording answers the same: results, captures, takes, rule traces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from conftest import captured_dig
from kitlib.backends.recording import Command, read_take
from kitlib.errors import KitError, NotRecorded, RecordingError, UnknownLab
from kitlib.lab import Lab, open_lab
from kitlib.result import Result
from recorder.backend import Block, Recorder
from recorder.validate import validate


def recording(folder) -> Lab:
    """A lab that is recorded: the kit's own recording stands for the live one, which the recorder cannot tell."""
    return Lab(Recorder(open_lab().backend, folder))


def said(result: Result) -> tuple:
    return result.typed, result.rc, result.stdout, result.stderr


CONNTRACK = ("conntrack", "-L", "-p", "udp", "--dport", "53")


def story(lab: Lab) -> list:
    """The same questions to any lab, and everything that came of them."""
    pod = lab.pod("my-nginx")
    told: list = [said(pod.run("cat", "/etc/resolv.conf")), said(lab.node("worker").run("ls", "-l", "/run/netns"))]
    for _ in range(3):
        with lab.capture() as seen:
            dig = pod.dig("www.example.com")
        told += [said(dig), said(pod.node.run(*CONNTRACK)), seen.sightings, [seen.frames(at) for at in seen.points]]
    with lab.capture(pod) as seen:
        told.append(said(pod.run("getent", "ahosts", "www.example.com")))
    return [*told, [replace(journey, note="") for journey in seen.journeys()], lab.topology]


def test_replaying_tells_the_same_story(tmp_path):
    live = story(recording(tmp_path / "mine"))
    assert validate(tmp_path / "mine") == []
    assert story(open_lab(recording=tmp_path / "mine")) == live


def test_a_rule_trace_is_replayed_with_the_rules_of_that_moment(tmp_path):
    def trace(lab):
        seen, node = captured_dig(lab, trace=True), lab.client.node
        return seen.trace(node).stdout, seen.traced_paths(node)

    live = trace(recording(tmp_path / "mine"))
    replayed = trace(open_lab(recording=tmp_path / "mine"))
    assert replayed == live and "TRACE" in live[0]


def test_a_second_session_adds_takes_to_the_same_folder(tmp_path):
    for _ in range(2):
        captured_dig(recording(tmp_path / "mine"))
    index = json.loads((tmp_path / "mine" / "recording.json").read_text())
    assert [len(scene["takes"]) for scene in index["scenes"]] == [2]


def test_a_take_of_a_session_that_was_killed_is_begun_anew_and_no_name_leads_away(tmp_path):
    captured_dig(recording(tmp_path / "mine"))
    index, (scene,) = tmp_path / "mine/recording.json", [*(tmp_path / "mine/scenes").iterdir()]
    (scene / "take02.jsonl").write_text('{"half"')
    captured_dig(recording(tmp_path / "mine"))
    replayed = open_lab(recording=tmp_path / "mine").backend.recording
    assert read_take(replayed, replayed.scenes[0], 2).commands[0].argv == ("dig", "www.example.com")
    index.write_text(index.read_text().replace(f'"{scene.name}"', '"../../away"'))
    with pytest.raises(RecordingError, match="leaves the recording's folder"):
        captured_dig(recording(tmp_path / "mine"))
    assert not (tmp_path / "away").exists()


def test_a_block_that_failed_leaves_no_take(tmp_path):
    lab = recording(tmp_path / "mine")
    with pytest.raises(ZeroDivisionError), lab.capture():
        lab.pod("my-nginx").dig("www.example.com")
        1 / 0    # noqa: B018
    assert json.loads((tmp_path / "mine" / "recording.json").read_text())["scenes"] == []


@pytest.mark.parametrize(("first_packet", "named"), [(15, "look"), (25, "dig"), (99, "late"), (0, "look")])
def test_the_scene_is_named_by_the_command_that_sent_the_first_packet(first_packet, named):
    ran = [(10, "look"), (20, "dig"), (30, "late")]
    commands = Block([(at, Command("host", (name,), 0, "", "")) for at, name in ran]).main_first(first_packet)
    assert commands[0].argv == (named,) and {command.argv[0] for command in commands} == {"look", "dig", "late"}


@pytest.mark.parametrize("secret", [
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "kind: Secret\ndata: {}", '"kind": "Config"',
    "token: abcdef.0123456789abcdef", "client-key-data: " + "QUJD" * 9])
def test_what_holds_a_secret_is_not_written_and_said_to_be_left_out(tmp_path, secret):
    lab = recording(tmp_path / "mine")
    lab.backend.backend.run = lambda place, argv: Result("x", argv, 0, secret)
    assert lab.run("host", ("kubectl", "config", "view", "--raw")).stdout == secret
    assert secret.splitlines()[0] not in "".join(file.read_text() for file in (tmp_path / "mine").iterdir())
    left, = json.loads((tmp_path / "mine" / "recording.json").read_text())["left_out"]
    assert left["argv"][:2] == ["kubectl", "config"] and left["because"]


def test_a_secret_in_the_list_of_pods_is_made_unreadable_and_the_list_stays(tmp_path):
    lab = recording(tmp_path / "mine")
    asked = ("kubectl", "get", "pods", "-A", "-o", "json")
    pods = json.loads(lab.backend.backend.run("host", asked).stdout)
    pods["items"][0]["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": "hunter2"}]
    lab.backend.backend.run = lambda place, argv: Result("x", argv, 0, json.dumps(pods, indent=4))
    assert "hunter2" in lab.run("host", asked).stdout
    again = open_lab(recording=tmp_path / "mine").run("host", asked).stdout
    assert "hunter2" not in again and json.loads(again)["items"][0]["metadata"] == pods["items"][0]["metadata"]


def test_a_folder_that_holds_something_else_is_not_written_to(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(RecordingError, match="not empty"):
        recording(tmp_path)
    with pytest.raises(RecordingError, match="did not begin"):
        recording(open_lab().backend.recording.folder)


def test_record_mode_needs_a_live_lab(monkeypatch):
    monkeypatch.setenv("KITLIB_MODE", "record")
    with pytest.raises(UnknownLab, match=r"needs a live lab.*KITLIB_LAB"):
        open_lab()
    assert not open_lab("recorded", recording="kind-test1").backend.live       # which notebook 10 shows beside


def test_the_variable_chooses_the_recording_that_is_played(tmp_path, monkeypatch):
    story(recording(tmp_path / "mine"))
    monkeypatch.setenv("KITLIB_RECORDING", str(tmp_path / "mine"))
    lab = open_lab()
    assert "mine" in repr(lab)
    with pytest.raises(NotRecorded):
        lab.pod("my-nginx").run("never", "asked")
    assert isinstance(lab.pod("my-nginx").run("cat", "/etc/resolv.conf"), Result)
    with pytest.raises(KitError):
        open_lab(recording=tmp_path / "nowhere")
