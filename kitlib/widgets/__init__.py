"""What answers to a click or a key; each has a static twin."""
