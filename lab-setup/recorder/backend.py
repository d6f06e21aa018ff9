"""KITLIB_MODE=record: a live lab whose answers are written down as the recorded lab plays them."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kitlib.backends import Backend, CaptureData, PointCapture
from kitlib.backends.recording import Command, Point
from kitlib.errors import KitError
from kitlib.result import Result
from kitlib.sighting import DNS_PORT, VantagePoint
from recorder.secret_words import SECRETS, found_in, masked
from recorder.writer import Writer

VERSIONS = {"kind": (("kind", "version"), r"kind (\S+)"), "Linux": (("uname", "-r"), r"(\S+)"),
            "Kubernetes": (("kubectl", "version"), r"Server Version: (\S+)")}


@dataclass
class Block:
    """The commands that ran while a capture listened: when each began, and its outcome."""

    commands: list[tuple[int, Command]] = field(default_factory=list)

    def main_first(self, first_packet_ns: int) -> list[Command]:
        """Return the commands, the one that sent the first packet before all others."""
        begun = [number for number, (at, _) in enumerate(self.commands) if at <= first_packet_ns]
        main = begun[-1] if begun else 0
        found = [command for _, command in self.commands]
        return [found[main], *found[:main], *found[main + 1:]]


class Recorder:
    """Asks the live lab behind it and writes each answer. Captures listen everywhere, so that any can be replayed."""

    live, listens_everywhere = True, True

    def __init__(self, backend: Backend, folder: Path) -> None:
        self.backend, self.name = backend, backend.name
        self.writer = Writer(folder, self._made_with)
        self._block: Block | None = None

    def __str__(self) -> str:
        return f"{self.backend}. All of it is recorded to {self.writer.folder}"

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place and write the answer: into the take that is open, after the last one, or as a fact."""
        began = time.time_ns()
        result = self.backend.run(place, argv)
        command = _command(place, result)
        if secrets := found_in(result.stdout + result.stderr, SECRETS):
            if argv[:2] != ("kubectl", "get"):
                self.writer.leave_out(place, argv, secrets)
                return result
            # Every notebook needs the list of pods, and any pod may have a password in its environment.
            command = replace(command, stdout=masked(command.stdout, SECRETS), stderr=masked(command.stderr, SECRETS))
        if self._block is not None:
            self._block.commands.append((began, command))
        else:
            self.writer.add(command)
        return result

    @contextmanager
    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str] = (), ports: Sequence[int] = (DNS_PORT,)
                ) -> Iterator[CaptureData]:
        """Listen while the block runs, then write it as a take."""
        self._block = block = Block()
        try:
            with self.backend.capture(points, traced, ports) as data:
                yield data
        finally:
            self._block = None
        if block.commands:
            times = [frame.time_ns for point in data.seen for frame in point.frames]
            commands = block.main_first(min(times, default=0))
            for command in commands[1:]:
                self.writer.add(command, to_take=False)
            traces = {place: [_command(place, each) for each in trace if each]
                      for place, trace in data.traces.items()}
            self.writer.take(commands, [(_point(point), point.frames) for point in data.seen], traces)

    def _made_with(self) -> dict[str, str]:
        return {what: found for what, (argv, pattern) in VERSIONS.items() if (found := self._version(argv, pattern))}

    def _version(self, argv: tuple[str, ...], pattern: str) -> str:
        try:
            found = re.search(pattern, self.backend.run("host", argv).text)
        except KitError:
            return ""           # a lab without that program
        return found[1] if found else ""


def _command(place: str, result: Result) -> Command:
    return Command(place, result.argv, result.rc, result.stdout, result.stderr)


def _point(point: PointCapture) -> Point:
    words = point.words()
    typed = words.typed.partition(" | ")[0]
    return Point(point.place, point.interface, "host", tuple(shlex.split(typed)), words.text)
