"""Reading the files of a recording: every mistake in one is a RecordingError with file and line.

A recording on disk: commands with their answers, and what tcpdump wrote, as data and nothing but data.

    recording.json            format, name, when and how it was made, and the list of scenes
    facts.jsonl               commands at rest, one a line: place, argv, rc, stdout, stderr
    scenes/NAME/takeNN.jsonl  one run of the scene's command: what ran, the vantage points, what was asked right after
    scenes/NAME/takeNN.pcapng all vantage points of that take in one file, an interface block each (opens in Wireshark)
    traced-rules.jsonl        the rules as they stood in the scenes with a rule trace, with TRACE rules in raw
    faults/NAME/              the same for the cluster while something was broken: the facts that differ, and takes

Whatever is wrong with a file is a RecordingError that names the file and the line. Nothing is ever executed.


Takes: one run of a scene's command, with everything that tcpdump caught meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kitlib.errors import NotFound, ParseError, RecordingError
from kitlib.parsers.pcap import frames
from kitlib.sighting import Frame


def read(path: Path) -> bytes:
    """A file's bytes, or a RecordingError that says which file is missing."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: the recording lacks this file ({error.strerror}). Take the recording in again, "
                             "or restore it with git.") from error


def text(path: Path) -> str:
    """A file's text, or a RecordingError that says where it is no UTF-8."""
    raw = read(path)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordingError(f"{path}, line {line}: not UTF-8; the file seems damaged.") from error


def lines(path: Path, parse: Callable[[dict, Path, int], Any]) -> list[Any]:
    """Parse a file of one JSON object a line; `parse` gets the object, the path and the line number."""
    rows = text(path).removesuffix("\n").split("\n")
    return [parse(parse_object(row, path, line), path, line) for line, row in enumerate(rows, start=1)]


def parse_object(row: str, path: Path, line: int) -> dict:
    """A JSON object; `line` 0 means that it is the whole file."""
    try:
        entry = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}, line {line or getattr(error, 'lineno', 1)}: not JSON ({error}); "
                             "the file seems cut or damaged.") from error
    if not isinstance(entry, dict):
        raise RecordingError(f"{path}, line {line or 1}: expected an object, found {type(entry).__name__}.")
    return entry


def get(entry: dict, key: str, kind: type, path: Path, line: int) -> Any:
    """The value of a key that must be there and of that type."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        found = "nothing" if value is None else type(value).__name__
        raise RecordingError(f"{path}, line {line or 1}: expected {key!r} as {kind.__name__}, found {found}.")
    return value


def argv_of(entry: dict, path: Path, line: int) -> tuple[str, ...]:
    """The argument list of a command: words, and nothing else."""
    argv = get(entry, "argv", list, path, line)
    if not argv or not all(isinstance(word, str) for word in argv):
        raise RecordingError(f"{path}, line {line or 1}: expected 'argv' as a list of words, found {argv!r}.")
    return tuple(argv)


def inside(folder: Path, relative: object, path: Path, line: int) -> Path:
    """A path named by the recording, made sure to lie within its folder."""
    if not isinstance(relative, str) or "\0" in relative:
        raise RecordingError(f"{path}, line {line or 1}: expected a path within the recording, found {relative!r}.")
    target = (folder / relative).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise RecordingError(f"{path}, line {line or 1}: {relative} leaves the recording's folder; not opened.")
    return target


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
    """A command that comes out differently each time, with its takes. `traced`: TRACE rules were loaded.

    `also` are other queries from the same place, which ran after it under the same capture.
    """

    name: str
    place: str
    argv: tuple[str, ...]
    note: str
    traced: bool
    takes: tuple[Path, ...]
    also: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Fault:
    """Something that was broken while it was recorded. `note` says what; `facts` is the file of what it changed."""

    name: str
    note: str
    facts: Path
    scene: Scene


@dataclass(frozen=True)
class Recording:
    """A recording: its folder, how it was made, its facts and scenes. `older`: the facts from before a fault."""

    folder: Path
    name: str
    made: str
    made_with: dict[str, str]
    facts: dict[tuple[str, tuple[str, ...]], Command]
    scenes: tuple[Scene, ...]
    faults: tuple[Fault, ...] = ()
    older: frozenset[tuple[str, tuple[str, ...]]] = frozenset()
    traced_rules: dict[tuple[str, tuple[str, ...]], Command] = field(default_factory=dict)


def load(folder: Path) -> Recording:
    """Read a recording's list and its facts; scenes are read when they are played."""
    index_file = folder / "recording.json"
    index = parse_object(text(index_file), index_file, 0)
    if index.get("format") != FORMAT:
        raise RecordingError(f"{index_file}: this kit reads recordings of format {FORMAT}, and this one says "
                             f"{index.get('format')!r}. Use the kit that made it, or record again.")
    facts = _answers(folder / "facts.jsonl")
    scenes = tuple(_scene(entry, folder, index_file) for entry in get(index, "scenes", list, index_file, 0))
    made_with = get(index, "made_with", dict, index_file, 0)
    name, made = (get(index, key, str, index_file, 0) for key in ("name", "made"))
    faults = tuple(_fault(entry, folder, index_file)
                   for entry in get({"faults": [], **index}, "faults", list, index_file, 0))
    traced_rules = _answers(folder / "traced-rules.jsonl") if any(scene.traced for scene in scenes) else {}
    return Recording(folder, name, made, made_with, facts, scenes, faults, traced_rules=traced_rules)


