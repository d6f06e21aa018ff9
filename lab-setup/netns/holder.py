"""A netns lab that is up, as seen from outside: its process 1, the way into its places, its end."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kitlib.errors import KitError, NotFound, PlaceGone
from netns_lab.description import FOLDER, Description, parse
from netns_lab.places import FILES

HOLDER = str(FOLDER / "hold.sh")
END_S = 5
TIED = ("setpriv", "--pdeathsig", "KILL", "--")     # the program after it ends when the one that started it does


@dataclass(frozen=True)
class NamespaceHolder:
    """A lab by the process that holds it; nothing of it is written anywhere outside its own namespaces.

    Process ids are used again: `started` (proc(5), /proc/PID/stat, field 22) tells this process from a later one.
    """

    name: str
    pid: int
    started: str

    def file(self, name: str) -> Path:
        """Return the path of a file of the lab's private /run, as seen from outside."""
        return Path(f"/proc/{self.pid}/root{FILES}") / name

    @property
    def is_ready(self) -> bool:
        """Say whether it has been built."""
        return self.file("pids.json").exists()

    @cached_property
    def pids(self) -> dict[str, str]:
        """Read which process stands in each place, by the lab's own count."""
        return json.loads(self.file("pids.json").read_text())

    @cached_property
    def description(self) -> Description:
        """Read what this lab was built from."""
        return parse(self.file("lab.toml").read_text())

    def require(self, place: str = "host") -> None:
        """Raise PlaceGone unless the same process still holds the lab, and one still stands in the place."""
        if holder_at(self.pid) != self:
            raise PlaceGone("The netns lab has ended. Open it again: lab = open_lab(\"netns\")")
        if place != "host" and not _words(self.file(f"../../proc/{self.pids[place]}")):
            raise PlaceGone(f"The process that stood in {place} has ended. Build the lab anew: python -m kitlib lab "
                            "down, python -m kitlib lab up")

    def reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that, run here, runs `argv` at a place of the lab. Raises NotFound, PlaceGone."""
        if place != "host" and place not in self.pids:
            raise NotFound(f"The lab has no place {place!r}. It has: host, {', '.join(self.pids)}.")
        self.require(place)
        if argv[0] == "tcpdump":        # one that becomes another user is no longer tied to us
            argv = (*_as_one_user(), "tcpdump", "-Z", "root", *argv[1:])
        return (*TIED, *(self.enter if place == "host" else self._enter_place(place)), *TIED, *argv)

    @property
    def enter(self) -> tuple[str, ...]:
        """Return the argv that begins a command on the lab's host."""
        return self._nsenter(f"/proc/{self.pid}/ns")

    def _enter_place(self, place: str) -> tuple[str, ...]:
        own = f"/proc/{self.pid}/root/proc/{self.pids[place]}/ns"      # as the lab's own /proc has it
        return self._nsenter(own, f"--uts={own}/uts")

    def _nsenter(self, own: str, *more: str) -> tuple[str, ...]:
        as_its_root = (f"--user=/proc/{self.pid}/ns/user", "--preserve-credentials") if as_root() else ()
        pid = f"--pid=/proc/{self.pid}/ns/pid"
        return ("nsenter", *as_its_root, f"--net={own}/net", f"--mount={own}/mnt", *more, pid, "--")

    def commands(self) -> list[list[str]]:
        """List the argument lists of all that runs in the lab."""
        return [words for folder in self.file("../../proc").glob("[0-9]*") if (words := _words(folder))]

    def dead_servers(self) -> list[str]:
        """List the places whose DNS server has ended."""
        running = {words[2] for words in self.commands() if words[:2] == ["dnsmasq", "-C"]}
        return [place for place in self.pids if self.file(f"{place}/dnsmasq.conf").exists()
                and f"{FILES}/{place}/dnsmasq.conf" not in running]

    def end(self) -> None:
        """Kill process 1; with it, the kernel takes away all that the lab was. Raises KitError if it does not end."""
        with suppress(ProcessLookupError, PlaceGone):
            handle = os.pidfd_open(self.pid)        # stays with the process that is checked now
            try:
                self.require()
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not select.select([handle], [], [], END_S)[0]:
                    raise KitError(f"Process {self.pid} holds the lab and does not end. Look at it: ps {self.pid}")
            finally:
                os.close(handle)


def as_root() -> tuple[str, ...]:
    """Return the options of unshare that make an ordinary user the lab's root; root needs none."""
    return () if os.geteuid() == 0 else ("--user", "--map-root-user")


def _as_one_user() -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(FOLDER / "as-one-user.py")) if as_root() else ()


def inside(pid: str) -> tuple[str, ...]:
    """Return the argv that leads from the lab's host into a place, by the lab's own process ids."""
    return ("nsenter", "--target", pid, "--net", "--mount", "--uts", "--") if pid else ()


def running_labs() -> Iterator[NamespaceHolder]:
    """Find the labs of this user that are up on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):         # it has ended since
            if (lab := holder_at(int(folder.name))) and folder.stat().st_uid == os.geteuid():
                yield lab


def find(name: str) -> NamespaceHolder | None:
    """Find the lab of this name, if it is up."""
    return next((lab for lab in running_labs() if lab.name == name), None)


def holder_at(pid: int) -> NamespaceHolder | None:
    """Return the lab that the process with this id holds; None if it holds none, or there is none."""
    folder = Path(f"/proc/{pid}")
    words = _words(folder)
    if words[1:2] != [HOLDER]:
        return None
    try:
        return NamespaceHolder(words[2], pid, (folder / "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _words(folder: Path) -> list[str]:
    try:
        return (folder / "cmdline").read_text().split("\0")[:-1]
    except (OSError, UnicodeDecodeError):
        return []
