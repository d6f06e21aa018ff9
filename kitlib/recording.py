"""A recording on disk: commands with their answers, and what tcpdump wrote, as data and nothing but data.

    recording.json            format, name, when and how it was made, and the list of scenes
    facts.jsonl               commands at rest, one a line: place, argv, rc, stdout, stderr
    scenes/NAME/takeNN.jsonl  one run of the scene's command: what ran, the vantage points, what was asked right after
    scenes/NAME/takeNN.pcapng all vantage points of that take in one file, an interface block each (opens in Wireshark)

Whatever is wrong with a file is a RecordingError that names the file and the line. Nothing is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kitlib.errors import ParseError, RecordingError
from kitlib.parsers.pcap import frames
from kitlib.recording_files import argv_of, get, inside, lines, parse_object, read
from kitlib.sighting import Frame

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
class Point:
    """One recorded vantage point: whose interface, how tcpdump was started, and its text of what it caught.

    `ran_at` differs from `place` where a pod's interface was watched from its node (`ip netns exec`).
    """

    place: str
    interface: str
    ran_at: str
    argv: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Take:
    """One run of a scene: `commands[0]` is the scene's own, the others were run right after it."""

    scene: str
    number: int
    of: int
    commands: tuple[Command, ...]
    points: tuple[Point, ...]
    traces: tuple[Command, ...]
    pcap: Path

    def frames(self, point: Point) -> tuple[Frame, ...]:
        """What tcpdump caught at one vantage point of this take."""
        name = interface_name(point.place, point.interface)
        return tuple(frame for frame in self._all_frames if frame.interface == name)

    @cached_property
    def _all_frames(self) -> tuple[Frame, ...]:
        try:
            return frames(read(self.pcap), self.pcap.name)
        except ParseError as error:
            raise RecordingError(f"{self.pcap}: the capture is damaged: {error}. Take the file in again.") from error


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

    def take(self, scene: Scene, number: int) -> Take:
        """Read take `number` (from 1) of a scene."""
        return read_take(scene, number, self.folder)


def interface_name(place: str, interface: str) -> str:
    """The name of a vantage point inside a take's pcapng file."""
    return f"{place} {interface}"


def load(folder: Path) -> Recording:
    """Read a recording's list and its facts; scenes are read when they are played."""
    index_file = folder / "recording.json"
    index = parse_object(read(index_file).decode("utf-8", "replace"), index_file, 0)
    if index.get("format") != FORMAT:
        raise RecordingError(f"{index_file}: this kit reads recordings of format {FORMAT}, and this one says "
                             f"{index.get('format')!r}. Use the kit that made it, or record again.")
    facts = {(fact.place, fact.argv): fact for fact in lines(folder / "facts.jsonl", _command)}
    scenes = tuple(_scene(entry, folder, index_file) for entry in get(index, "scenes", list, index_file, 0))
    made_with = get(index, "made_with", dict, index_file, 0)
    name, made = (get(index, key, str, index_file, 0) for key in ("name", "made"))
    return Recording(folder, name, made, made_with, facts, scenes)


def read_take(scene: Scene, number: int, folder: Path) -> Take:
    """Read one take of a scene (number from 1) with its commands, vantage points and rule traces."""
    path = scene.takes[number - 1]
    kinds: dict[str, list[Any]] = {"command": [], "point": [], "trace": []}
    pcap = None
    for line, entry in lines(path, lambda entry, path, line: (line, entry)):
        if "pcap" in entry:
            pcap = inside(folder, path.parent.relative_to(folder) / get(entry, "pcap", str, path, line), path, line)
        else:
            kind = next((kind for kind in kinds if kind in entry), None)
            if kind is None:
                raise RecordingError(f"{path}, line {line}: expected a command, a point, a trace or a pcap, "
                                     f"found {', '.join(entry) or 'nothing'}.")
            parse = _point if kind == "point" else _command
            kinds[kind].append(parse(get(entry, kind, dict, path, line), path, line))
    if pcap is None or not kinds["command"]:
        missing = "the name of its capture file" if pcap is None else "the command that it recorded"
        raise RecordingError(f"{path}: the take lacks {missing}; the file seems cut short.")
    return Take(scene.name, number, len(scene.takes), *(tuple(found) for found in kinds.values()), pcap)


def _scene(entry: dict, folder: Path, index_file: Path) -> Scene:
    name, place, note = (get(entry, key, str, index_file, 0) for key in ("name", "place", "note"))
    takes = tuple(inside(folder, Path(take), index_file, 0) for take in get(entry, "takes", list, index_file, 0))
    if not takes:
        raise RecordingError(f"{index_file}: scene {name} has no takes.")
    argv = argv_of(entry, index_file, 0)
    return Scene(name, place, argv, note, get(entry, "traced", bool, index_file, 0), takes)


def _command(entry: dict, path: Path, line: int) -> Command:
    return Command(get(entry, "place", str, path, line), argv_of(entry, path, line),
                   get(entry, "rc", int, path, line), get(entry, "stdout", str, path, line),
                   get(entry, "stderr", str, path, line))


def _point(entry: dict, path: Path, line: int) -> Point:
    place, interface, ran_at, text = (get(entry, key, str, path, line) for key in
                                      ("place", "interface", "ran_at", "text"))
    return Point(place, interface, ran_at, argv_of(entry, path, line), text)
