"""A recording on disk: commands with their answers, and what tcpdump wrote, as data and nothing but data.

    recording.json            format, name, when and how it was made, and the list of scenes
    facts.jsonl               commands at rest, one a line: place, argv, rc, stdout, stderr
    scenes/NAME/takeNN.jsonl  one run of the scene's command: what ran, the vantage points, what was asked right after
    scenes/NAME/takeNN.pcapng all vantage points of that take in one file, an interface block each (opens in Wireshark)

Whatever is wrong with a file is a RecordingError that names the file and the line. Nothing is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kitlib.errors import RecordingError
from kitlib.recording_files import argv_of, get, inside, lines, parse_object, text

FORMAT = 1


@dataclass(frozen=True)
class Command:
    """One recorded command and its answer."""

    place: str
    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Scene:
    """A command that comes out differently each time, with its takes. `traced`: TRACE rules were loaded."""

    name: str
    place: str
    argv: tuple[str, ...]
    note: str
    traced: bool
    takes: tuple[Path, ...]


@dataclass(frozen=True)
class Recording:
    """A recording: its folder, how it was made, its facts and scenes."""

    folder: Path
    name: str
    made: str
    made_with: dict[str, str]
    facts: dict[tuple[str, tuple[str, ...]], Command]
    scenes: tuple[Scene, ...]


def load(folder: Path) -> Recording:
    """Read a recording's list and its facts; scenes are read when they are played."""
    index_file = folder / "recording.json"
    index = parse_object(text(index_file), index_file, 0)
    if index.get("format") != FORMAT:
        raise RecordingError(f"{index_file}: this kit reads recordings of format {FORMAT}, and this one says "
                             f"{index.get('format')!r}. Use the kit that made it, or record again.")
    facts = {(fact.place, fact.argv): fact for fact in lines(folder / "facts.jsonl", command_of)}
    scenes = tuple(_scene(entry, folder, index_file) for entry in get(index, "scenes", list, index_file, 0))
    made_with = get(index, "made_with", dict, index_file, 0)
    name, made = (get(index, key, str, index_file, 0) for key in ("name", "made"))
    return Recording(folder, name, made, made_with, facts, scenes)


def _scene(entry: dict, folder: Path, index_file: Path) -> Scene:
    name, place, note = (get(entry, key, str, index_file, 0) for key in ("name", "place", "note"))
    takes = tuple(inside(folder, take, index_file, 0) for take in get(entry, "takes", list, index_file, 0))
    if not takes:
        raise RecordingError(f"{index_file}: scene {name} has no takes.")
    argv = argv_of(entry, index_file, 0)
    return Scene(name, place, argv, note, get(entry, "traced", bool, index_file, 0), takes)


def command_of(entry: dict, path: Path, line: int) -> Command:
    """A recorded command, each part of the kind that it should be."""
    return Command(get(entry, "place", str, path, line), argv_of(entry, path, line),
                   get(entry, "rc", int, path, line), get(entry, "stdout", str, path, line),
                   get(entry, "stderr", str, path, line))
