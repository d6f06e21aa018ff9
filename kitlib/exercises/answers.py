"""What learners type, brought into the form in which answers compare. Each reader raises ParseError."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from kitlib.errors import ParseError

Answer = str | int | frozenset[str]
WHAT = "your answer"


def words(answer: object) -> str:
    """Text as it is, but for space and case."""
    if not isinstance(answer, str):
        raise ParseError(WHAT, "words in quotes", answer)
    return " ".join(answer.split()).casefold()


def number(answer: object) -> int:
    """A whole number, also as text."""
    text = str(answer).strip()
    if isinstance(answer, bool) or not (text.isascii() and text.isdigit()):
        raise ParseError(WHAT, "a whole number in digits", text)
    return int(text)


def name(answer: object) -> str:
    """A DNS name, with or without its final dot, in either case (RFC 4343)."""
    text = str(answer).strip().casefold().removesuffix(".")
    if not text or any(not label or any(map(str.isspace, label)) for label in text.split(".")):
        raise ParseError(WHAT, "a DNS name: labels with dots between", text)
    return text


def address(answer: object) -> str:
    """An IP address; a final dot and DNS's port (:53 or #53) may follow it."""
    text = str(answer).strip().removesuffix(".")
    for port in (":53", "#53"):
        text = text.removesuffix(port)
    try:
        return str(ip_address(text))
    except ValueError:
        raise ParseError(WHAT, "an IP address", text) from None


def some_of(known: dict[str, str], answer: object) -> frozenset[str]:
    """One or several of what is known, with commas or "and" between; `known` leads from each spelling to the name."""
    listed = not isinstance(answer, str) and isinstance(answer, Iterable)
    text = ",".join(map(str, answer)) if listed else str(answer)
    given = [part.strip() for part in text.replace(" and ", ",").split(",") if part.strip()]
    unknown = [part for part in given if part.casefold() not in known]
    if unknown or not given:
        raise ParseError(WHAT, f"one or several of {', '.join(dict.fromkeys(known.values()))}", ", ".join(unknown))
    return frozenset(known[part.casefold()] for part in given)
