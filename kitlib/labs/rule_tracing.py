"""The kernel's own rule trace, live: TRACE rules go in while a capture runs, and come out again whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kitlib.errors import KitError
from kitlib.labs import Caught, Traced
from kitlib.parsers import iptables_save
from kitlib.shell import background

if TYPE_CHECKING:
    from kitlib.labs.live import LiveLab

MONITOR = ("xtables-monitor", "--trace")
OURS = "kitlib-trace"                     # the comment by which our rules are known and swept away
START_S, LAST_WORDS_S = 0.2, 0.1          # xtables-monitor does not say when it listens, nor when it has said all


@contextmanager
def tracing(lab: LiveLab, place: str, caught: Caught) -> Iterator[None]:
    """Trace DNS over UDP at a node while the block runs; `caught` gets the trace and the rules as they stood."""
    sweep(lab, place)
    with background(lab.reach(place, MONITOR)) as monitor:
        time.sleep(START_S)
        try:
            for chain in ("PREROUTING", "OUTPUT"):
                for end in ("--dport", "--sport"):
                    _iptables(lab, place, "-I", chain, "-p", "udp", end, "53", "-m", "comment", "--comment", OURS,
                              "-j", "TRACE")
            rules = lab.run(place, ("iptables-save",))
            yield
        finally:
            sweep(lab, place)
        time.sleep(LAST_WORDS_S)
        said = monitor.stop().decode(errors="replace")
    caught.traces[place] = Traced(lab.result(place, MONITOR, said), rules)


def sweep(lab: LiveLab, place: str) -> None:
    """Take our TRACE rules out again, those that a killed run has left too."""
    saved = iptables_save.parse(lab.run(place, ("iptables-save", "-t", "raw")).stdout)
    for chain in saved.tables.get("raw", {}).values():
        for rule in chain.rules:
            if rule.comment == OURS:
                _iptables(lab, place, "-D", *rule.text.split()[1:])


def _iptables(lab: LiveLab, place: str, *words: str) -> None:
    done = lab.run(place, ("iptables", "-w", "-t", "raw", *words))
    if done.rc:
        raise KitError(f"The kernel's rule trace cannot be had at {place}: {done.stderr.strip()}")
