"""The kit from a terminal: `python -m kitlib doctor`, `lab`, `record`, `scrub`, `validate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kitlib import record, scrub, validate
from kitlib.checkup import doctor
from kitlib.errors import KitError
from kitlib.labs.netns import terminal


def main() -> int:
    """Do what the command line says; exit code 1 if this machine is not ready, or the command failed."""
    parser = argparse.ArgumentParser(prog="python -m kitlib", description="Follow one DNS query through Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("doctor", help="say whether this machine is ready, each failure with its fix")
    command.add_argument("--labs", action="store_true", help="also try what the kind and netns labs need")
    command.set_defaults(do=_doctor)
    terminal.add_commands(commands.add_parser("lab", help="the netns lab: up, down, status, shell"))
    command = commands.add_parser("record", help="record a live lab (KITLIB_LAB, kind by default) into a folder")
    command.add_argument("--out", type=Path, required=True, help="a new folder")
    command.add_argument("--scrub", action="store_true", help="replace what identifies the cluster")
    command.add_argument("--pod", default="my-nginx", help="the pod that asks (%(default)s): its name begins so")
    command.add_argument("--takes", type=int, default=3, help="how often the first query is asked (%(default)s)")
    command.set_defaults(do=lambda asked: record.record(asked.out, asked.scrub, asked.pod, asked.takes))
    command = commands.add_parser("scrub", help="copy a recording without what identifies its cluster")
    command.add_argument("raw", type=Path, help="the recording")
    command.add_argument("out", type=Path, help="a new folder")
    command.set_defaults(do=lambda asked: scrub.scrub_and_tell(asked.raw, asked.out))
    command = commands.add_parser("validate", help="say whether a recording is complete, consistent, without secrets")
    command.add_argument("folder", type=Path)
    command.set_defaults(do=lambda asked: validate.tell(asked.folder))
    arguments = parser.parse_args()
    try:
        return arguments.do(arguments)
    except KitError as error:
        print(error, file=sys.stderr)
        return 1


def _doctor(arguments: argparse.Namespace) -> int:
    report = doctor(labs=arguments.labs)
    print(report)
    return 0 if report.ready else 1


if __name__ == "__main__":
    sys.exit(main())
