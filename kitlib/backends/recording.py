"""The format of a recording on disk: commands with their answers and what tcpdump wrote, data and nothing but data.

    recording.json            format, name, when and how it was made, and the list of scenes
    facts.jsonl               commands at rest, one a line: place, argv, rc, stdout, stderr
    scenes/NAME/takeNN.jsonl  one run of the scene's command: what ran, the vantage points, what was asked right after
    scenes/NAME/takeNN.pcapng all vantage points of that take in one file, an interface block each (opens in Wireshark)
    traced-rules.jsonl        the rules as they stood in the scenes with a rule trace, with TRACE rules in raw
    faults/NAME/              the same for the cluster while something was broken: the facts that differ, and takes

Whatever is wrong with a file is a RecordingError that names the file and the line. Nothing is ever executed, and
nothing outside the recording's folder is opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kitlib.errors import ParseError, RecordingError, first_of
from kitlib.parsers.json_text import loads
from kitlib.sighting import Frame

FORMAT = 1
MOST_BYTES = 256 * 2**20        # of one file
Key = tuple[str, tuple[str, ...]]       # a place and an argv


@dataclass(frozen=True)
class Entry:
    """A JSON object of a recording, and where it stands: its file and line (0: it is the whole file)."""

    values: dict
    path: Path
    line: int

    def error(self, problem: str) -> RecordingError:
        """Return the error that says what is wrong here."""
        return RecordingError(f"{self.path}, line {self.line or 1}: {problem}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """Return the value of a key. Raises RecordingError if it is missing without a default, or of another type."""
        value = self.values.get(key, default)
        if type(value) is not kind:
            found = "nothing" if value is None else type(value).__name__
            raise self.error(f"expected {key!r} as {kind.__name__}, found {found}.")
        return value

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return the values of several keys, each a text."""
        return tuple(self.get(key, str) for key in keys)

    def part(self, key: str) -> Entry:
        """Return the object under a key."""
        return Entry(self.get(key, dict), self.path, self.line)

    def parts(self, key: str, default: Any = None) -> Iterator[Entry]:
        """Return the objects listed under a key."""
        for item in self.get(key, list, default):
            if not isinstance(item, dict):
                raise self.error(f"expected {key!r} as a list of objects, found {item!r}.")
            yield Entry(item, self.path, self.line)

    def argv(self) -> tuple[str, ...]:
        """Return the argument list of a command: words, and nothing else."""
        return self.words(self.get("argv", list), "argv")

    def words(self, listed: Any, what: str) -> tuple[str, ...]:
        """Return a list of words as such."""
        if not isinstance(listed, list) or not listed or not all(isinstance(word, str) for word in listed):
            raise self.error(f"expected {what!r} as a list of words, found {listed!r}.")
        return tuple(listed)

    def inside(self, folder: Path, relative: object) -> Path:
        """Return a path named by the recording, made sure to lie within its folder."""
        try:
            target = (folder / relative).resolve()
        except (TypeError, ValueError, OSError, RuntimeError):      # no text, no path, a link to itself
            raise self.error(f"expected a path within the recording, found {relative!r}.") from None
        if not target.is_relative_to(folder.resolve()):
            raise self.error(f"{relative} leaves the recording's folder; not opened.")
        return target


def read(path: Path) -> bytes:
    """Read a file of a recording. Raises RecordingError if it is missing, no regular file or larger than MOST_BYTES."""
    try:
        if not path.is_file() and path.exists():
            raise RecordingError(f"{path}: this is not a regular file; not opened.")
        if path.stat().st_size > MOST_BYTES:
            raise RecordingError(f"{path}: a file of a recording has at most {MOST_BYTES // 2**20} MB; not opened.")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:        # RuntimeError: a link to itself, up to Python 3.12
        raise RecordingError(f"{path}: the recording lacks this file ({getattr(error, 'strerror', error)}). Take the "
                             "recording in again, or restore it with git.") from error


def text(path: Path) -> str:
    """Read a file's text. Raises RecordingError, with the line, where it is not UTF-8."""
    raw = read(path)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecordingError(f"{path}, line {line}: not UTF-8; the file seems damaged.") from error


def lines(path: Path) -> list[Entry]:
    """Read a file of one JSON object a line."""
    rows = text(path).removesuffix("\n").split("\n")
    return [_entry(row, path, line) for line, row in enumerate(rows, start=1)]


def index_of(folder: Path) -> Entry:
    """Read recording.json, the list of what a recording holds."""
    path = folder / "recording.json"
    return _entry(text(Entry({}, path, 0).inside(folder, path.name)), path, 0)


def _entry(row: str, path: Path, line: int) -> Entry:
    try:
        values = loads(row)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}, line {line or getattr(error, 'lineno', 1)}: not JSON ({error}); "
                             "the file seems cut or damaged.") from error
    if not isinstance(values, dict):
        raise RecordingError(f"{path}, line {line or 1}: expected an object, found {type(values).__name__}.")
    return Entry(values, path, line)


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
    """Something that was broken while the cluster was recorded: `note` says what, the file `facts` what it changed."""

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
    facts: dict[Key, Command]
    scenes: tuple[Scene, ...]
    faults: tuple[Fault, ...] = ()
    older: frozenset[Key] = frozenset()
    traced_rules: dict[Key, Command] = field(default_factory=dict)


