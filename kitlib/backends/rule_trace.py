"""The kernel's own rule trace, live: TRACE rules for the question that is asked, taken out again whatever happens.

A query changes its addresses, ports and id on its way; the question in it stays, in CoreDNS's own query too. So the
rules look for the question: iptables-extensions(8), string.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol

from kitlib.backends import CaptureData, RuleTrace
from kitlib.errors import KitError
from kitlib.parsers import iptables_save
from kitlib.result import Result
from kitlib.shell import background

MONITOR = ("xtables-monitor", "--trace")
OURS = "kitlib-trace"                     # the comment by which our rules are known and swept away
HEADERS, LONGEST = 20 + 8 + 12, 128       # bytes of IPv4, UDP and DNS before the question; what -m string can look for
DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")
PLAIN = re.compile(r"(?<!\S)[a-z0-9][a-z0-9_-]+(?!\S)")
ASKING = ("dig", "getent", "host", "nslookup", "curl", "wget", "ping")
ADDRESS = re.compile(r"[\d.]+")
START_S, LAST_WORDS_S = 0.2, 0.1          # xtables-monitor does not say when it listens, nor when it has said all


class LiveRunner(Protocol):
    """What a rule trace needs of a live lab."""

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that, run here, runs `argv` at the place."""

    def result(self, place: str, argv: tuple[str, ...], stdout: str) -> Result:
        """Return what a program that ran beside a block has said."""


@contextmanager
def tracing(lab: LiveRunner, places: Sequence[str], caught: CaptureData) -> Iterator[Callable[[Sequence[str]], None]]:
    """Trace at these nodes what is asked over UDP while the block runs: call the result with a command before it runs.

    `caught` gets the traces and the rules as they stood.
    """
    with ExitStack() as stack:
        monitors = {place: stack.enter_context(background(lab.reach(place, MONITOR))) for place in places}
        try:
            for place in places:
                sweep(lab, place)
            time.sleep(START_S)
            yield partial(_arm, lab, places, set())
            rules = {place: lab.run(place, ("iptables-save",)) for place in places}
        finally:
            for place in places:
                sweep(lab, place)
        time.sleep(LAST_WORDS_S)
        for place, monitor in monitors.items():
            said = monitor.stop().decode(errors="replace")
            caught.traces[place] = RuleTrace(lab.result(place, MONITOR, said), rules[place])


def _arm(lab: LiveRunner, places: Sequence[str], armed: set[bytes], argv: Sequence[str]) -> None:
    """Let the packets be traced that carry the questions this command will ask, and no others."""
    for question in (asked for asked in dict.fromkeys(questions(argv)) if asked not in armed):
        armed.add(question)
        for place in places:
            for chain in ("PREROUTING", "OUTPUT"):
                _iptables(lab, place, "-I", chain, *tracing_rule(question))


def questions(argv: Sequence[str]) -> list[bytes]:
    """The names in a command as a query begins with them, RFC 1035, section 3.1, but open for a search list's domain.

    Names are its words with a dot; without any, in a program that asks, those of small letters. Of an address also the
    name that `dig -x` asks for.
    """
    from scapy.layers.dns import dns_encode

    said = " ".join(argv[1:])
    names = DOTTED.findall(said) or (PLAIN.findall(said) if argv[0] in ASKING else [])
    names += [".".join([*reversed(name.split(".")), "in-addr.arpa"]) for name in names if ADDRESS.fullmatch(name)]
    return [dns_encode(name.encode()).removesuffix(b"\0")[:LONGEST] for name in names]


def tracing_rule(question: bytes) -> tuple[str, ...]:
    """The rule that traces the packets whose DNS question begins with these bytes, queries and responses."""
    return ("-p", "udp", "-m", "multiport", "--ports", "53", "-m", "string", "--algo", "kmp",
            "--from", str(HEADERS), "--to", str(HEADERS + len(question)), "--hex-string", f"|{question.hex()}|",
            "-m", "comment", "--comment", OURS, "-j", "TRACE")


def sweep(lab: LiveRunner, place: str) -> None:
    """Take our TRACE rules out again, those that a killed run has left too."""
    saved = iptables_save.parse(lab.run(place, ("iptables-save", "-t", "raw")).stdout)
    for chain in saved.tables.get("raw", {}).values():
        for rule in chain.rules:
            if rule.comment == OURS:
                _iptables(lab, place, "-D", *shlex.split(rule.text)[1:])


def _iptables(lab: LiveRunner, place: str, *words: str) -> None:
    done = lab.run(place, ("iptables", "-w", "-t", "raw", *words))
    if done.rc:
        raise KitError(f"The kernel's rule trace cannot be had at {place}: {done.stderr.strip()}")
