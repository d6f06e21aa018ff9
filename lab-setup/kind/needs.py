"""What the kind lab needs of this machine, tried out; each thing that is missing with what gives it."""

from __future__ import annotations

from collections.abc import Iterator

from kind_lab.tools import Tools
from live_labs.shell import complaints

TRIALS = (      # what is tried, how, and what to do if it fails
    ("Docker", ("docker", "info"), "Install Docker, start it, and join its group (or use sudo)."),
    ("kind", ("kind", "version"), "Install kind: https://kind.sigs.k8s.io"),
    ("kubectl", ("kubectl", "version", "--client"), "Install kubectl: https://kubernetes.io/docs/tasks/tools"),
)


def problems() -> Iterator[tuple[str, str, str]]:
    """Try everything: what was looked at, what is wrong with it ("" for nothing), what to do about it."""
    for what, argv, fix in TRIALS:
        yield f"kind lab: {what}", "".join(complaints(argv)[-1:]), fix
    tools = Tools(lambda argv: "")
    yield (f"kind lab: {tools.description}", "a stock node has none" if tools.way == "node" else "",
           "Run it as root with tcpdump installed, or name an image that has tcpdump and nsenter: "
           "KITLIB_TOOLS_IMAGE=nicolaka/netshoot")
