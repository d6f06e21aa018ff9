"""Takes: one run of a scene's command, with everything that tcpdump caught meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kitlib.errors import ParseError, RecordingError
from kitlib.parsers.pcap import frames
from kitlib.recording import Command, Recording, Scene, command_of
from kitlib.recording_files import argv_of, get, inside, lines, read
from kitlib.sighting import Frame


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
