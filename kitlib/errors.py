"""Every error the kit raises on purpose: what was expected, what was found, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from kitlib.escapes import printable

MOST_DIGITS = 20        # of 2**64

Found = TypeVar("Found")


class KitError(Exception):
    """Base of the kit's own errors; its message is written for the learner."""

    def __str__(self) -> str:
        return printable(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Show in a notebook the message alone: IPython calls this; a program's traceback keeps its frames."""
        return [f"{type(self).__name__}: {self}"]


class ParseError(KitError):
    """Text or bytes were not in the format they should be in."""

    def __init__(self, what: str, expected: str, found: object, where: str = "") -> None:
        self.what, self.expected, self.found, self.where = what, expected, found, where
        shown = found if isinstance(found, str) else repr(found)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        place = f" ({where})" if where else ""
        super().__init__(f"{what}{place}: expected {expected}, found: {shown or 'nothing'}")


@contextmanager
def parse_context(what: str = "", where: str = "") -> Iterator[None]:
    """Add to every ParseError what was being read, and where it stands. Works as a `with` block and as a decorator."""
    try:
        yield
    except ParseError as error:
        place = ", ".join(filter(None, (where, error.where)))
        raise ParseError(what or error.what, error.expected, error.found, place) from None


def number(digits: str, what: str) -> int:
    """Return the number that these digits write. Raises ParseError if they are more than any number here has."""
    if len(digits) > MOST_DIGITS:       # Python's own limit, 4300, is a ValueError
        raise ParseError(what, f"a number of at most {MOST_DIGITS} digits", digits)
    return int(digits)


class CommandFailed(KitError):
    """A command ended with an error, so there is nothing of it to read."""


class TimedOut(CommandFailed):
    """A program still ran when its time was up, and was stopped."""


class RecordingError(KitError):
    """A recording on disk is damaged, incomplete or of another version."""


class NotRecorded(KitError):
    """The recording holds no answer to this command."""


class NotFound(KitError):
    """The lab has no such place, service or interface."""


def first_of(found: Iterable[Found], otherwise: str) -> Found:
    """Return the first of what was found. Raises NotFound, with the words `otherwise`, where that is nothing."""
    for one in found:
        return one
    raise NotFound(otherwise)


class NoAccess(KitError):
    """A place of a live lab cannot be entered."""


class Denied(NoAccess):
    """A place of a live lab may not be entered by this account; there may be another way to look."""


class PlaceGone(NotFound):
    """A place of a live lab was there, and is not any more."""


class UnknownLab(KitError):
    """No lab goes by this name."""
