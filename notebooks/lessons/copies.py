"""`python -m kitlib notebooks DIR`: a copy of the course to work in, wherever the kit was installed from."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from kitlib.errors import KitError

FOLDERS = {"notebooks": "*.ipynb", "docs": "*.md"}        # side by side, as the links between them have it


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `notebooks`."""
    command = commands.add_parser("notebooks", help="copy the course into a folder of your own")
    command.add_argument("folder", type=Path, metavar="DIR", help="where to; files that are there stay as they are")
    command.set_defaults(do=lambda arguments: copy_course(arguments.folder))


def copy_course(folder: Path) -> int:
    """Copy notebooks and glossary below `folder`, overwrite nothing, and say what to do next."""
    copied = kept = 0
    try:
        for name, pattern in FOLDERS.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for source in sorted(course_folder(name).glob(pattern)):
                target = folder / name / source.name
                if target.exists():
                    kept += 1
                else:
                    shutil.copyfile(source, target)
                    copied += 1
    except OSError as error:
        raise KitError(f"The course cannot be copied to {folder}: {error.strerror}.") from None
    print(f"{copied} files copied to {folder}" + (f", {kept} that were there left as they are." if kept else "."))
    print(f"Next: jupyter lab {folder / 'notebooks' / '00-start-here.ipynb'}")
    return 0


def course_folder(name: str) -> Path:
    """Return the folder "notebooks" or "docs": beside this file in an installed kit, above it in a checkout."""
    here = Path(__file__).resolve().parent
    return here / name if (here / name).is_dir() else here.parents[1] / name
