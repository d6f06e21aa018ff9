"""The workshop: cases, causes, faults, and what mends them."""
