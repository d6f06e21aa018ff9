"""The page that a picture is drawn on from top to bottom; lengths in px."""

from __future__ import annotations

from dataclasses import dataclass, field

from kitlib.drawings.palette import INK
from kitlib.drawings.svg import SIZE, card, text, wrap

PAGE, MARGIN, PAD, TITLE_SIZE = 760, 14, 10, 16      # PAD: between a box and its words


@dataclass
class Page:
    """The picture so far: `y` is where the next thing goes; what is `behind` lies under the marks."""

    width: float = PAGE
    y: float = 18
    behind: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def paragraph(self, words: str, x: float = MARGIN, size: int = SIZE, bold: bool = False, fill: str = INK) -> None:
        """Text from `x` to the right edge."""
        for part in wrap(words, self.width - MARGIN - PAD - x, size, bold):
            self.y += size + 5
            self.marks.append(text(x, self.y - 4, part, size, bold, fill))

    def title(self, words: str) -> None:
        """The picture's title, with some air below it."""
        self.paragraph(words, size=TITLE_SIZE, bold=True)
        self.y += 10

    def svg(self, title: str, alt: str) -> str:
        """The whole picture."""
        return card(title, alt, self.width, self.y + PAD, [*self.behind, *self.marks])
