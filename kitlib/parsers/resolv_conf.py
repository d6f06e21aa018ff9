"""resolv.conf(5): which servers the resolver asks, and how it completes names."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from ipaddress import ip_address

from kitlib.errors import ParseError
from kitlib.parsers.ip import can_read

KEYWORDS = ("nameserver", "search", "domain", "options", "sortlist")
MOST_NAMESERVERS = 3                                        # MAXNS, in glibc and in musl
NUMBERS = {"ndots": (1, 15), "timeout": (5, 30), "attempts": (2, 5)}     # name: (default, glibc's limit)


@dataclass(frozen=True)
class ResolvConf:
    """A resolv.conf as written: all nameservers, the search list in force, the options word for word.

    The properties say what glibc makes of it (resolv.conf(5); resolv/res_init.c and resolv/resolv.h in glibc): the
    first 3 nameservers, or 127.0.0.1 if none is named; ndots at most 15, timeout at most 30 seconds, attempts at
    most 5. The search list was limited to 6 domains and 256 characters up to glibc 2.25; 2.26 removed that limit
    (its NEWS; resolv.conf(5), "search"). `passed_over`: the lines that no resolver understands and therefore ignores,
    each with its number.
    """

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

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
            name, colon, written = word.partition(":")
            if name == option and colon:
                value = int(re.match("[+-]?[0-9]{1,9}|", written)[0] or 0)      # as atoi(3) reads it
        return min(value, limit) if value >= 0 else value & limit       # glibc keeps as many bits


def parse(text: str) -> ResolvConf:
    """Return the settings in a resolv.conf; an empty text is a valid one, all defaults.

    A line that starts with ; or # is a comment. The last `search` or `domain` line wins, `options` lines add up. What
    the resolver passes over (an unknown keyword, a blank before it, no value, no address) is kept apart. Raises
    ParseError where nothing at all is understood: that is no resolv.conf. To glibc, blank and tab separate words and
    nothing else does: the carriage return of a file from Windows is part of the last one.
    """
    conf, passed_over = ResolvConf(), []
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1)
             if line.strip() and line[0] not in ";#"]
    for number, line in lines:
        changed = _with_line(conf, line)
        if changed is None:
            why = " (a carriage return ends it)" if line.endswith("\r") else ""
            passed_over.append(f"line {number}: {line.strip()}{why}")
        conf = changed or conf
    if lines and len(passed_over) == len(lines):
        raise ParseError("resolv.conf", f"one of {', '.join(KEYWORDS)} and a value", lines[0][1], f"line {lines[0][0]}")
    return replace(conf, passed_over=tuple(passed_over))


def _with_line(conf: ResolvConf, line: str) -> ResolvConf | None:
    """Return the settings after this line; None if the resolver passes over it."""
    keyword, *values = line.strip(" \t").replace("\t", " ").split(" ")
    values = [value for value in values if value]
    if keyword not in KEYWORDS or line[0].isspace() or not values:
        return None
    if keyword == "nameserver":
        address = _address(values[0])
        return replace(conf, nameservers=(*conf.nameservers, address)) if address else None
    if keyword in ("search", "domain"):
        return replace(conf, search=tuple(values if keyword == "search" else values[:1]))
    return replace(conf, options=(*conf.options, *values)) if keyword == "options" else conf


def _address(text: str) -> str:
    """Return an address; those that only inet_aton(3) understands in full: 127.1, 010.0.0.10. "" if it is none."""
    if can_read(ip_address, text):
        return text
    is_address = can_read(socket.inet_aton, text) and not any(character.isspace() for character in text)
    return socket.inet_ntoa(socket.inet_aton(text)) if is_address else ""
