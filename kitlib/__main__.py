"""The kit's command line: `python -m kitlib doctor`, and the subcommands that other packages add."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib.metadata import entry_points

from kitlib.checkup import doctor
from kitlib.errors import KitError


def main() -> int:
    """Run what the command line says; return 1 if this machine is not ready, or the command failed.

    As a shell would: 130 after Ctrl-C, 141 if nobody reads the output any more (SIGINT, SIGPIPE).
    """
    parser = argparse.ArgumentParser(prog="python -m kitlib", description="Follow one DNS query through Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("doctor", help="say whether this machine is ready, each failure with its fix")
    command.add_argument("--labs", action="store_true", help="also try what the live labs need")
    command.set_defaults(do=_doctor)
    for plugin in sorted(entry_points(group="kitlib.commands")):
        plugin.load()(commands)
    arguments = parser.parse_args()
    try:
        code = arguments.do(arguments)
        sys.stdout.flush()
    except KitError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except OSError as error:
        with suppress(OSError):
            sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())      # Python writes the rest there as it ends
        if isinstance(error, BrokenPipeError):
            return 141
        print(f"{error.filename or 'What this command says'} could not be written or read: {error.strerror}.",
              file=sys.stderr)
        return 1
    return code


def _doctor(arguments: argparse.Namespace) -> int:
    report = doctor(labs=arguments.labs)
    print(report)
    return 0 if report.ready else 1


if __name__ == "__main__":
    sys.exit(main())
