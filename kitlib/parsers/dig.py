"""What dig(1) prints when it is left to print everything: one response, or that there was none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kitlib.errors import ParseError
from kitlib.sighting import Edns, Message, Question, Record, Socket

HEADER = re.compile(r"^;; ->>HEADER<<- opcode: (\w+), status: (\w+), id: (\d+)$", re.MULTILINE)
FLAGS = re.compile(r"^;; flags:([ \w]*);.* QUERY: (\d+), ANSWER: (\d+), AUTHORITY: (\d+), ADDITIONAL: (\d+)$", re.M)
QUERY_TIME = re.compile(r"^;; Query time: (\d+) ([mu])sec$", re.MULTILINE)
SERVER = re.compile(r"^;; SERVER: (\S+?)#(\d+)\(.*?\)(?: \((\w+)\))?$", re.MULTILINE)
SIZE = re.compile(r"^;; MSG SIZE +rcvd: (\d+)$", re.MULTILINE)
EDNS = re.compile(r"^; EDNS: version: (\d+), flags:[ \w]*; (?:MBZ: \w+, )?udp: (\d+)$", re.MULTILINE)
OPTION = re.compile(r"^; ([^:]+): (.*)$")
FAILURE = re.compile(r"^;; (.*(?:communications error|failed: |no servers could be reached|timed out).*)$", re.M)


@dataclass(frozen=True)
class DigOutput:
    """What one run of dig said.

    Without a response `message` is None, and `failures` says what dig met; after a retry there may be both. The
    EDNS cookie (RFC 7873) is hexadecimal; `cookie_check` is dig's word on it: "good", "bad" or "echoed" (the server
    sent the client's half back and added none of its own).
    """

    message: Message | None
    failures: tuple[str, ...] = ()
    truncated: bool = False               # the answer over UDP was cut short, so that dig asked again over TCP
    server: Socket | None = None
    protocol: str = ""                    # "UDP" or "TCP"; "" before dig 9.18, which does not say
    query_time_ms: float | None = None
    cookie: str = ""
    cookie_check: str = ""

    @property
    def status(self) -> str | None:
        """The rcode in words, "NOERROR"; None without a response."""
        return self.message.rcode if self.message else None


def parse(text: str) -> DigOutput:
    """The response in dig's full output (no +short, +noall or +nostats), or the fact that none came.

    Raises ParseError for anything else, more than one response, and sections shorter than the header counts.
    """
    failures = tuple(line.rstrip(".") for line in FAILURE.findall(text))
    truncated = ";; Truncated, retrying in TCP mode." in text
    if not HEADER.search(text) and any("no servers could be reached" in line or line.startswith("connection timed out")
                                       for line in failures):
        return DigOutput(None, failures, truncated)
    if len(HEADER.findall(text)) > 1:
        raise ParseError("dig", "one response", f"{len(HEADER.findall(text))} of them")
    options = _options(text)
    time, unit = _find(QUERY_TIME, text, ";; Query time: N msec")
    address, port, protocol = _find(SERVER, text, ";; SERVER: ADDRESS#PORT(…)")
    cookie, _, check = options.get("COOKIE", "").partition(" ")
    return DigOutput(
        _message(text, options),
        failures,
        truncated,
        Socket(address, int(port)),
        protocol or "",
        int(time) if unit == "m" else int(time) / 1000,
        cookie,
        check.strip("()"),
    )


def _message(text: str, options: dict[str, str]) -> Message:
    opcode, status, identifier = _find(HEADER, text, ";; ->>HEADER<<- opcode: …, status: …, id: …")
    flags, *counts = _find(FLAGS, text, ";; flags: …; QUERY: N, ANSWER: N, AUTHORITY: N, ADDITIONAL: N")
    opt = EDNS.search(text)
    cookie = {"COOKIE": options["COOKIE"].partition(" ")[0]} if "COOKIE" in options else {}
    edns = Edns(int(opt[2]), int(opt[1]), tuple({**options, **cookie}.items())) if opt else None
    questions = tuple(_question(line) for line in _section(text, "QUESTION"))
    answers, authorities, additionals = (
        tuple(_record(line) for line in _section(text, name)) for name in ("ANSWER", "AUTHORITY", "ADDITIONAL"))
    # The OPT pseudo-record is counted as an additional record and printed in a section of its own.
    shown = [len(questions), len(answers), len(authorities), len(additionals) + bool(edns)]
    if shown != [int(count) for count in counts]:
        raise ParseError("dig", f"as many records as the header counts: {', '.join(counts)}", str(shown))
    size = int(_find(SIZE, text, ";; MSG SIZE  rcvd: N")[0])
    return Message(int(identifier), tuple(flags.split()), opcode, status, questions,
                   answers, authorities, additionals, edns, size)


def _find(pattern: re.Pattern[str], text: str, expected: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if not match:
        raise ParseError("dig", f"a line `{expected}`", text.strip())
    return match.groups()


def _section(text: str, name: str) -> list[str]:
    """The lines of a section: from its heading to the next empty line."""
    _, heading, rest = text.partition(f";; {name} SECTION:\n")
    return rest.partition("\n\n")[0].splitlines() if heading else []


def _options(text: str) -> dict[str, str]:
    """The EDNS options below the line that describes OPT; the question follows without an empty line."""
    body = text.partition(";; OPT PSEUDOSECTION:\n")[2].partition("\n;;")[0]
    found = (OPTION.match(line) for line in body.splitlines())
    return {match[1]: match[2] for match in found if match and match[1] != "EDNS"}


def _question(line: str) -> Question:
    words = line.removeprefix(";").split()
    if len(words) != 3 or words[1] != "IN":
        raise ParseError("dig", "a question: ;NAME IN TYPE", line)
    return Question(words[0], words[2])


def _record(line: str) -> Record:
    words = line.split(None, 4)
    if len(words) != 5 or not (words[1].isascii() and words[1].isdigit()) or words[2] != "IN":
        raise ParseError("dig", "a record: NAME TTL IN TYPE DATA", line)
    return Record(words[0], words[3], int(words[1]), words[4])
