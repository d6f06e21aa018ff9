"""Build the book: the notebooks and pages as a site to read, with the browser edition beside it to run them in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
SITE = REPO / "build" / "site"


def main() -> int:
    """Build both; return Sphinx's exit code, which a warning makes 1."""
    subprocess.run([sys.executable, HERE.parent / "browser" / "build.py"], check=True)
    with tempfile.TemporaryDirectory() as pages:
        collect(Path(pages))
        shutil.rmtree(SITE, ignore_errors=True)
        code = subprocess.run([sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going",
                               "-c", HERE, "-d", Path(pages) / ".doctrees", pages, SITE], check=False).returncode
    shutil.copytree(REPO / "build" / "browser", SITE / "browser")
    print(f"[kit] The book is in {SITE.relative_to(REPO)}: any static host can serve it.")
    return code


def collect(folder: Path) -> None:
    """Copy what the book is made of, as the links between its pages have it."""
    shutil.copy(HERE / "index.md", folder)
    for name, patterns in {"notebooks": ["*.ipynb"], "docs": ["*.md", "*.svg"]}.items():
        (folder / name).mkdir()
        for pattern in patterns:
            for source in (REPO / name).glob(pattern):
                shutil.copy(source, folder / name)


if __name__ == "__main__":
    sys.exit(main())
