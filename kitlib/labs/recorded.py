"""The recorded lab: answers from a recording of a real cluster. No root, no Docker, no network.

What can come out differently each time was recorded as several takes. Running such a command plays the next take,
the captures and what was asked right after it included; a new kernel starts at the first. What was asked of a
cluster at rest has one answer.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kitlib.errors import KitError, NotRecorded
from kitlib.labs import Caught
from kitlib.recording import Command, Recording, Scene
from kitlib.result import Result, typed_on_host
from kitlib.sighting import VantagePoint
from kitlib.takes import Take, read_take


class RecordedLab:
    """Plays a recording: the backend of `open_lab("recorded")`."""

    name = "recorded"
    live = False

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._scenes = {(scene.place, argv): scene for scene in recording.scenes if not scene.traced
                        for argv in (scene.argv, *scene.also)}
        self._played: dict[str, int] = {}
        self._take: Take | None = None
        self._under_capture: list[Take] = []

    def __str__(self) -> str:
        made_with = ", ".join(f"{what} {version}" for what, version in self.recording.made_with.items())
        broken = ", while something was broken" if self.recording.older else ""
        return f"the recorded lab: {self.recording.name}, recorded on {self.recording.made} with {made_with}{broken}"

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Answer a command: the next take of a scene, what was asked right after that take, or a fact."""
        scene = self._scenes.get((place, argv))
        if scene and not (argv in scene.also and self._take in self._under_capture):
            take = self._next_take(scene)
            command = next(command for command in take.commands if (command.place, command.argv) == (place, argv))
            return _result(command, f"recorded: take {take.number} of {take.of}")
        for command in self._take.commands if self._take else ():
            if (command.place, command.argv) == (place, argv):
                played = shlex.join(self._take.commands[0].argv)
                return _result(command, f"recorded right after take {self._take.number} of {played}")
        if fact := self.recording.facts.get((place, argv)):
            return _result(fact, "recorded before anything was broken" if (place, argv) in self.recording.older else "")
        raise NotRecorded(self._nearest(place, argv))

    @contextmanager
    def capture(self, points: Sequence[VantagePoint]) -> Iterator[list[Caught]]:
        """Collect, at the end, what every vantage point of the takes played meanwhile had caught, named or not.

        Yields a list that fills on exit: place, interface, tcpdump's own words, frames.
        """
        self._under_capture = []
        caught: list[Caught] = []
        yield caught
        if not self._under_capture:
            raise KitError("Nothing was caught: no command whose captures were recorded ran under lab.capture(). "
                           "Run a query inside the `with` block, for example pod.dig('www.example.com').")
        for take in self._under_capture:
            for point in take.points:
                typed = f"{typed_on_host(point.ran_at, point.argv)} | tcpdump -v -n -r -"
                note = f"recorded: take {take.number} of {take.of}"
                words = Result(typed, point.argv, 0, point.text, note=note)
                caught.append((point.place, point.interface, words, take.frames(point)))

    def places(self) -> tuple[str, ...]:
        """Every place that the recording knows a command of."""
        return tuple(dict.fromkeys([place for place, _ in self.recording.facts] + [at for at, _ in self._scenes]))

    def _next_take(self, scene: Scene) -> Take:
        number = self._played.get(scene.name, 0) % len(scene.takes) + 1
        self._take = read_take(self.recording, scene, number)
        self._played[scene.name] = number
        self._under_capture.append(self._take)
        return self._take

    def _nearest(self, place: str, argv: tuple[str, ...]) -> str:
        recorded = [*self._scenes, *self.recording.facts]
        here = {shlex.join(known): typed_on_host(at, known) for at, known in recorded if at == place}
        nearest = [here[found] for found in difflib.get_close_matches(shlex.join(argv), here, n=3, cutoff=0.3)]
        same = [typed_on_host(at, known) for at, known in recorded if known == argv and at != place][:3]
        lines = "\n".join(f"    {typed}" for typed in [*nearest, *same]) or "    (nothing at this place)"
        return (f"This was not recorded:\n    {typed_on_host(place, argv)}\nThe nearest recorded commands:\n{lines}\n"
                "To go live, bring up a kind cluster of your own and type the command there as it stands above.")


def _result(command: Command, note: str = "") -> Result:
    return Result(typed_on_host(command.place, command.argv), command.argv, command.rc, command.stdout,
                  command.stderr, note)