def load(folder: Path) -> Recording:
    """Read a recording's list and its facts; scenes are read when they are played."""
    index = index_of(folder)
    if repr(index.values.get("format")) != str(FORMAT):     # True and 1.0 are equal to 1, and are not it
        raise RecordingError(f"{index.path}: this kit reads recordings of format {FORMAT}, and this one says "
                             f"{index.values.get('format')!r}. Use the kit that made it, or record again.")
    facts = _answers(index, folder, "facts.jsonl")
    scenes = tuple(_scene(entry, folder) for entry in index.parts("scenes"))
    faults = tuple(_fault(entry, folder) for entry in index.parts("faults", []))
    takes = Counter(take for scene in (*scenes, *(fault.scene for fault in faults)) for take in scene.takes)
    if twice := [take.name for take, times in takes.items() if times > 1]:
        raise index.error(f"it lists {', '.join(twice)} twice.")
    traced_rules = _answers(index, folder, "traced-rules.jsonl") if any(scene.traced for scene in scenes) else {}
    return Recording(folder, *index.texts("name", "made"), index.get("made_with", dict), facts, scenes, faults,
                     traced_rules=traced_rules)


def _answers(index: Entry, folder: Path, name: str) -> dict[Key, Command]:
    commands = map(command_of, lines(index.inside(folder, name)))
    return {(command.place, command.argv): command for command in commands}


def with_fault(recording: Recording, name: str) -> Recording:
    """Return the cluster while this was broken: its facts instead of those of before, and no scene but its own."""
    known = ", ".join(fault.name for fault in recording.faults) or "none"
    fault = first_of((fault for fault in recording.faults if fault.name == name),
                     f"The recording {recording.name} has no fault {name!r}. It has: {known}.")
    changed: dict[Key, Command] = {}
    keys: dict[str, set[Key]] = {"outdated": set(), "unchanged": set()}     # no longer true, and not asked; as before
    for entry in lines(fault.facts):
        kind = next((kind for kind in keys if kind in entry.values), None)
        if kind:
            named = entry.part(kind)
            keys[kind].add((named.get("place", str), named.argv()))
        else:
            fact = command_of(entry)
            changed[fact.place, fact.argv] = fact
    facts = {key: fact for key, fact in recording.facts.items() if key not in keys["outdated"]} | changed
    older = facts.keys() - changed.keys() - keys["unchanged"]
    return replace(recording, facts=facts, scenes=(fault.scene,), older=frozenset(older))


def _fault(entry: Entry, folder: Path) -> Fault:
    scene = _scene(entry, folder)
    return Fault(scene.name, scene.note, entry.inside(folder, entry.get("facts", str)), scene)


def _scene(entry: Entry, folder: Path) -> Scene:
    name, place, note = entry.texts("name", "place", "note")
    takes = tuple(entry.inside(folder, take) for take in entry.get("takes", list))
    if not takes:
        raise RecordingError(f"{entry.path}: scene {name} has no takes.")
    also = tuple(entry.words(listed, "also") for listed in entry.get("also", list, []))
    return Scene(name, place, entry.argv(), note, entry.get("traced", bool), takes, also)


def command_of(entry: Entry) -> Command:
    """Return a recorded command, each part of the type that it should be."""
    return Command(entry.get("place", str), entry.argv(), entry.get("rc", int), *entry.texts("stdout", "stderr"))


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
        """Return what tcpdump caught at one vantage point of this take."""
        name = interface_name(point.place, point.interface)
        return tuple(frame for frame in self._all_frames if frame.interface == name)

    @cached_property
    def _all_frames(self) -> tuple[Frame, ...]:
        from kitlib.parsers.pcap import frames  # late: a lab is often opened to look at its places only

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
    """Return the name of a vantage point inside a take's pcapng file."""
    return f"{place} {interface}"


def read_take(recording: Recording, scene: Scene, number: int) -> Take:
    """Read one take of a scene (number from 1) with its commands, vantage points and rule traces."""
    path = scene.takes[number - 1]
    kinds: dict[str, list[Any]] = {"command": [], "point": [], "trace": []}
    pcap = None
    for entry in lines(path):
        kind = next((kind for kind in kinds if kind in entry.values), None)
        if "pcap" in entry.values:
            pcap = entry.inside(recording.folder, path.with_suffix(".pcapng"))
            if entry.get("pcap", str) != pcap.name:
                raise entry.error(f"expected {pcap.name!r}, the take's own capture, found {entry.get('pcap', str)!r}.")
        elif kind:
            kinds[kind].append((_point if kind == "point" else command_of)(entry.part(kind)))
        else:
            raise entry.error("expected a command, a point, a trace or a pcap, "
                              f"found {', '.join(entry.values) or 'nothing'}.")
    if pcap is None or not kinds["command"] or not kinds["point"]:
        missing = "the name of its capture file" if pcap is None else "the command that it recorded" \
            if not kinds["command"] else "its vantage points"
        raise RecordingError(f"{path}: the take lacks {missing}; the file seems cut short.")
    return Take(scene.name, number, len(scene.takes), *(tuple(found) for found in kinds.values()), pcap)


def _point(entry: Entry) -> Point:
    place, interface, ran_at, text = entry.texts("place", "interface", "ran_at", "text")
    return Point(place, interface, ran_at, entry.argv(), text)
