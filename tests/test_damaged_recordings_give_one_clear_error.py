"""A damaged recording: one RecordingError that names file and line; nothing outside is opened."""

import json
import os
import re
import shutil
import struct
import time

import pytest

from conftest import captured_dig
from kitlib.backends.recording import load
from kitlib.errors import KitError, RecordingError
from kitlib.lab import RECORDINGS, open_lab
from kitlib.parsers.pcap import frames
from recorder.scrub import scrub
from recorder.validate import validate

SCENE = "scenes/pod-dig-external"


@pytest.fixture
def copy(tmp_path):
    """A small copy of the kit's own recording: the facts and one scene."""
    source = RECORDINGS / "kind-test1"
    shutil.copytree(source / SCENE, tmp_path / SCENE)
    shutil.copy(source / "facts.jsonl", tmp_path)
    index = json.loads((source / "recording.json").read_text())
    index["scenes"] = [scene for scene in index["scenes"] if scene["name"] == "pod-dig-external"]
    (tmp_path / "recording.json").write_text(json.dumps(index))
    return tmp_path


def play(folder):
    return captured_dig(open_lab(recording=folder))


def change_index(folder, **changes):
    index = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps({**index, **changes}))


def test_the_copy_itself_plays(copy):
    assert play(copy).sightings


def test_truncated_facts_name_the_line(copy):
    facts = copy / "facts.jsonl"
    lines = facts.read_text().splitlines()
    facts.write_text("\n".join([*lines[:9], lines[9][:40]]))
    with pytest.raises(RecordingError, match=r"facts\.jsonl, line 10: not JSON"):
        load(copy)


@pytest.mark.parametrize(("key", "value", "complaint"), [
    ("rc", "0", "expected 'rc' as int, found str"),
    ("stdout", None, "expected 'stdout' as str, found nothing"),
    ("argv", "rm -rf /", "expected 'argv' as list, found str"),
    ("argv", [["nested"]], "expected 'argv' as a list of words"),
])
def test_a_field_of_the_wrong_kind_is_named(copy, key, value, complaint):
    facts = copy / "facts.jsonl"
    first, *rest = facts.read_text().splitlines()
    facts.write_text("\n".join([json.dumps({**json.loads(first), key: value}), *rest]))
    with pytest.raises(RecordingError, match=rf"facts\.jsonl, line 1: {complaint}"):
        load(copy)


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0])
def test_another_version_says_which_one_this_kit_reads(copy, version):
    change_index(copy, format=version)
    with pytest.raises(RecordingError, match=r"recording\.json: this kit reads recordings of format 1"):
        load(copy)


def test_a_truncated_list_names_the_line(copy):
    index = copy / "recording.json"
    index.write_text(index.read_text()[:200])
    with pytest.raises(RecordingError, match=r"recording\.json, line \d+: not JSON"):
        load(copy)


@pytest.mark.parametrize("missing", ["recording.json", "facts.jsonl",
                                     f"{SCENE}/take01.jsonl", f"{SCENE}/take01.pcapng"])
def test_a_missing_file_is_named(copy, missing):
    (copy / missing).unlink()
    with pytest.raises(RecordingError, match=rf"{missing}: the recording lacks this file"):
        play(copy)


def test_a_truncated_take_names_the_line_wherever_it_is_cut(copy):
    take = copy / SCENE / "take01.jsonl"
    whole = take.read_text()
    for size in range(0, len(whole) - 2, 997):
        take.write_text(whole[:size])
        with pytest.raises(RecordingError, match=r"take01\.jsonl"):
            play(copy)


def test_a_take_cut_between_lines_lacks_vantage_points(copy):
    take = copy / SCENE / "take01.jsonl"
    whole = take.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(whole) if line.startswith('{"point"'))
    for end in range(first, first + 7):      # what was caught at the last of them is in the capture
        take.write_text("".join(whole[:end]))
        with pytest.raises(RecordingError, match=r"take01\.jsonl: the take lacks (the|its) vantage points"):
            play(copy)


@pytest.mark.parametrize("file", ["recording.json", "facts.jsonl", f"{SCENE}/take01.jsonl"])
@pytest.mark.parametrize(("damage", "complaint"), [(b"\xff", "not UTF-8"), (b"[" * 100_000, "not JSON")])
def test_other_damage_is_named_too(copy, file, damage, complaint):
    (copy / file).write_bytes((copy / file).read_bytes().replace(b'"', damage + b'"', 1))
    with pytest.raises(RecordingError, match=rf"{file}, line 1: {complaint}"):
        play(copy)


