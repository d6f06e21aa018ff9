"""A recording on disk: commands with their answers, and what tcpdump wrote, as data and nothing but data.

    recording.json            format, name, when and how it was made, and the list of scenes
    facts.jsonl               commands at rest, one a line: place, argv, rc, stdout, stderr
    scenes/NAME/takeNN.jsonl  one run of the scene's command: what ran, the vantage points, what was asked right after
    scenes/NAME/takeNN.pcapng all vantage points of that take in one file, an interface block each (opens in Wireshark)
    traced-rules.jsonl        the rules as they stood in the scenes with a rule trace, with TRACE rules in raw
    faults/NAME/              the same for the cluster while something was broken: the facts that differ, and takes

Whatever is wrong with a file is a RecordingError that names the file and the line. Nothing is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from kitlib.errors import NotFound, RecordingError
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
