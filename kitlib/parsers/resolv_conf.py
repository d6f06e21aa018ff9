"""resolv.conf(5): which servers the resolver asks, and how it completes names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from kitlib.errors import ParseError

KEYWORDS = ("nameserver", "search", "domain", "options", "sortlist")
MOST_NAMESERVERS = 3                                        # MAXNS, in glibc and in musl
NUMBERS = {"ndots": (1, 15), "timeout": (5, 30), "attempts": (2, 5)}     # name: (default, glibc's limit)


@dataclass(frozen=True)
class ResolvConf:
    """A resolv.conf as written: all nameservers, the search list in force, the options word for word.

    The properties say what glibc makes of it (resolv.conf(5); resolv/res_init.c and resolv/resolv.h in glibc): the
    first 3 nameservers, or 127.0.0.1 if none is named; ndots at most 15, timeout at most 30 seconds, attempts at
    most 5. The search list was limited to 6 domains and 256 characters up to glibc 2.25; 2.26 removed that limit
    (its NEWS; resolv.conf(5), "search").
    """

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def nameservers_asked(self) -> tuple[str, ...]:
        """Return the nameservers that the resolver uses, in order."""
        return self.nameservers[:MOST_NAMESERVERS] or ("127.0.0.1",)

    @property
    def ndots(self) -> int:
        """Return how many dots a name must have to be asked as it is first."""
        return self._number("ndots")

    @property
    def timeout(self) -> int:
        """Return the seconds to wait for a nameserver before the next is asked."""
        return self._number("timeout")

    @property
    def attempts(self) -> int:
        """Return how many times the round of nameservers is asked."""
        return self._number("attempts")

    def _number(self, option: str) -> int:
        value, limit = NUMBERS[option]
        for word in self.options:
            name, _, number = word.partition(":")
            if name == option:
                value = int(number)
        return min(value, limit)


def parse(text: str) -> ResolvConf:
    """Return the settings in a resolv.conf; an empty text is a valid one, all defaults. Raises ParseError.

    A line that starts with ; or # is a comment. The last `search` or `domain` line wins, `options` lines add up.
    The resolver passes over lines that it does not understand; here they are errors, since they are no settings.
    """
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line[0] in ";#":
            continue
        keyword, *values = line.split()
        if keyword not in KEYWORDS or line[0].isspace() or not values:
            raise ParseError("resolv.conf", f"one of {', '.join(KEYWORDS)} and a value", line, f"line {number}")
        if keyword == "nameserver":
            nameservers.append(_address(values[0], number))
        elif keyword in ("search", "domain"):
            search = tuple(values if keyword == "search" else values[:1])
        elif keyword == "options":
            options += [_option(word, number) for word in values]
    return ResolvConf(tuple(nameservers), search, tuple(options))


def _address(value: str, number: int) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise ParseError("resolv.conf", "an IP address", value, f"nameserver, line {number}") from None
    return value


def _option(word: str, number: int) -> str:
    name, _, value = word.partition(":")
    if name in NUMBERS and not re.fullmatch("[0-9]{1,20}", value):
        raise ParseError("resolv.conf", f"{name}: and a number", word, f"options, line {number}")
    return word
