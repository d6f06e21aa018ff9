"""What the netns lab needs of this machine, tried out; each thing that is missing with what gives it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from kitlib.errors import KitError
from live_labs.shell import complaints, has
from netns_lab.description import FOLDER
from netns_lab.holder import as_root

ALLOW = ("Allow user namespaces (in a terminal, as root): sysctl -w kernel.unprivileged_userns_clone=1 "
         "user.max_user_namespaces=15000, and where AppArmor forbids them: sysctl -w "
         "kernel.apparmor_restrict_unprivileged_userns=0. Or run this as root.")
GIVE_ROOT = "This root is confined, as in a container: run it outside, or with docker run --privileged."
LOAD = "This kernel lacks it, or may not load it by itself. As root: modprobe -a {}"
TRIALS = (      # what is tried, how, and what to do if it fails
    ("namespaces", ("--mount", "--pid", "--fork", "mount", "-t", "proc", "proc", "/proc"), ALLOW),
    ("veth pairs", ("ip", "link", "add", "one", "type", "veth", "peer", "name", "other"), LOAD.format("veth")),
    ("bridges", ("ip", "link", "add", "one", "type", "bridge"), LOAD.format("bridge")),
    ("iptables", ("iptables-restore", str(FOLDER / "trial.rules")),
     LOAD.format("nf_tables nft_compat xt_nat xt_MASQUERADE xt_statistic xt_comment xt_addrtype xt_mark xt_TRACE")),
    ("connection tracking", ("conntrack", "-L"), LOAD.format("nf_conntrack nf_conntrack_netlink")),
)


def packages() -> dict[str, tuple[str, ...]]:
    """List the Debian packages that the lab needs, and the programs that it needs them for: the one list."""
    lines = (FOLDER / "apt-packages.txt").read_text().splitlines()
    return {name: tuple(programs.split()) for name, _, programs in (line.partition(":") for line in lines)}


def problems() -> Iterator[tuple[str, str, str]]:
    """Try everything: what was looked at, what is wrong with it ("" for nothing), what to do about it."""
    if sys.platform != "linux":
        yield "netns lab", "this is not Linux", "Use a Linux machine or virtual machine."
        return
    for package, programs in packages().items():
        missing = [program for program in programs if not has(program)]
        yield (f"netns lab: {', '.join(programs)}", f"missing: {', '.join(missing)}" if missing else "",
               f"Debian, Ubuntu: apt install {package}")
    for what, argv, fix in TRIALS:
        found = complaints(("unshare", *as_root(), "--net", *argv))
        yield f"netns lab: {what}", "".join(found[:1]), GIVE_ROOT if fix == ALLOW and os.geteuid() == 0 else fix


def require() -> None:
    """Raise KitError if a program is missing; what the kernel refuses is found when the lab is built."""
    if sys.platform != "linux":
        raise KitError("The netns lab needs Linux: a Linux machine or virtual machine.")
    if missing := [package for package, programs in packages().items() if not all(map(has, programs))]:
        raise KitError(f"The netns lab lacks programs. Debian, Ubuntu: apt install {' '.join(missing)}")
