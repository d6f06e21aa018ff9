"""Ask a lab what it would say after a command, without running it: the same lab with some answers replaced.

It serves to judge a command that cannot be run on a recording. What else the command would have changed (counters,
other files, the next packet) it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitlib.result import Result, typed_on_host
from workshop.command_effects import Answers, effect
from workshop.typed_commands import parse_commands

if TYPE_CHECKING:
    from kitlib.lab import Lab


class ChangedLab:
    """A backend that replaces some answers of a lab and hands all other questions on to it; it cannot capture."""

    live = False

    def __init__(self, lab: Lab, answers: Answers) -> None:
        self.name = lab.name
        self.recording = getattr(lab.backend, "recording", None)
        self._lab, self._answers = lab, answers

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Return the replaced answer, or the one of the lab behind."""
        if (place, argv) in self._answers:
            return Result(typed_on_host(place, argv), argv, 0, self._answers[place, argv])
        return self._lab.run(place, argv)


def lab_after(lab: Lab, typed: object) -> Lab:
    """Return the lab as it would be after the commands in this text, typed as on the host.

    Raises KitError for what is no command, or one that changes nothing that this kit knows of.
    """
    for place, argv in parse_commands(str(typed)):
        lab = type(lab)(ChangedLab(lab, effect(lab, place, argv)))
    return lab
