"""The doctor's report: what was looked at, what was found, and the fix of each failure."""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing looked at: `problem` is empty when all is well, `fix` says what to do about it."""

    what: str
    problem: str = ""
    fix: str = ""
    optional: bool = False        # another lab's need: the notebooks work without it

    @property
    def state(self) -> str:
        """The verdict as a word, for colour never speaks alone."""
        if not self.problem:
            return "ok"
        return "missing" if self.optional else "FAILED"


@dataclass(frozen=True)
class Report:
    """What the doctor found; shows itself as lines in a terminal and as a table in a notebook."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Can the notebooks be used on the recorded lab?"""
        return all(check.optional or not check.problem for check in self.checks)

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        return "This machine is ready." if self.ready else "This machine is not ready yet: see the fixes above."

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
