"""The recorder from a terminal: `python -m kitlib record`, `scrub`, `validate`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from kitlib.escapes import printable
from recorder import record, scrub, validate


def add_commands(commands: Any) -> None:
    """Give the kit's command line (argparse's subparsers) the recorder's subcommands."""
    command = commands.add_parser("record", help="record a live lab (KITLIB_LAB, kind by default) into a folder")
    command.add_argument("--out", type=Path, required=True, help="a new folder")
    command.add_argument("--scrub", action="store_true", help="replace what identifies the cluster")
    command.add_argument("--pod", default="", help="the pod that asks: its name begins so (default: lab.client)")
    command.add_argument("--takes", type=int, default=3, help="how often the first query is asked (%(default)s)")
    command.set_defaults(do=lambda given: record.record(given.out, given.scrub, given.pod, given.takes))
    command = commands.add_parser("scrub", help="copy a recording without what identifies its cluster")
    command.add_argument("raw", type=Path, help="the recording")
    command.add_argument("out", type=Path, help="a new folder")
    command.add_argument("--keep", action="append", default=[], metavar="COMMAND",
                         help="keep commands that begin so, too: only names, addresses and known secrets are replaced")
    command.set_defaults(do=lambda given: scrub.scrub_and_print(given.raw, given.out, given.keep))
    command = commands.add_parser("validate", help="say whether a recording is complete, consistent, without secrets")
    command.add_argument("folder", type=Path)
    command.set_defaults(do=_validate)


def _validate(given: Namespace) -> int:
    """Say what is wrong; if nothing is, also what the notebooks do not find in it, which is no fault of a recording."""
    code = validate.validate_and_print(given.folder)
    if code == 0:
        print(printable("\n".join(validate.lacking(given.folder))) or "The notebooks find in it all that they ask for.")
    return code
