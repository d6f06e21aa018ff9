"""`python -m kitlib cleanup`: take away what sessions of the kubernetes lab have left in a cluster."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from kubernetes_lab.helpers import clean_up
from live_labs.shell import run


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
