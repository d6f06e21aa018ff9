"""`python -m kitlib cleanup`: take away what sessions of the kubernetes lab have left in a cluster.

Our pods are found by the names of their containers, which they have from the moment they are made, label or not.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from kitlib.shell import run
from kubernetes_lab.helpers import CONTAINER, START_S, Ask, end_container, refusal, remove

# A line for each pod: namespace, name, its containers; then its ephemeral ones.
LISTING = ('jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.containers[*].name}|'
           '{.spec.ephemeralContainers[*].name}{"\\n"}{end}')


def add_commands(parent: Any) -> None:
    """Give the kit's command line (argparse's subparsers) the subcommand `cleanup`."""
    command = parent.add_parser("cleanup", help="take away what the kubernetes lab has left in a cluster")
    command.add_argument("--context", help="the cluster (default: kubectl's current context)")
    command.set_defaults(do=_cleanup)


def _cleanup(arguments: Namespace) -> int:
    context = (f"--context={arguments.context}",) if arguments.context else ()
    removed = clean_up(run, ("kubectl", *context))
    print("\n".join(removed) or "Nothing was left.")
    return 0


def clean_up(ask: Ask, kubectl: tuple[str, ...]) -> list[str]:
    """Delete our pods, end our ephemeral containers, and say which. Raises NoAccess."""
    listed = ask((*kubectl, "get", "pods", "-A", "-o", LISTING), START_S)
    if listed.rc:
        raise refusal("Looking for what was left", listed.stderr, kubectl)
    removed = []
    for line in listed.stdout.splitlines():
        own, _, ephemeral = line.partition("|")
        namespace, pod, *containers = own.split()
        ours, added = ([name for name in names if name.startswith(CONTAINER)]
                       for names in (containers, ephemeral.split()))
        for name in ours + added:
            reach = (*kubectl, "-n", namespace, "exec", pod, f"--container={name}", "--")
            if end_container(ask, reach, name) and name in added:
                removed.append(f"container {name} in pod {namespace}/{pod} ended")
        if ours:
            removed.append(remove(ask, kubectl, "-n", namespace, pod).strip())
    return removed
