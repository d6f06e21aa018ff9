"""Finds what other distributions add to the kit as entry points: labs, subcommands, checks of the doctor."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points


def plugins(group: str) -> dict[str, EntryPoint]:
    """Find the entry points of a group ("kitlib.labs") by name; each is loaded when it is used."""
    return {found.name: found for found in sorted(entry_points(group=group), key=lambda found: found.name)}
