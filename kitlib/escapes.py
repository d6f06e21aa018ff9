"""Characters from outside that steer a terminal, turn the order of letters round or break a picture, made visible."""

from __future__ import annotations

SHOWN_AS_THEY_ARE = "\n\t\xa0"


def printable(text: str) -> str:
    """Write control and bidi characters, lone surrogates and whatever else has no picture as escapes (\\x1b)."""
    hidden = {ord(one): repr(one)[1:-1] for one in set(text) if not one.isprintable() and one not in SHOWN_AS_THEY_ARE}
    return text.translate(hidden) if hidden else text
