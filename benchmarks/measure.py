"""How the benchmarks measure: processor seconds and peak memory, in turn and in processes of their own."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log
from multiprocessing import get_context
from pathlib import Path

TIMEOUT_S = 600


@dataclass(frozen=True)
class Row:
    """One row of the table; `is_met` is None where nothing was measured, or nothing is asked."""

    what: str
    bar: str
    today: str
    is_met: bool | None = None


@dataclass(frozen=True)
class Cost:
    """What something took: processor seconds, peak memory of its process in MB, and what it returned."""

    seconds: float
    megabytes: float = 0
    result: object = None


def not_measured(what: str, bar: str, why: str) -> Row:
    """Return the row of something that this machine cannot measure."""
    return Row(what, bar, f"not measured: {why}")


def missing(*programs: str) -> str:
    """Say which of these programs is not installed; "" if all are."""
    absent = [name for name in programs if not shutil.which(name)]
    return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed" if absent else ""


def run(argv: Sequence[str], text: str = "") -> Cost:
    """Run a program to its end; the cost of the whole process, children included, and what it printed."""
    before = os.times()
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)[:200]} failed: {done.stderr.strip()[-500:]}")
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(seconds, result=done.stdout)


def run_python(code: str, *arguments: str) -> Cost:
    """Run code in a Python of its own; the cost of the whole process."""
    return run((sys.executable, "-c", code, *arguments))


def in_new_process(work: Callable, *arguments: object) -> Cost:
    """Call a function in a process of its own; the cost of the call, and the peak memory of that process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_cost, work, arguments).result()


def _cost(work: Callable, arguments: tuple) -> Cost:
    seconds, result = timed(lambda: work(*arguments))
    peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return Cost(seconds, int(peak) / 1024, result)


def timed(work: Callable, clock: Callable[[], float] = time.process_time) -> tuple[float, object]:
    """Return how many seconds it took, of processor time unless another clock is given, and what it returned."""
    started = clock()
    result = work()
    return clock() - started, result


def in_turn(rounds: int, works: dict[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Do all of it, one after the other, `rounds` times; the medians, by name."""
    costs = {name: [] for name in works}
    for number in range(rounds):
        for name, work in works.items():
            show_progress(f"{name}, {number + 1} of {rounds}")
            costs[name].append(work())
    return {name: _median(each) for name, each in costs.items()}


def show_progress(words: str) -> None:
    """Say in a terminal what is being measured, in place of what was said before; elsewhere nothing."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def _median(costs: Iterable[Cost]) -> Cost:
    costs = list(costs)
    return Cost(statistics.median(cost.seconds for cost in costs),
                statistics.median(cost.megabytes for cost in costs), costs[-1].result)


def exponent(few: float, many: float, times: float) -> float:
    """Return how the cost grows: 1 where `times` the input takes `times` the seconds, 2 where it takes the square."""
    return log(many / few) / log(times)
