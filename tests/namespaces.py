"""What the tests of the netns lab share: is it possible here, what is on this machine, being an ordinary user.

A test that needs a program of this machine, or a right, says so by one of the `require_` functions.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

import kernels
import nbformat
import pytest
from nbclient import NotebookClient

from kitlib.capture import Capture
from kitlib.lab import Lab
from kitlib.place import Node, Place
from live_labs.shell import has
from netns_lab import SHARED, needs
from netns_lab.description import cni_namespace, digest, read, veth
from netns_lab.holder import find

REPO = Path(__file__).resolve().parent.parent
NOBODY = "65534"
# Where the way to Python or to this repository is barred to others (below root's home), it is laid bare in a mount
# namespace of its own: the barred folder becomes an empty one in which only what is needed can be seen.
AS_NOBODY = """
for needed in "$1" "$2"; do
    barred=; at=$needed
    while [ "$at" != / ]; do
        at=$(dirname "$at")
        case $(stat -c %A "$at") in *[xt]) ;; *) barred=$at ;; esac
    done
    [ "$barred" ] || continue
    aside=$(mktemp -d) && mount --bind "$needed" "$aside" && mount -t tmpfs -o mode=755 bare "$barred" &&
        mkdir -p "$needed" && mount --bind "$aside" "$needed" && umount "$aside" && rmdir "$aside" || exit 99
done
shift 2
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"
"""


def cannot(reason: str, details: str = "") -> NoReturn:
    """Skip this test for a reason of one short line; in CI, where everything must be possible, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this: {reason} {details}")
    pytest.skip(reason)


@cache      # it tries out five things, and sixty tests ask
def lacking() -> tuple[str, ...]:
    """Say what the netns lab lacks here: what it is, what is wrong, what to do about it."""
    return tuple(f"{what}: {problem}. {fix}" for what, problem, fix in needs.problems() if problem)


def require_namespaces() -> None:
    """Skip where the lab cannot be built, or where one is up that is the learner's own."""
    if lacking():
        cannot("the netns lab cannot be built here: make doctor says why", "; ".join(lacking()))
    if find(SHARED):
        cannot("a netns lab is up that this would change: python -m kitlib lab down")


def require_root() -> None:
    """Skip where this test cannot become somebody else."""
    require_namespaces()
    if os.geteuid() != 0:
        cannot("only root can become an ordinary user")


def require_programs(*programs: str) -> None:
    """Skip where one of these programs is not on this machine."""
    if missing := [program for program in programs if not has(program)]:
        cannot(f"{', '.join(missing)} missing here")


def as_ordinary_user(*argv: str, timeout: float = 60) -> subprocess.CompletedProcess:
    """Run a program as nobody, an ordinary user without any right; one at a time, for nobody has one lab.

    All checkouts on this machine have the same nobody, so what they lock is the machine's, too.
    """
    with open("/etc/passwd") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return subprocess.run(["unshare", "--mount", "sh", "-c", AS_NOBODY, "sh", sys.base_prefix, str(REPO), *argv],
                              cwd="/", capture_output=True, text=True, timeout=timeout, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"})


def on_this_machine() -> list[str]:
    """All that a lab could leave behind, and bears a lab's names: interfaces, namespaces, mounts, rules, files.

    A lab makes up the same names every time, and what it is made of lives elsewhere, so that none is ever to be seen.
    """
    lab = read()
    ours = [lab.network.bridge, "/run/lab", "lab-sys", "lab-netns",
            *(f"veth{digest(end.container, 7)}" for end in lab.network.attachments),
            *(name for pod in lab.pods for name in (veth(pod), cni_namespace(pod)))]
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, timeout=20, check=False).stdout
    named = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    seen = [*os.listdir("/sys/class/net"), *named, *Path("/proc/self/mounts").read_text().splitlines(),
            *rules.splitlines(), *os.listdir("/tmp"), *os.listdir("/run")]
    return [line for line in seen if any(name in line for name in ours)]


def processes_of_labs() -> list[str]:
    """The command lines of all that runs in or holds a lab, anybody's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if "lab-setup/netns/" in command or "/run/lab/" in command:
            found.append(f"{folder.name} {command}")
    return found


def traced_at(lab: Lab, node: Node, place: Place) -> Capture:
    """A capture at this place, with the rule trace of one node alone: each takes ten programs."""
    points = (place.default_point,)
    return Capture(lab.backend.capture(points, (node.id,)), points, lab.vantage_point)


def run_on_the_netns_lab(path: Path, **environment: str):
    """The notebook, run on the netns lab (or what `environment` names), with a dig that does not wait for long."""
    text = path.read_text(encoding="utf-8").replace("+timeout=3", "+timeout=1")
    notebook = nbformat.reads(text, as_version=4)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", kernel_manager_class=kernels.AsyncOnSockets,
                            resources={"metadata": {"path": str(path.parent)}},
                            extra_arguments=["--IPKernelApp.log_level=ERROR"])
    return client.execute(env={**os.environ, "KITLIB_LAB": "netns", "KITLIB_PROGRESS": os.devnull} | environment)
