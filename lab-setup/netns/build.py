"""Bringing the netns lab up: a process that holds the namespaces, then everything else in a few waves, all at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from queue import Queue

from kitlib.errors import KitError
from kitlib.shell import Running
from netns_lab import needs
from netns_lab.description import FOLDER, Description
from netns_lab.held import AS_ITS_ROOT, HOLDER, NamespaceHolder, find, inside
from netns_lab.places import FILES, Site, cables, sites

NAMESPACES = (*AS_ITS_ROOT, "--net", "--mount", "--pid", "--fork", "--kill-child")
WAIT_S = 30
WAVES = (       # which file is loaded by which program; a wave begins when the one before has ended
    {"cables.ip": ("ip", "-batch")},
    {"up.ip": ("ip", "-batch"), "node.sysctl": ("sysctl", "-e", "-q", "-p"), "node.rules": ("iptables-restore",)},
    {"dnsmasq.conf": ("dnsmasq", "-C")},
)


class Builder:
    """Speaks to the process that holds the lab: lines that it runs, waves that it waits for."""

    def __init__(self, name: str) -> None:
        self.commands: Queue[str] = Queue()
        self.waves = 0
        self.holder = Running(("unshare", *NAMESPACES, "sh", HOLDER, name), stdin=self.commands)

    def say(self, *argv: str) -> None:
        """Have one argument list run."""
        self.commands.put(" ".join(argv) + "\n")

    def wait(self) -> None:
        """Wait until all that was said has run; KitError if any of it failed."""
        self.waves += 1
        self.say("wait", f"wave {self.waves} has ended")
        self.holder.wait_for(f"wave {self.waves} has ended\n", WAIT_S)
        said = self.holder.stdout.decode()
        if "failed: " in said:
            failed = [line for line in said.splitlines() if line.startswith("failed: ")]
            raise KitError("\n".join(["The netns lab could not be built.", *failed, self.holder.stderr.strip()]))


def up(lab: Description, name: str, stay: bool = False) -> NamespaceHolder:
    """Build a lab; it ends with this Python, or with `down` if it is to stay. Raises KitError, and leaves nothing."""
    needs.require()
    builder = Builder(name)
    try:
        return _build(lab, name, builder, stay)
    except KitError as error:
        builder.holder.stop(patience=0)
        missing = [f"{what}: {problem}. {fix}" for what, problem, fix in needs.problems() if problem]
        raise KitError("\n".join([str(error), *missing])) from error
    except BaseException:
        builder.holder.stop(patience=0)
        raise


def _build(lab: Description, name: str, builder: Builder, stay: bool) -> NamespaceHolder:
    preparing = [("mount", "-t", "proc", "proc", "/proc"), ("mount", "-t", "tmpfs", "lab", "/run"),
                 ("mkdir", "/run/netns")]
    settings = os.path.realpath("/etc/resolv.conf")
    if settings.startswith("/run/"):        # systemd's: what it links to must be there for a place's own to lie over it
        preparing += [("mkdir", "-p", os.path.dirname(settings)), ("touch", settings)]
    for argv in preparing:
        builder.say(*argv)
        builder.wait()
    held = find(name)
    places = tuple(sites(lab))
    for site in places:
        write(held, {f"{site.id}/{file}": text for file, text in site.files.items()})
    write(held, {"lab.toml": lab.text, "place.sh": (FOLDER / "place.sh").read_text()})
    pids = _start(builder, [site for site in places if not site.shares], {})
    pids |= _start(builder, [site for site in places if site.shares], pids)
    laid = cables(lab, pids)
    write(held, {f"{place}/cables.ip": text + "\n" for place, text in laid.items()})
    files = [(place, file) for place in laid for file in ("cables.ip",)]
    files += [(site.id, file) for site in places for file in site.files]
    for wave in WAVES:
        for place, file in files:
            if file in wave:
                builder.say(*inside(pids.get(place, "")), *wave[file], f"{FILES}/{place}/{file}")
        builder.wait()
    write(held, {"pids.json": json.dumps(pids)})        # now it is ready
    if stay:
        builder.say("stay")
        builder.holder.wait_for("this lab stays", WAIT_S)
    return held


def _start(builder: Builder, places: Iterable[Site], pids: dict[str, str]) -> dict[str, str]:
    """Start a process in each place, with a network of its own or another place's; their process ids in the lab."""
    for site in places:
        network = ("nsenter", "--target", pids[site.shares], "--net", "--mount", "--uts", "--") if site.shares else ()
        own = ("unshare", "--mount", *(() if site.shares else ("--net", "--uts")))
        builder.say("hold", *network, *own, "sh", f"{FILES}/place.sh", f"{FILES}/{site.id}", site.hostname)
    started: dict[str, str] = {}
    deadline = time.monotonic() + WAIT_S
    while any(site.id not in started for site in places):
        said = builder.holder.stdout.decode()
        words = [line.split() for line in said.splitlines() if line.startswith("place ")]
        started = {word[1].removeprefix(f"{FILES}/"): word[2] for word in words if len(word) == 3}
        if "failed: " in said or time.monotonic() > deadline:
            raise KitError(f"The places of the netns lab could not be made: {builder.holder.stderr.strip()}")
        time.sleep(0.002)
    return started


def write(held: NamespaceHolder, files: dict[str, str]) -> None:
    """Write files into the lab's private /run."""
    for name, text in files.items():
        path = held.file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
