"""A damaged recording: one RecordingError that names file and line; nothing outside is opened."""

import json
import os
import re
import struct
import time

import pytest

from conftest import captured_dig, part_of_the_recording
from kitlib.backends.recording import load
from kitlib.errors import KitError, RecordingError
from kitlib.lab import open_lab
from kitlib.parsers.pcap import frames
from recorder.scrub import scrub
from recorder.validate import validate

SCENE = "scenes/pod-dig-external"
INDEX, FACTS, TAKE, CAPTURE = "recording.json", "facts.jsonl", f"{SCENE}/take01.jsonl", f"{SCENE}/take01.pcapng"


@pytest.fixture
def copy(tmp_path):
    """A small copy of the kit's own recording: the facts and one scene."""
    return part_of_the_recording(tmp_path, scenes=("pod-dig-external",))


def play(folder):
    return captured_dig(open_lab(recording=folder))


def first(**fields):
    """Change the first line of a file, a JSON object."""
    def change(text):
        line, *rest = text.splitlines()
        return "\n".join([json.dumps(json.loads(line) | fields), *rest])
    return change


def takes(paths, *more):
    """Change the list of the scene's takes, and list more scenes."""
    def change(text):
        scene, = json.loads(text)["scenes"]
        return first(scenes=[scene | {"takes": paths(scene["takes"])}, *more])(text)
    return change


def test_the_copy_itself_plays(copy):
    assert play(copy).sightings


@pytest.mark.parametrize(("file", "damage", "complaint"), [
    (FACTS, lambda text: "\n".join([*text.splitlines()[:9], text.splitlines()[9][:40]]), "line 10: not JSON"),
    (INDEX, lambda text: text[:200], r"line \d+: not JSON"),
    # Each answer of a place is a command with an exit code and what it printed.
    (FACTS, first(rc="0"), "line 1: expected 'rc' as int, found str"),
    (FACTS, first(stdout=None), "line 1: expected 'stdout' as str, found nothing"),
    (FACTS, first(argv="rm -rf /"), "line 1: expected 'argv' as list, found str"),
    (FACTS, first(argv=[["nested"]]), "line 1: expected 'argv' as a list of words"),
    # Readers of JSON do not agree about these.
    (FACTS, lambda text: text.replace('"rc": 0', '"rc": 1, "rc": 0', 1), "line 1: not JSON"),
    (FACTS, lambda text: text.replace('"rc": 0', '"rc": 0, "x": "\\ud83d"', 1), "line 1: not JSON"),
    *((INDEX, first(format=version), "this kit reads recordings of format 1") for version in (
        0, 2, "1", None, True, 1.0)),
    *((INDEX, takes(lambda _, path=path: [path], "no object"), "line 1: expected a path") for path in (
        ["nested"], 7, None, "take\0")),
    *((INDEX, takes(lambda _, path=path: [path]), "line 1: .*leaves the recording's folder") for path in (
        "../outside.jsonl", "/etc/passwd", "scenes/../../outside.jsonl")),
    (INDEX, takes(lambda known: [*known, f"scenes/../{known[0]}"]), r"line 1: it lists take01\.jsonl twice"),
    # A take holds the scene's command, and its capture is the file beside it.
    (TAKE, lambda text: text.replace("www.example.com", "www.example.net"), "the take does not hold"),
    *((TAKE, first(pcap=name), r"line 1: expected 'take01\.pcapng'") for name in (
        "../../../x.pcapng", "/etc/passwd", "take02.pcapng", "\0"))])
def test_damage_is_named_with_its_file_and_line(copy, file, damage, complaint):
    (copy / file).write_text(damage((copy / file).read_text()))
    with pytest.raises(RecordingError, match=rf"{re.escape(file)}(, |: ){complaint}"):
        (play if file == TAKE else load)(copy)


@pytest.mark.parametrize("missing", [INDEX, FACTS, TAKE, CAPTURE])
def test_a_missing_file_is_named(copy, missing):
    (copy / missing).unlink()
    with pytest.raises(RecordingError, match=rf"{missing}: the recording lacks this file"):
        play(copy)


