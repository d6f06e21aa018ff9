"""`make benchmark`: one table of what is asked of the kit's speed, and what it and other tools need here today.

Seconds are of processor time unless the row says otherwise; the figures are medians of rounds in which the kit and the
other tools take turns. The exit code is 0 whatever comes out: the table says which bars are missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

import joining
import live_lab
import reading
import rulesets
import starting
from measure import Row, not_measured, show_progress

SUBJECTS = {"reading": reading, "joining": joining, "rulesets": rulesets, "live_lab": live_lab, "starting": starting}
SUITE = not_measured("make test", "at most 120 s on the clock, 2 cores", "time make test")
VERDICTS = {True: "met", False: "MISSED", None: ""}


def main() -> None:
    """Measure the subjects and print the table; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how many times each is measured (default %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.subjects) - set(SUBJECTS):
        parser.error(f"expected subjects of {', '.join(SUBJECTS)}; found: {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
          f"medians of {arguments.rounds}; load average {os.getloadavg()[0]:.1f} at the start", end=", ", flush=True)
    rows = measured(arguments.subjects or list(SUBJECTS), arguments.rounds)
    print(f"{os.getloadavg()[0]:.1f} at the end.\n\n{table(rows if arguments.subjects else [*rows, SUITE])}")


def measured(subjects: list[str], rounds: int) -> list[Row]:
    """Return the rows of these subjects; one that fails says so in a row of its own."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in subjects:
            try:
                for row in SUBJECTS[name].rows(rounds, Path(folder)):
                    rows.append(row)
                    show_progress(f"{row.what}: {row.today}\n")
            except RuntimeError as error:
                rows.append(not_measured(f"the rest of {name}", "", str(error).splitlines()[0]))
    show_progress("")
    return rows


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table that can be read as it is."""
    cells = [("what", "bar", "today", "")]
    cells += [(row.what, row.bar, row.today, VERDICTS[row.is_met]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, tuple("-" * width for width in widths))
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells)


if __name__ == "__main__":
    main()
