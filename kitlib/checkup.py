"""The doctor: looks at this machine and reports what it found, with the fix of each failure.

The report reads the same on every machine that is ready, so that a stored notebook can be compared with a new run;
what differs from machine to machine (docker, user namespaces) is looked at with `labs=True` only.
"""

from __future__ import annotations

import html
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kitlib.errors import KitError


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `problem` is "" when all is well, `fix` says what to do about it."""

    what: str
    problem: str = ""
    fix: str = ""
    optional: bool = False        # another lab's need: the notebooks work without it

    @property
    def state(self) -> str:
        """Return the verdict as a word, for colour never speaks alone."""
        if not self.problem:
            return "ok"
        return "missing" if self.optional else "FAILED"


@dataclass(frozen=True)
class Report:
    """What the doctor found; shows itself as lines in a terminal and as a table in a notebook."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Say whether the notebooks can be used on the recorded lab."""
        return all(check.optional or not check.problem for check in self.checks)

    @property
    def verdict(self) -> str:
        """Return the report in one sentence."""
        if not self.ready:
            return "This machine is not ready yet: see the fixes above."
        lacking = dict.fromkeys(check.what.partition(":")[0] for check in self.checks if check.problem)
        return f"This machine is ready, but not for the {' and the '.join(lacking)}." if lacking else \
            "This machine is ready."

    def __str__(self) -> str:
        lines = []
        for check in self.checks:
            lines.append(f"{check.state:<8}{check.what}" + (f": {check.problem}" if check.problem else ""))
            lines += [f"{'':<8}→ {check.fix}"] if check.problem else []
        return "\n".join([*lines, self.verdict])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = [("", "looked at", "found", "what to do")]
        cells += [(check.state, check.what, check.problem, check.problem and check.fix) for check in self.checks]
        left = '<td style="text-align: left">'
        rows = ("<tr>" + "".join(f"{left}{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        return f"<table>{''.join(rows)}</table><p>{self.verdict}</p>"


SUPPORTED = ((3, 11), (3, 14))
WIDGETS = "@jupyter-widgets/jupyterlab-manager"
INSTALL = "In a terminal in the kit's folder: make lab (it installs the pinned versions), then Kernel > Restart."


def doctor(labs: bool = False) -> Report:
    """Look at Python, packages, JupyterLab's widgets and the lab in use; with `labs`, at what other labs need.

    In a browser (JupyterLite) all but the lab is the site's, and no other lab can run there.
    """
    if sys.platform == "emscripten":
        return Report((lab_check(),))
    return Report((python_check(), packages_check(), widgets_check(), lab_check(), *(other_labs() if labs else ())))


def python_check() -> Check:
    """Check that the pinned packages exist for this Python."""
    low, high = (".".join(map(str, version)) for version in SUPPORTED)
    right = SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]
    return Check(f"Python {low} to {high}", "" if right else f"this is Python {sys.version.split()[0]}",
                 f"Install Python {high}; then in a terminal in the kit's folder: make lab")


def pins() -> dict[str, str]:
    """Return the versions that the notebooks need, by package; the list is pyproject.toml's."""
    needs = importlib.metadata.requires("kitlib") or []
    return dict(need.split("==") for need in needs if ";" not in need)


def packages_check() -> Check:
    """Check that what is installed is what is pinned."""
    try:
        wrong = [problem for name, version in pins().items() if (problem := version_problem(name, version))]
    except importlib.metadata.PackageNotFoundError:
        wrong = ["kitlib itself is not installed here"]
    return Check("packages as pinned", ", ".join(wrong), INSTALL)


def version_problem(name: str, pinned: str) -> str:
    """Say what is wrong with one installed package; "" if nothing is."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if found == pinned else f"{name} is {found}, not {pinned}"


def widgets_check() -> Check:
    """Check that JupyterLab has the extension that draws ipywidgets, and that it is switched on."""
    what = "JupyterLab shows widgets"
    try:
        from jupyter_core.paths import jupyter_config_path, jupyter_path
    except ImportError:
        return Check(what, "Jupyter is not installed here", INSTALL)
    if not any((Path(folder) / WIDGETS / "package.json").is_file() for folder in jupyter_path("labextensions")):
        return Check(what, f"the extension {WIDGETS} is missing", INSTALL)
    settings = (Path(folder, "labconfig", "page_config.json") for folder in jupyter_config_path())
    if any(switched_off(file) for file in settings if file.is_file()):
        return Check(what, f"the extension {WIDGETS} is switched off",
                     f"In a terminal: jupyter labextension enable {WIDGETS}; then reload the page.")
    return Check(what)


def switched_off(page_config: Path) -> bool:
    """Say whether this settings file of JupyterLab disables the widgets."""
    try:
        disabled = json.loads(page_config.read_text())["disabledExtensions"]
    except (ValueError, KeyError, TypeError):
        return False  # nothing there that JupyterLab would obey
    return bool(disabled.get(WIDGETS)) if isinstance(disabled, dict) else WIDGETS in disabled


def lab_check() -> Check:
    """Check that the lab opens that a notebook would get now."""
    what = "the lab in use"
    try:
        from kitlib.lab import open_lab  # late: what is not installed is to be a line of this report

        return Check(f"{what}: {open_lab().name}")
    except ImportError as error:
        return Check(what, str(error), INSTALL)
    except KitError as error:
        return Check(what, str(error), "Unset KITLIB_LAB to use the recorded lab; it comes with the kit.")


def other_labs() -> Iterator[Check]:
    """Try out on this machine what the live labs need."""
    for plugin in sorted(importlib.metadata.entry_points(group="kitlib.checks")):
        yield from (Check(what, problem, fix, optional=True) for what, problem, fix in plugin.load()())
