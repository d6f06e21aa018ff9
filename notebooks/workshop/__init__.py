"""The workshop: cases in which DNS is broken, what may cause it, and what fixes it."""

from workshop.cases import debrief, mystery, open_case

__all__ = ["debrief", "mystery", "open_case"]
