"""The workshop: cases in which DNS is broken, what may cause it, and what fixes it."""

from workshop.cases import debrief, mystery, open_case, six_digs
from workshop.looks import look

__all__ = ["debrief", "look", "mystery", "open_case", "six_digs"]
