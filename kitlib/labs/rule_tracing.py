"""The kernel's own rule trace, live: TRACE rules go in while a capture runs, and come out again whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
def tracing(lab: LiveLab, places: Sequence[str], caught: Caught) -> Iterator[None]:
    """Trace DNS over UDP at these nodes while the block runs; `caught` gets the traces and the rules as they stood."""
    with ExitStack() as stack:
        monitors = {place: stack.enter_context(background(lab.reach(place, MONITOR))) for place in places}
        try:
            for place in places:
                sweep(lab, place)
                _insert(lab, place)
            time.sleep(START_S)
            rules = {place: lab.run(place, ("iptables-save",)) for place in places}
            yield
        finally:
            for place in places:
                sweep(lab, place)
        time.sleep(LAST_WORDS_S)
        for place, monitor in monitors.items():
            said = monitor.stop().decode(errors="replace")
            caught.traces[place] = Traced(lab.result(place, MONITOR, said), rules[place])


def _insert(lab: LiveLab, place: str) -> None:
    for chain in ("PREROUTING", "OUTPUT"):
        _iptables(lab, place, "-I", chain, "-p", "udp", "-m", "multiport", "--ports", "53",
                  "-m", "comment", "--comment", OURS, "-j", "TRACE")


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
