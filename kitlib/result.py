"""The result of a command: the command as you would type it on the host, then its output."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from html import escape

from kitlib.errors import CommandFailed
from kitlib.escapes import printable

SHOWN_LINES = 60
TERMINAL = "font-family:monospace;white-space:pre;overflow-x:auto;margin:0;line-height:1.3"


@dataclass(frozen=True)
class Result:
    """The outcome of one command run at one place. Shows itself as a terminal would."""

    typed: str                    # what one types on the host to get this
    argv: tuple[str, ...]         # what ran at the place
    rc: int
    stdout: str
    stderr: str = ""
    note: str = ""                # which take of how many, if it can come out differently

    def __str__(self) -> str:
        lines = self.stdout.rstrip("\n").split("\n") if self.stdout else []
        if len(lines) > SHOWN_LINES:
            rest = len(lines) - SHOWN_LINES
            lines = [*lines[:SHOWN_LINES], f"… {rest} more lines: the whole text is in .stdout"]
        errors = [self.stderr.rstrip("\n")] if self.stderr.strip() else []
        failed = [f"(exit code {self.rc})"] if self.rc else []
        note = [f"({self.note})"] if self.note else []
        return printable("\n".join([f"$ {self.typed}", *lines, *errors, *failed, *note]))

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Show long lines whole: they scroll sideways, where plain text would break in the middle of a word."""
        shown = str(self)
        return {"text/html": f'<pre style="{TERMINAL}" tabindex="0">{escape(shown, quote=False)}</pre>',
                "text/plain": shown}

    @property
    def text(self) -> str:
        """Return stdout for a parser. Raises CommandFailed: what a failed command printed is no data."""
        if self.rc:
            raise CommandFailed(f"This command failed, so there is nothing to read:\n    {self.typed}\n"
                                f"Exit code {self.rc}: {self.stderr.strip() or self.stdout.strip() or 'not a word'}")
        return self.stdout

    def grep(self, pattern: str) -> Result:
        """Return the lines that match a regular expression, as `… | grep -E PATTERN` would show them."""
        lines = [line for line in self.stdout.split("\n") if re.search(pattern, line)]
        return replace(self, typed=f"{self.typed} | grep -E {shlex.quote(pattern)}", stdout="\n".join(lines))


def typed_on_host(place: str, argv: tuple[str, ...]) -> str:
    """Return the command line that runs `argv` at `place`, as typed on the host."""
    kind, _, name = place.partition(":")
    command = shlex.join(argv)
    if kind in ("node", "container"):
        return f"docker exec {name} {command}"
    if kind == "pod":
        namespace, _, pod = name.partition("/")
        chosen = "" if namespace == "default" else f"-n {namespace} "
        return f"kubectl {chosen}exec {pod} -- {command}"
    return command