def test_a_truncated_take_names_the_line_wherever_it_is_cut(copy):
    take = copy / TAKE
    whole = take.read_text()
    for size in range(0, len(whole) - 2, 997):
        take.write_text(whole[:size])
        with pytest.raises(RecordingError, match=r"take01\.jsonl"):
            play(copy)


def test_a_take_cut_between_lines_lacks_vantage_points(copy):
    take = copy / TAKE
    whole = take.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(whole) if line.startswith('{"point"'))
    for end in range(first, first + 7):      # what was caught at the last of them is in the capture
        take.write_text("".join(whole[:end]))
        with pytest.raises(RecordingError, match=r"take01\.jsonl: the take lacks (the|its) vantage points"):
            play(copy)


@pytest.mark.parametrize("file", [INDEX, FACTS, TAKE])
@pytest.mark.parametrize(("damage", "complaint"), [(b"\xff", "not UTF-8"), (b"[" * 100_000, "not JSON")])
def test_other_damage_is_named_too(copy, file, damage, complaint):
    (copy / file).write_bytes((copy / file).read_bytes().replace(b'"', damage + b'"', 1))
    with pytest.raises(RecordingError, match=rf"{file}, line 1: {complaint}"):
        play(copy)


def test_a_scenes_name_is_no_path_when_it_is_copied(copy, tmp_path_factory):
    names = ["..", "../../up", "/absolute", "a/../../b", "", "\x1b/c", "..", "d" * 300, "link/e"]
    outside, folder = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("parent") / "in" / "clean"
    (copy / "scenes/link").symlink_to(outside)
    scene, = json.loads((copy / INDEX).read_text())["scenes"]
    scenes = [scene | {"name": name, "takes": [take]} for name, take in zip(names, scene["takes"], strict=False)]
    fault = scene | {"name": "../f", "facts": FACTS, "takes": scene["takes"][len(names):]}
    (copy / INDEX).write_text(first(scenes=scenes, faults=[fault])((copy / INDEX).read_text()))
    scrub(copy, folder)
    assert not [*outside.iterdir()] and [*folder.parent.iterdir()] == [folder]
    assert [*folder.parent.parent.iterdir()] == [folder.parent]
    assert len([*folder.glob("scenes/*/take01.jsonl"), *folder.glob("faults/-f/take01.jsonl")]) == len(names) + 1
    assert validate(folder) == []


def test_a_recording_behind_a_link_plays(copy, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(copy)
    assert play(link).sightings


def test_a_truncated_capture_is_named_wherever_it_is_cut(copy):
    pcap = copy / CAPTURE
    whole = pcap.read_bytes()
    for size in range(0, len(whole) - 1, 61):
        pcap.write_bytes(whole[:size])
        with pytest.raises(RecordingError, match=r"take01\.pcapng: the capture is damaged"):
            play(copy)


def test_a_link_that_leads_outside_is_not_followed(copy, tmp_path_factory):
    outside = (copy / TAKE).rename(tmp_path_factory.mktemp("outside") / "take01.jsonl")
    (copy / TAKE).symlink_to(outside)
    with pytest.raises(RecordingError, match="leaves the recording's folder"):
        load(copy)


@pytest.mark.parametrize("name", [INDEX, FACTS, TAKE, CAPTURE])
@pytest.mark.parametrize(("put", "complaint"), [
    (os.mkfifo, "not a regular file"), (lambda path: path.symlink_to(path), "expected a path|lacks this file"),
    (lambda path: path.symlink_to("/dev/zero"), "leaves the recording's folder")], ids=["fifo", "loop", "device"])
def test_only_regular_files_within_the_folder_are_opened(copy, name, put, complaint, tmp_path_factory):
    (copy / name).unlink()
    put(copy / name)
    with pytest.raises(RecordingError, match=complaint):
        play(copy)
    assert re.search(complaint, "\n".join(validate(copy)))
    with pytest.raises(RecordingError, match=complaint):
        scrub(copy, tmp_path_factory.mktemp("parent") / "out")


def test_a_file_without_end_is_not_read(copy):
    with open(copy / FACTS, "ab") as facts:
        facts.truncate(2**40)
    with pytest.raises(RecordingError, match=r"facts\.jsonl: a file of a recording has at most 256 MB"):
        load(copy)


def test_a_recording_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"nowhere/recording\.json: the recording lacks this file"):
        open_lab(recording=tmp_path / "nowhere")