@pytest.mark.parametrize("takes", [[["nested"]], [7], [None], ["take\0"]])
def test_a_path_that_is_none_is_named(copy, takes):
    index = json.loads((copy / "recording.json").read_text())
    change_index(copy, scenes=[index["scenes"][0] | {"takes": takes}, "no object"])
    with pytest.raises(RecordingError, match=r"recording\.json, line 1: expected a path"):
        load(copy)


def test_a_take_of_another_command_is_named(copy):
    take = copy / SCENE / "take01.jsonl"
    take.write_text(take.read_text().replace("www.example.com", "www.example.net"))
    with pytest.raises(RecordingError, match=r"take01\.jsonl: the take does not hold"):
        play(copy)


def test_a_scenes_name_is_no_path_when_it_is_copied(copy, tmp_path_factory):
    names = ["..", "../../up", "/absolute", "a/../../b", "", "\x1b/c", "..", "d" * 300, "link/e"]
    outside, folder = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("parent") / "in" / "clean"
    (copy / "scenes/link").symlink_to(outside)
    index = json.loads((copy / "recording.json").read_text())
    scene = index["scenes"][0]
    scenes = [scene | {"name": name, "takes": [take]} for name, take in zip(names, scene["takes"], strict=False)]
    change_index(copy, scenes=scenes, faults=[scene | {"name": "../f", "facts": "facts.jsonl",
                                                       "takes": scene["takes"][len(names):]}])
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
    pcap = copy / SCENE / "take01.pcapng"
    whole = pcap.read_bytes()
    for size in range(0, len(whole) - 1, 61):
        pcap.write_bytes(whole[:size])
        with pytest.raises(RecordingError, match=r"take01\.pcapng: the capture is damaged"):
            play(copy)


@pytest.mark.parametrize("path", ["../outside.jsonl", "/etc/passwd", "scenes/../../outside.jsonl"])
def test_a_path_that_leaves_the_folder_is_not_opened(copy, path):
    index = json.loads((copy / "recording.json").read_text())
    index["scenes"][0]["takes"] = [path]
    change_index(copy, scenes=index["scenes"])
    with pytest.raises(RecordingError, match=r"recording\.json, line 1: .*leaves the recording's folder"):
        load(copy)


@pytest.mark.parametrize("name", ["../../../x.pcapng", "/etc/passwd", "take02.pcapng", "\0"])
def test_no_capture_is_opened_but_the_takes_own(copy, name):
    take = copy / SCENE / "take01.jsonl"
    _, *rest = take.read_text().splitlines()
    take.write_text("\n".join([json.dumps({"pcap": name}), *rest]))
    with pytest.raises(RecordingError, match=r"take01\.jsonl, line 1: expected 'take01\.pcapng'"):
        play(copy)


def test_a_take_that_is_listed_twice_is_read_by_nobody(copy):
    index = json.loads((copy / "recording.json").read_text())
    index["scenes"][0]["takes"].append("scenes/../" + index["scenes"][0]["takes"][0])
    change_index(copy, scenes=index["scenes"])
    with pytest.raises(RecordingError, match=r"recording\.json, line 1: it lists take01\.jsonl twice"):
        load(copy)


@pytest.mark.parametrize("damage", ['"rc": 1, "rc": 0', '"rc": 0, "x": "\\ud83d"'])
def test_what_readers_would_take_differently_is_not_read(copy, damage):
    facts = copy / "facts.jsonl"
    facts.write_text(facts.read_text().replace('"rc": 0', damage, 1))
    with pytest.raises(RecordingError, match=r"facts\.jsonl, line 1: not JSON"):
        load(copy)


def test_a_link_that_leads_outside_is_not_followed(copy, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "take01.jsonl"
    take = copy / SCENE / "take01.jsonl"
    take.rename(outside)
    take.symlink_to(outside)
    with pytest.raises(RecordingError, match="leaves the recording's folder"):
        load(copy)


@pytest.mark.parametrize("name", ["recording.json", "facts.jsonl", f"{SCENE}/take01.jsonl", f"{SCENE}/take01.pcapng"])
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
    with open(copy / "facts.jsonl", "ab") as facts:
        facts.truncate(2**40)
    with pytest.raises(RecordingError, match=r"facts\.jsonl: a file of a recording has at most 256 MB"):
        load(copy)


def test_a_recording_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"nowhere/recording\.json: the recording lacks this file"):
        open_lab(recording=tmp_path / "nowhere")


FACTS, TAKE, CAPTURE = "facts.jsonl", f"{SCENE}/take01.jsonl", f"{SCENE}/take01.pcapng"
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


DAMAGES = [*((file, bytes.replace, (old, new, 1)) for file in ("recording.json", FACTS, TAKE) for old, new in TEXT),
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
