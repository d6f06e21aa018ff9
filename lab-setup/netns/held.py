"""A netns lab that is up, as seen from outside: its process 1, the way into its places, its end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kitlib.errors import KitError, NotFound
from netns_lab.description import FOLDER, Description, parse
from netns_lab.places import FILES

HOLDER = str(FOLDER / "hold.sh")
IN_USER_NAMESPACE = os.geteuid() != 0       # root needs none, and some machines forbid them
AS_ITS_ROOT = ("--user", "--map-root-user") if IN_USER_NAMESPACE else ()


@dataclass(frozen=True)
class NamespaceHolder:
    """A lab by the process that holds it; nothing of it is written anywhere outside its own namespaces."""

    name: str
    pid: int

    def file(self, name: str) -> Path:
        """A file of the lab's private /run, seen from outside."""
        return Path(f"/proc/{self.pid}/root{FILES}") / name

    @property
    def is_ready(self) -> bool:
        """Has it been built?"""
        return self.file("pids.json").exists()

    @cached_property
    def pids(self) -> dict[str, str]:
        """The process that stands in each place, by the lab's own count."""
        return json.loads(self.file("pids.json").read_text())

    @cached_property
    def description(self) -> Description:
        """What this lab was built from."""
        return parse(self.file("lab.toml").read_text())

    def reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The argv that, run here, runs `argv` at a place of the lab."""
        if place != "host" and place not in self.pids:
            raise NotFound(f"The lab has no place {place!r}. It has: host, {', '.join(self.pids)}.")
        if IN_USER_NAMESPACE and argv[0] == "tcpdump":
            argv = (sys.executable, "-I", "-S", str(FOLDER / "as-one-user.py"), *argv)
        return (*self.enter, *inside(self.pids.get(place, "")), *argv)

    @property
    def enter(self) -> tuple[str, ...]:
        """The argv that begins a command on the lab's host."""
        as_its_root = ("--user", "--preserve-credentials") if IN_USER_NAMESPACE else ()
        return ("nsenter", "--target", str(self.pid), *as_its_root, "--net", "--mount", "--pid", "--")

    def end(self) -> None:
        """Kill process 1; with it, the kernel takes away all that the lab was."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{self.pid}").exists():       # the last to go: its parent waits for it
            if time.monotonic() > deadline:
                raise KitError(f"Process {self.pid} holds the lab and does not end. Look at it with: ps {self.pid}")
            time.sleep(0.005)


def inside(pid: str) -> tuple[str, ...]:
    """From the lab's host into a place, by the lab's own process ids."""
    return ("nsenter", "--target", pid, "--net", "--mount", "--uts", "--") if pid else ()


def running_labs() -> Iterator[NamespaceHolder]:
    """The labs of this user that are up on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        words = _words(int(folder.name))
        with suppress(FileNotFoundError):       # it has ended since
            if words[1:2] == [HOLDER] and folder.stat().st_uid == os.geteuid():
                yield NamespaceHolder(words[2], int(folder.name))


def find(name: str) -> NamespaceHolder | None:
    """The lab of this name, if it is up."""
    return next((lab for lab in running_labs() if lab.name == name), None)


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []
