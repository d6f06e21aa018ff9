"""The kit from a terminal: `python -m kitlib doctor`."""

from __future__ import annotations

import argparse
import sys

from kitlib.checkup import doctor


def main() -> int:
    """Print the doctor's report; exit code 1 if this machine is not ready."""
    parser = argparse.ArgumentParser(prog="python -m kitlib", description="Follow one DNS query through Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("doctor", help="say whether this machine is ready, each failure with its fix")
    command.add_argument("--labs", action="store_true", help="also try what the kind and netns labs need")
    report = doctor(labs=parser.parse_args().labs)
    print(report)
    return 0 if report.ready else 1


if __name__ == "__main__":
    sys.exit(main())
