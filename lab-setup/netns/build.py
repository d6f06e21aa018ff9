"""Bringing the netns lab up: a process that holds the namespaces, then everything else in a few waves, all at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from queue import Queue

from kitlib.errors import KitError
from live_labs.shell import Running
from netns_lab import needs
from netns_lab.description import FOLDER, Description
from netns_lab.holder import HOLDER, NamespaceHolder, as_root, find, inside
from netns_lab.places import FILES, Site, cables, sites

NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child")
WAIT_S, POLL_S = 60, 0.002
WAVES = (       # which file is loaded by which program; a wave begins when the one before has ended
    {"cables.ip": ("ip", "-batch")},
    {"up.ip": ("ip", "-batch"), "node.sysctl": ("sysctl", "-e", "-q", "-p"), "node.rules": ("iptables-restore",)},
    {"dnsmasq.conf": ("dnsmasq", "-C"), "node.nft": ("nft", "-f")},     # the table of kube-proxy is the newest
)


class Builder:
    """Speaks to the process that holds the lab: lines that it runs, waves that it waits for."""

    def __init__(self, name: str) -> None:
        self.commands: Queue[str] = Queue()
        self.waves = 0
        self.holder = Running(("unshare", *as_root(), *NAMESPACES, "sh", HOLDER, name), stdin=self.commands)

    def run(self, *argv: str) -> None:
        """Have one argument list run in the lab."""
        self.commands.put(" ".join(argv) + "\n")

    def wait(self) -> None:
        """Wait until everything before has run; KitError if any of it failed."""
        self.waves += 1
        self.run("wait", f"wave {self.waves} has ended")
        self.holder.wait_for(f"wave {self.waves} has ended\n", WAIT_S)
        self.check()

    def check(self) -> list[str]:
        """Return the lines that the holder has said so far. KitError if a command failed, or the holder has ended."""
        lines = self.holder.stdout.decode().splitlines()
        failed = [line for line in lines if line.startswith("failed: ")]
        if self.holder.ends_within(0):
            failed.append("The process that holds the lab has ended.")
        if failed:
            raise KitError("\n".join(["The netns lab could not be built.", *failed, self.holder.stderr.strip()]))
        return lines


def up(lab: Description, name: str, stay: bool = False) -> NamespaceHolder:
    """Build a lab; it ends with this Python, or with `down` if it is to stay. Raises KitError, and leaves nothing."""
    needs.require()
    builder = Builder(name)
    try:
        return _build(lab, name, builder, stay)
    except (KitError, OSError) as error:        # OSError: the lab's /run has gone with its holder
        builder.holder.stop(patience=0)
        missing = [f"{what}: {problem}. {fix}" for what, problem, fix in needs.problems() if problem]
        raise KitError("\n".join([str(error), *missing])) from error
    except BaseException:
        builder.holder.stop(patience=0)
        raise


def _build(lab: Description, name: str, builder: Builder, stay: bool) -> NamespaceHolder:
    _prepare(builder)
    holder = find(name)
    if holder is None:
        raise KitError("The netns lab could not be built: the process that holds it has ended.")
    places = tuple(sites(lab))
    write(holder, {f"{site.id}/{file}": text for site in places for file, text in site.files.items()})
    write(holder, {"lab.toml": lab.text, "place.sh": (FOLDER / "place.sh").read_text()})
    pids = _start(builder, [site for site in places if not site.shares], {})
    pids |= _start(builder, [site for site in places if site.shares], pids)
    laid = cables(lab, pids)
    write(holder, {f"{place}/cables.ip": text + "\n" for place, text in laid.items()})
    files = [(place, "cables.ip") for place in laid]
    files += [(site.id, file) for site in places for file in site.files]
    _load(builder, files, pids)
    write(holder, {"pids.json": json.dumps(pids)})        # now it is ready
    if stay:
        builder.run("stay")
        builder.holder.wait_for("this lab stays", WAIT_S)
    return holder


def _prepare(builder: Builder) -> None:
    """Give the lab a /proc and a /run of its own."""
    commands = [("mount", "-t", "proc", "proc", "/proc"), ("mount", "-t", "tmpfs", "lab", "/run"),
                ("mkdir", "/run/netns")]
    settings = os.path.realpath("/etc/resolv.conf")
    if settings.startswith("/run/"):        # systemd's: what it links to must be there for a place's own to lie over it
        commands += [("mkdir", "-p", os.path.dirname(settings)), ("touch", settings)]
    for argv in commands:
        builder.run(*argv)
        builder.wait()


def _start(builder: Builder, places: Iterable[Site], pids: dict[str, str]) -> dict[str, str]:
    """Start a process in each place, with its own network or another place's; return their process ids in the lab."""
    for site in places:
        network = inside(pids[site.shares]) if site.shares else ()
        own = ("unshare", "--mount", *(() if site.shares else ("--net", "--uts")))
        builder.run("hold", *network, *own, "sh", f"{FILES}/place.sh", f"{FILES}/{site.id}", site.hostname)
    started: dict[str, str] = {}
    deadline = time.monotonic() + WAIT_S
    while any(site.id not in started for site in places):
        words = [line.split() for line in builder.check() if line.startswith("place ")]
        started = {word[1].removeprefix(f"{FILES}/"): word[2] for word in words if len(word) == 3}
        if time.monotonic() > deadline:
            raise KitError(f"The places of the netns lab were not there after {WAIT_S} s.")
        time.sleep(POLL_S)
    return started


def _load(builder: Builder, files: list[tuple[str, str]], pids: dict[str, str]) -> None:
    """Load the files of all places, wave after wave."""
    for wave in WAVES:
        for place, file in files:
            if file in wave:
                builder.run(*inside(pids.get(place, "")), *wave[file], f"{FILES}/{place}/{file}")
        builder.wait()


def write(holder: NamespaceHolder, files: dict[str, str]) -> None:
    """Write files into the lab's private /run."""
    for name, text in files.items():
        path = holder.file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
