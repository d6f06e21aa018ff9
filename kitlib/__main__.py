"""The kit from a terminal: `python -m kitlib doctor`, `record`, `scrub`, `validate`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from kitlib.errors import KitError


def main() -> int:
    """Do what was asked; exit code 1 if this machine is not ready, a recording not sound, a lab not to be had."""
    arguments = vars(_parser().parse_args())
    module, function = COMMANDS[arguments.pop("command")]
    try:
        return getattr(import_module(f"kitlib.{module}"), function)(**arguments)
    except KitError as error:
        print(error, file=sys.stderr)
        return 1


COMMANDS = {"doctor": ("checkup", "report_of_the_doctor"), "record": ("record", "record"),
            "scrub": ("scrub", "scrub_and_tell"), "validate": ("validate", "tell")}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kitlib", description="Follow one DNS query through Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser("doctor", help="say whether this machine is ready, each failure with its fix")
    doctor.add_argument("--labs", action="store_true", help="also try what the kind and netns labs need")
    record = commands.add_parser("record", help="record a live lab (KITLIB_LAB, kind by default) into a folder")
    record.add_argument("--out", type=Path, required=True, help="a new folder")
    record.add_argument("--scrub", action="store_true", help="replace what identifies the cluster")
    record.add_argument("--pod", default="my-nginx", help="the pod that asks (%(default)s): its name begins so")
    record.add_argument("--takes", type=int, default=3, help="how often the first query is asked (%(default)s)")
    scrub = commands.add_parser("scrub", help="copy a recording without what identifies its cluster")
    scrub.add_argument("raw", type=Path, help="the recording")
    scrub.add_argument("out", type=Path, help="a new folder")
    validate = commands.add_parser("validate", help="say whether a recording is complete, consistent, without secrets")
    validate.add_argument("folder", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
