"""The netns lab from a terminal: `python -m kitlib lab up|down|status|shell`."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from kitlib.errors import KitError, NotFound
from live_labs.shell import foreground
from netns_lab import SHARED
from netns_lab.build import up
from netns_lab.description import LAB, MODES, read
from netns_lab.holder import NamespaceHolder, find, running_labs


def add_commands(parent: Any) -> None:
    """Give the kit's command line (argparse's subparsers) the subcommand `lab`: up, down, status, shell."""
    parser = parent.add_parser("lab", help="the netns lab: up, down, status, shell")
    commands = parser.add_subparsers(dest="lab_command", required=True)
    command = commands.add_parser("up", help="build the netns lab; it stays until `lab down`")
    command.add_argument("description", nargs="?", type=Path, default=LAB, help="a TOML file (default: %(default)s)")
    command.add_argument("--mode", choices=MODES, help="kube-proxy's mode, instead of the one in the file")
    command.set_defaults(do=_up)
    commands.add_parser("down", help="take the lab away").set_defaults(do=_down)
    commands.add_parser("status", help="say which labs are up").set_defaults(do=_status)
    command = commands.add_parser("shell", help="run a command at a place, or a shell without one")
    command.add_argument("place", help="host, a node, a pod, a container: its name, or enough of it")
    command.add_argument("command_line", nargs="...", metavar="COMMAND …", help="what to run there (default: sh)")
    command.set_defaults(do=_shell)


def _up(arguments: Namespace) -> int:
    wanted = read(arguments.description, arguments.mode or "")
    if there := find(SHARED):
        if there.is_ready and there.description.text != wanted.text:
            raise KitError(f"Another netns lab is up, not that of {arguments.description} in {wanted.mode} mode. Take "
                           "it away first: python -m kitlib lab down")
        print("The netns lab is up already. To build it anew: python -m kitlib lab down")
        return 0
    started = time.monotonic()
    lab = up(wanted, SHARED, stay=True)
    print(f"The netns lab is up: {len(lab.pids)} places after {time.monotonic() - started:.2f} s.\n"
          "In a notebook: open_lab(\"netns\"). Here: python -m kitlib lab shell my-nginx dig www.example.com")
    return 0


def _down(_arguments: Namespace) -> int:
    lab = find(SHARED)
    if lab:
        lab.end()
    print("The netns lab is gone, with all that was in it." if lab else "No netns lab is up.")
    return 0


def _status(_arguments: Namespace) -> int:
    labs = list(running_labs())
    for lab in labs:
        places = ["host", *map(_name, lab.pids)] if lab.is_ready else ["what is being built"]
        print(f"{lab.name}: process {lab.pid} holds {', '.join(places)}")
        for place in lab.dead_servers() if lab.is_ready else ():
            print(f"  The DNS server of {place} has ended. Build the lab anew: python -m kitlib lab down, then up")
    if not labs:
        print("No netns lab is up. To bring one up: python -m kitlib lab up")
    return 0 if labs else 1


def _shell(arguments: Namespace) -> int:
    labs = sorted((lab for lab in running_labs() if lab.is_ready), key=lambda lab: lab.name != SHARED)
    if not labs:
        raise KitError("No netns lab is up. To bring one up: python -m kitlib lab up")
    return foreground(labs[0].reach(_place(labs[0], arguments.place), tuple(arguments.command_line) or ("sh",)))


def _place(lab: NamespaceHolder, wanted: str) -> str:
    """Return the id of the place of this name, or of the only one whose name begins or ends with it."""
    places = {place: _name(place) for place in ("host", *lab.pids)}
    for fits in (lambda name: name == wanted, lambda name: name.endswith(f"-{wanted}"),
                 lambda name: name.startswith(wanted)):
        found = [place for place, name in places.items() if fits(name)]
        if len(found) == 1:
            return found[0]
    raise NotFound(f"No single place is called {wanted!r}. There are: {', '.join(places.values())}.")


def _name(place: str) -> str:
    return place.rpartition("/")[2].rpartition(":")[2]
