#!/usr/bin/env python3
"""Draw the README's picture again, from the first recorded take: python lab-setup/picture.py [FILE]."""

from __future__ import annotations

import sys
from pathlib import Path

from kitlib import gaps, ladder, open_lab

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "one-query.svg"


def draw(path: Path) -> Path:
    """Save the ladder of one dig, seen at every vantage point."""
    lab = open_lab()
    with lab.capture() as seen:
        lab.pod("my-nginx").dig("www.example.com")
    return ladder(seen.journey(), gaps(lab, seen.journey())).save(path)


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if sys.argv[1:] else PICTURE))
