"""Sentences with numbers in them that come from the data, so that they stay true on another cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class say:  # noqa: N801 (read as a verb in a notebook)
    """Show a sentence as text of the notebook: say(f"The query took {n} µs.")."""

    words: str

    def _repr_markdown_(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return self.words.replace("**", "").replace("`", "")
