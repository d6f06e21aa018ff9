"""Writing a recording, piece by piece, so that what was recorded is there when the program ends, however it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kitlib.backends.recording import FORMAT, Command, Entry, Point, command_of, index_of, interface_name, lines
from kitlib.errors import RecordingError
from kitlib.parsers.pcap import write_pcapng
from kitlib.sighting import Frame


class Writer:
    """Adds to the recording in a folder; begins one if the folder is empty or not there."""

    def __init__(self, folder: Path, made_with: Callable[[], dict[str, str]]) -> None:
        self.folder = folder
        self._take: Path | None = None
        self._after: set[tuple[str, tuple[str, ...]]] = set()
        index, facts = folder / "recording.json", folder / "facts.jsonl"
        if index.is_file():
            self._index = index_of(folder).values
            if not self._index.get("recorder"):
                raise RecordingError(f"{folder} holds a recording that this kit's recorder did not begin. Name another "
                                     "folder with KITLIB_RECORDING or --out.")
        elif folder.is_dir() and any(folder.iterdir()):
            raise RecordingError(f"{folder} is not empty and holds no recording. Name another folder.")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._index = {"format": FORMAT, "name": folder.name, "made": time.strftime("%Y-%m-%d", time.gmtime()),
                           "made_with": made_with(), "recorder": "kitlib", "left_out": [], "scenes": []}
            write_index(folder, self._index)
        known = map(command_of, lines(facts)) if facts.is_file() else []
        self._facts = {(fact.place, fact.argv): fact for fact in known}

    def add(self, command: Command, to_take: bool = True) -> None:
        """Write a command at rest; what differs from its answer before goes to the take before it, if there is one."""
        key = command.place, command.argv
        known = self._facts.get(key)
        if known is None:
            self._facts[key] = command
            append(self.folder / "facts.jsonl", asdict(command))
        if to_take and self._take and known != command and key not in self._after:
            self._after.add(key)
            append(self._take, {"command": asdict(command)})

    def take(self, commands: Sequence[Command], points: Sequence[tuple[Point, Sequence[Frame]]],
             traces: Mapping[str, Sequence[Command]]) -> None:
        """Write one run of a command under capture: the scene is the first command's, a new one if need be.

        `traces`: for each node with a rule trace, the trace and the rules as they stood.
        """
        scene = self._scene(commands[0], bool(traces))
        path = self.folder / "scenes" / scene["name"] / f"take{len(scene['takes']) + 1:02}.jsonl"
        Entry({}, self.folder / "recording.json", 0).inside(self.folder, path)      # a stranger's name may lead away
        path.parent.mkdir(parents=True, exist_ok=True)
        write_take(path, commands, points, [trace for trace, *_ in traces.values()])
        append(self.folder / "traced-rules.jsonl", *(asdict(each) for _, *rules in traces.values() for each in rules))
        scene["takes"].append(path.relative_to(self.folder).as_posix())
        self._take, self._after = path, {(command.place, command.argv) for command in commands}
        write_index(self.folder, self._index)

    def leave_out(self, place: str, argv: tuple[str, ...], secrets: tuple[str, ...]) -> None:
        """Write down that a command was not recorded, and why."""
        self._index["left_out"].append({"place": place, "argv": list(argv), "because": list(secrets)})
        write_index(self.folder, self._index)

    def _scene(self, command: Command, traced: bool) -> dict:
        for scene in self._index["scenes"]:
            if (scene["place"], tuple(scene["argv"]), scene["traced"]) == (command.place, command.argv, traced):
                return scene
        scene = {"name": f"{len(self._index['scenes']) + 1:02}-{Path(command.argv[0]).name}", "place": command.place,
                 "argv": list(command.argv), "note": "", "traced": traced, "takes": []}
        self._index["scenes"].append(scene)
        return scene


def write_index(folder: Path, index: dict) -> None:
    """Write recording.json, the list of what a recording holds: at any moment there is the old one or the new one."""
    new = folder / "recording.json.new"
    new.write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(folder / "recording.json")


def write_take(path: Path, commands: Iterable[Command], points: Sequence[tuple[Point, Sequence[Frame]]],
               traces: Iterable[Command]) -> None:
    """Write a take: what ran, where somebody listened, what was traced; and beside it the frames.

    What stands there is half a take, which no list names: whoever began it was killed.
    """
    path.unlink(missing_ok=True)
    caught = [replace(frame, interface=interface_name(point.place, point.interface))
              for point, frames in points for frame in frames]
    path.with_suffix(".pcapng").write_bytes(write_pcapng(sorted(caught, key=lambda frame: frame.time_ns)))
    append(path, {"pcap": path.with_suffix(".pcapng").name}, *({"command": asdict(each)} for each in commands),
           *({"point": asdict(point)} for point, _ in points), *({"trace": asdict(each)} for each in traces))


def append(path: Path, *entries: dict) -> None:
    """Add JSON objects to a file, one a line, in one piece: who is killed meanwhile leaves no half of a line."""
    if entries:
        with path.open("ab", buffering=0) as file:
            file.write("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode())
