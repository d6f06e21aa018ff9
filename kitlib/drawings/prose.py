"""Sentences with numbers in them that come from the data, so that they stay true on another cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class say:
    """Show a sentence as text of the notebook: say(f"The query took {n} µs."). Named as the verb it is there."""

    words: str

    def _repr_markdown_(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return self.words.replace("**", "").replace("`", "")
