"""The search list at work: which names the resolver asks for, in order, and why."""

from __future__ import annotations

from collections.abc import Iterable

from kitlib.drawings.table import Table
from kitlib.search_list import Candidate


def search_list(candidates: Iterable[Candidate], title: str = "What the resolver asks for, in order") -> Table:
    """The candidates as a numbered table; none (an address is not asked about) is said in the table."""
    rows = tuple((str(number), candidate.name, candidate.why) for number, candidate in enumerate(candidates, 1))
    return Table(title, ("", "the resolver asks for", "why"), rows)
