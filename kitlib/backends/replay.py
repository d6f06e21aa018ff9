"""The recorded lab: answers from a recording of a real cluster, without root, Docker or network.

What can come out differently each time was recorded as several takes. Running such a command plays the next take,
with its captures and what was asked right after it; a new kernel starts at the first. What was asked of a cluster at
rest has one answer.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from kitlib.backends import CaptureData, PointCapture, RuleTrace
from kitlib.backends.recording import Command, Recording, Scene, Take, read_take
from kitlib.errors import KitError, NotRecorded, RecordingError
from kitlib.result import Result, typed_on_host
from kitlib.sighting import VantagePoint

TRACED_RULES = (("iptables-save",), ("nft", "-j", "list", "ruleset"), ("nft", "-a", "list", "ruleset"))


class RecordedLab:
    """Plays a recording: the backend of `open_lab("recorded")`."""

    name = "recorded"
    live, listens_everywhere = False, False

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        plain, self._traced_scenes = (
            {(scene.place, argv): scene for scene in recording.scenes if scene.traced == traced
             for argv in (scene.argv, *scene.also)} for traced in (False, True))
        self._scenes = self._traced_scenes | plain      # without a trace, a take with one will do
        self._tracing = False
        self._played: dict[str, int] = {}
        self._take: Take | None = None
        self._under_capture: list[Take] = []

    def __str__(self) -> str:
        made_with = ", ".join(f"{what} {version}" for what, version in self.recording.made_with.items())
        broken = ", while something was broken" if self.recording.older else ""
        return f"the recorded lab: {self.recording.name}, recorded on {self.recording.made} with {made_with}{broken}"

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Answer a command: the next take of a scene, what was asked right after that take, or a fact."""
        scene = (self._traced_scenes if self._tracing else self._scenes).get((place, argv))
        if scene and not (argv in scene.also and self._take in self._under_capture):
            take = self._next_take(scene)
            command = next((each for each in take.commands if (each.place, each.argv) == (place, argv)), None)
            if command is None:
                raise RecordingError(f"{scene.takes[take.number - 1]}: the take does not hold {shlex.join(argv)!r}.")
            return _result(command, f"recorded: take {take.number} of {take.of}")
        for command in self._take.commands if self._take else ():
            if (command.place, command.argv) == (place, argv):
                played = shlex.join(self._take.commands[0].argv)
                return _result(command, f"recorded right after take {self._take.number} of {played}")
        if fact := self.recording.facts.get((place, argv)):
            return _result(fact, "recorded before anything was broken" if (place, argv) in self.recording.older else "")
        raise NotRecorded(self._nearest(place, argv))

    @contextmanager
    def capture(self, points: Sequence[VantagePoint] = (), traced: Sequence[str] = (), ports: Sequence[int] = ()
                ) -> Iterator[CaptureData]:
        """Return at the end what all the vantage points of the takes played meanwhile have caught, named or not.

        With `traced`, only takes with a rule trace are played.
        """
        self._under_capture, self._tracing = [], bool(traced)
        data = CaptureData()
        try:
            yield data
        finally:
            self._tracing = False
        if not self._under_capture:
            raise KitError("Nothing was caught: no command whose captures were recorded ran under lab.capture(). "
                           "Run a query inside the `with` block, for example pod.dig('www.example.com').")
        for take in self._under_capture:
            note = f"recorded: take {take.number} of {take.of}"
            for point in take.points:
                typed = f"{typed_on_host(point.ran_at, point.argv)} | tcpdump -v -n -r -"
                words = partial(Result, typed, point.argv, 0, point.text, note=note)
                data.seen.append(PointCapture(point.place, point.interface, note, words, take.frames(point)))
            for trace in take.traces:
                data.traces[trace.place] = RuleTrace(_result(trace, note), *self._traced_rules(trace.place))

    def _traced_rules(self, place: str) -> list[Result | None]:
        """Return a node's rules as they stood while it was traced: iptables', and nftables' if these decide there."""
        found = [self.recording.traced_rules.get((place, argv)) for argv in TRACED_RULES]
        if found[0] is None:
            raise RecordingError(f"{self.recording.folder / 'traced-rules.jsonl'}: the rules of {place} "
                                 "are missing, where a rule trace was recorded. Record again.")
        return [_result(rules, "recorded while it was traced") if rules else None for rules in found]

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
        lines = "\n".join(f"    {typed}" for typed in [*nearest, *same]) or "    (none like it)"
        return (f"This was not recorded:\n    {typed_on_host(place, argv)}\nThe nearest recorded commands:\n{lines}\n"
                "To go live, bring up a kind cluster of your own and type the command there as it stands above.")


def _result(command: Command, note: str) -> Result:
    return Result(typed_on_host(command.place, command.argv), command.argv, command.rc, command.stdout,
                  command.stderr, note)
