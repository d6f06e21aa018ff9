"""What a command would do to a lab that cannot be changed: it is applied to what the lab's own commands said.

A mended lab is the same lab with some answers replaced. It is for checking only: what else the command would have
changed (counters, other files, the next packet) it does not know.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kitlib.errors import KitError, ParseError
from kitlib.quiz import WHAT
from kitlib.result import Result, typed_on_host

if TYPE_CHECKING:
    from kitlib.lab import Lab
    from kitlib.sighting import VantagePoint


Answers = dict[tuple[str, tuple[str, ...]], str]
ENDS = {";", "&&", "||", "|", "&"}


class Changed:
    """A backend with some answers replaced; all others are those of the lab behind it."""

    live = False

    def __init__(self, behind: Lab, answers: Answers) -> None:
        self.name = behind.name
        self._behind, self._answers = behind, answers

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """The replaced answer, or the one of the lab behind."""
        if (place, argv) in self._answers:
            return Result(typed_on_host(place, argv), argv, 0, self._answers[place, argv])
        return self._behind.run(place, argv)

    def capture(self, points: tuple[VantagePoint, ...], trace: bool):
        """There is nothing to listen to: nothing was really changed."""
        raise KitError("This lab only says what a command would change; no packet passes here.")


def commands(typed: str) -> list[tuple[str, list[str]]]:
    """The commands in a text, each with the place where it runs: the host, or what docker exec and kubectl exec say."""
    found = []
    for line in typed.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            found += list(_split(list(lexer)))
        except ValueError as error:
            raise ParseError(WHAT, "a command line", f"{line} ({error})") from None
    if not found:
        raise ParseError(WHAT, "a command, as you would type it on the host", typed)
    return found


def _split(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    command: list[str] = []
    written = ""
    for word in [*words, ";"]:
        if word not in ENDS:
            command.append(word)
        elif command[:1] == ["echo"] and word == "|":       # echo 1 | … tee FILE
            written, command = " ".join(command[1:]), []
        elif command:
            yield from _at_its_place("host", command, written)
            command, written = [], ""


def _at_its_place(place: str, words: list[str], written: str) -> Iterator[tuple[str, list[str]]]:
    words = words[1:] if words[0] == "sudo" else words
    match words:
        case ["docker", "exec", *rest]:
            rest = _without_flags(rest)
            yield from _at_its_place(f"node:{rest[0]}", rest[1:], written) if len(rest) > 1 else ()
        case ["kubectl", *_] if "exec" in words and "--" in words:
            at = words.index("exec")
            yield f"pod:{_without_flags(words[at + 1:])[0]}", words[words.index("--") + 1:]
        case ["sh" | "bash", "-c", script]:
            for _, inner in commands(script):
                yield place, inner
        case ["tee", file] if file.startswith("/proc/sys/"):
            yield place, ["sysctl", "-w", f"{file.removeprefix('/proc/sys/')}={written}"]
        case ["echo", value, ">", file]:
            yield from _at_its_place(place, ["tee", file], value)
        case _:
            yield place, words


def _without_flags(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[1:]
    return words


def node_only(place: str, words: list[str]) -> None:
    """ParseError unless the command runs on a node: it is the nodes' rules and routes that are broken."""
    if not place.startswith("node:"):
        raise ParseError(WHAT, "the node it is for: docker exec NODE …", shlex.join(words))


def key_and_value(text: str) -> tuple[str, str]:
    """The two halves of KEY=VALUE."""
    found = re.fullmatch(r"([\w./-]+)\s*=\s*(\S+)", text)
    if not found:
        raise ParseError(WHAT, "KEY=VALUE", text)
    return found[1].replace("/", "."), found[2]
