"""The ways argv reaches a place: one file a lab."""