# What a text file is damaged with: what is replaced where it first stands, and by what.
TEXT = [(b'"', b'\xff"'), (b'"', b'\xc0\x80"'), (b'"', b'\xed\xa0\x80"'), (b'"', b'\0"'), (b"{", b"\xef\xbb\xbf{"),
        (b"{", b"[" * 100_000), (b"{", b'{"a":' * 100_000), (b"{", b"[{"), (b"{", b"7 {"), (b"{", b""), (b":", b""),
        (b'": ', b'": NaN, "x": '), (b'": ', b'": 1e999, "x": '), (b'": ', b'": ' + b"9" * 5000 + b', "x": '),
        (b'": ', b'": null, "x": '), (b'": ', b'": "\\ud800", "x": '), (b'": ', b'": "../../x", "x": '),
        (b'": ', b'": "/etc/passwd", "x": '), (b'": ', b'": {"a": [[]]}, "x": '), (b", ", b"\r"), (b", ", b",\n\n")]
# The first bytes of an enhanced packet block, of an interface block and of the section; what is written at an offset.
BLOCKS = {"packet": struct.pack("<I", 6), "interface": struct.pack("<I", 1), "section": struct.pack("<I", 0x0A0D0D0A)}
LENGTHS = [0, 1, 8, 13, 0x7FFFFFFC, 0xFFFFFFFC, 0xFFFFFFFF]
FIELDS = [*((block, 4, length) for block in BLOCKS for length in LENGTHS),
          *(("packet", 8 + 4 * field, value) for field in range(5) for value in (1, 0xFFFF, 0xFFFFFFFF)),
          *(("interface", 8, value) for value in (0, 113, 0xFFFF)),
          *(("interface", 12, value) for value in (1, 2**32 - 1)),
          *(("section", offset, value) for offset in (8, 12, 16) for value in (0, 0xFFFFFFFE))]
RESOLUTIONS = [0, 0x7F, 0x80, 0xBF, 0xFF]
DNS = [b"\xc0\x0c" * 8, b"\xff" * 16, b"\x3f" * 16, b"\0" * 16]        # over the question: loops, lengths past the end


def overwritten(data: bytes, block: str, offset: int, value: int) -> bytes:
    at = data.index(BLOCKS[block], 0 if block == "section" else 28) + offset
    return data[:at] + struct.pack("<I", value) + data[at + 4:]


def with_resolution(data: bytes, value: int) -> bytes:
    return data.replace(b"\x09\0\x01\0\x09", bytes([9, 0, 1, 0, value]))


def with_question(data: bytes, words: bytes) -> bytes:
    return data.replace(b"\x03www\x07example\x03com"[:len(words)], words)


DAMAGES = [*((file, bytes.replace, (old, new, 1)) for file in (INDEX, FACTS, TAKE) for old, new in TEXT),
           *((CAPTURE, overwritten, field) for field in FIELDS),
           *((CAPTURE, with_resolution, (value,)) for value in RESOLUTIONS),
           *((CAPTURE, with_question, (words,)) for words in DNS)]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "damage", "values"), DAMAGES)
def test_any_damage_ends_in_the_kits_error_or_is_harmless(copy, file, damage, values, tmp_path_factory):
    whole, out = (copy / file).read_bytes(), tmp_path_factory.mktemp("parent") / "out"
    (copy / file).write_bytes(damaged := damage(whole, *values))
    started = time.process_time()
    assert damaged != whole
    for use in (lambda: play(copy).journeys(), lambda: frames((copy / CAPTURE).read_bytes()), lambda: validate(copy),
                lambda: scrub(copy, out)):
        try:
            use()
        except KitError as error:
            assert str(error).replace("\n", " ").isprintable()
    assert {path.name for path in out.parent.iterdir()} <= {"out"} and time.process_time() - started < 20