def _answers(path: Path) -> dict[tuple[str, tuple[str, ...]], Command]:
    return {(fact.place, fact.argv): fact for fact in lines(path, command_of)}


def with_fault(recording: Recording, name: str) -> Recording:
    """The cluster while this was broken: its facts instead of those of before, and no scene but its own."""
    fault = next((fault for fault in recording.faults if fault.name == name), None)
    if fault is None:
        known = ", ".join(fault.name for fault in recording.faults) or "none"
        raise NotFound(f"The recording {recording.name} has no fault {name!r}. It has: {known}.")
    told: dict[str, dict] = {"fact": {}, "outdated": {}, "unchanged": {}}
    for kind, key, fact in lines(fault.facts, _told_of_a_fault):
        told[kind][key] = fact
    facts = {key: fact for key, fact in recording.facts.items() if key not in told["outdated"]} | told["fact"]
    older = facts.keys() - told["fact"].keys() - told["unchanged"].keys()
    return replace(recording, facts=facts, scenes=(fault.scene,), older=frozenset(older))


def _told_of_a_fault(entry: dict, path: Path, line: int) -> tuple[str, tuple[str, tuple[str, ...]], Command | None]:
    """A fact as it was then; or the key of one that was the same, or that is not true any more and was not asked."""
    for kind in ("outdated", "unchanged"):
        if kind in entry:
            named = get(entry, kind, dict, path, line)
            return kind, (get(named, "place", str, path, line), argv_of(named, path, line)), None
    fact = command_of(entry, path, line)
    return "fact", (fact.place, fact.argv), fact


def _fault(entry: dict, folder: Path, index_file: Path) -> Fault:
    facts = inside(folder, get(entry, "facts", str, index_file, 0), index_file, 0)
    scene = _scene(entry, folder, index_file)
    return Fault(scene.name, scene.note, facts, scene)


def _scene(entry: dict, folder: Path, index_file: Path) -> Scene:
    name, place, note = (get(entry, key, str, index_file, 0) for key in ("name", "place", "note"))
    takes = tuple(inside(folder, take, index_file, 0) for take in get(entry, "takes", list, index_file, 0))
    if not takes:
        raise RecordingError(f"{index_file}: scene {name} has no takes.")
    argv = argv_of(entry, index_file, 0)
    listed = get({"also": [], **entry}, "also", list, index_file, 0)
    also = tuple(argv_of({"argv": words}, index_file, 0) for words in listed)
    return Scene(name, place, argv, note, get(entry, "traced", bool, index_file, 0), takes, also)


def command_of(entry: dict, path: Path, line: int) -> Command:
    """A recorded command, each part of the kind that it should be."""
    return Command(get(entry, "place", str, path, line), argv_of(entry, path, line),
                   get(entry, "rc", int, path, line), get(entry, "stdout", str, path, line),
                   get(entry, "stderr", str, path, line))


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
            found = frames(read(self.pcap), self.pcap.name)
        except ParseError as error:
            raise RecordingError(f"{self.pcap}: the capture is damaged: {error}. Take the file in again.") from error
        listed = {interface_name(point.place, point.interface) for point in self.points}
        if unlisted := {frame.interface for frame in found} - listed:
            raise RecordingError(f"{self.pcap.with_suffix('.jsonl')}: the take lacks the vantage points "
                                 f"{', '.join(sorted(unlisted))} of its capture; the file seems cut short.")
        return found


def interface_name(place: str, interface: str) -> str:
    """The name of a vantage point inside a take's pcapng file."""
    return f"{place} {interface}"


def read_take(recording: Recording, scene: Scene, number: int) -> Take:
    """Read one take of a scene (number from 1) with its commands, vantage points and rule traces."""
    path, folder = scene.takes[number - 1], recording.folder
    kinds: dict[str, list[Any]] = {"command": [], "point": [], "trace": []}
    pcap = None
    for line, entry in lines(path, lambda entry, path, line: (line, entry)):
        if "pcap" in entry:
            name = get(entry, "pcap", str, path, line)
            pcap = inside(folder, str(path.parent / name), path, line)
        else:
            kind = next((kind for kind in kinds if kind in entry), None)
            if kind is None:
                raise RecordingError(f"{path}, line {line}: expected a command, a point, a trace or a pcap, "
                                     f"found {', '.join(entry) or 'nothing'}.")
            parse = _point if kind == "point" else command_of
            kinds[kind].append(parse(get(entry, kind, dict, path, line), path, line))
    if pcap is None or not kinds["command"] or not kinds["point"]:
        missing = "the name of its capture file" if pcap is None else "the command that it recorded" \
            if not kinds["command"] else "its vantage points"
        raise RecordingError(f"{path}: the take lacks {missing}; the file seems cut short.")
    return Take(scene.name, number, len(scene.takes), *(tuple(found) for found in kinds.values()), pcap)


def _point(entry: dict, path: Path, line: int) -> Point:
    place, interface, ran_at, text = (get(entry, key, str, path, line) for key in
                                      ("place", "interface", "ran_at", "text"))
    return Point(place, interface, ran_at, argv_of(entry, path, line), text)
