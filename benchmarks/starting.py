"""What a learner waits for: imports beside scapy's, notebooks beside a kernel that only prints, a large packet view."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from jupyter_client.manager import KernelManager
from measure import Cost, Row, in_turn, run_python

from kitlib.lab import open_lab
from kitlib.widgets.packet_view import MOST_LISTED, packet_view

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
IMPORT_TIMES, PICTURE_S, LADDER_S = 6, 2, 0.25
FIGURE = "latency_budget"         # drawn with matplotlib once
PACKETS, MOST_KB = 4096, 100
IMPORT = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
TIMEOUT_S = 120


@dataclass(frozen=True)
class NotebookRun:
    """A notebook run to its end, or to its first drawing, on a kernel of its own."""

    seconds: float                            # of processor time, the kernel's start included
    wall_seconds: float
    cells: tuple[tuple[float, str], ...]      # processor seconds and source of each


def rows(rounds: int, _folder: Path) -> Iterator[Row]:
    """Yield the rows about imports, notebooks and widgets."""
    yield _imports(rounds)
    yield from _first_drawings(rounds)
    yield _slowest_cell(rounds)
    yield _packet_view()


def _imports(rounds: int) -> Row:
    costs = in_turn(rounds, {"import kitlib": lambda: _import("kitlib"), "import scapy": lambda: _import("scapy.all")})
    ours, scapy = (cost.seconds for cost in costs.values())
    return Row("import kitlib", f"{IMPORT_TIMES} times as fast as import scapy.all",
               f"{ours * 1000:.1f} ms, scapy.all {scapy * 1000:.0f} ms: {scapy / ours:.0f} times as fast",
               IMPORT_TIMES * ours <= scapy)


def _import(module: str) -> Cost:
    return Cost(float(run_python(IMPORT.format(module)).result))


def _first_drawings(rounds: int) -> Iterator[Row]:
    runs = in_turn(rounds, {"bare kernel": lambda: _cost(["print(1)"]),
                            "notebook 00 to its first picture": lambda: _cost(_cells("00"), to_drawing=True),
                            "notebook 05 to its first ladder": lambda: _cost(_cells("05"), to_drawing=True)})
    bare, picture, ladder = runs.values()
    wall = picture.result.wall_seconds
    yield Row("first picture of notebook 00, kernel start included", f"at most {PICTURE_S} s on the clock",
              f"{wall:.2f} s", wall <= PICTURE_S)
    above = ladder.seconds - bare.seconds
    yield Row("first ladder of notebook 05, kernel start included", f"at most {LADDER_S} s above a bare kernel",
              f"{ladder.seconds:.2f} s, bare kernel {bare.seconds:.2f} s: {above:.2f} s above", above <= LADDER_S)


def _slowest_cell(rounds: int) -> Row:
    run = in_turn(rounds, {"notebook 08": lambda: _cost(_cells("08"))})["notebook 08"].result
    number, (seconds, source) = max(enumerate(run.cells, 1), key=lambda cell: cell[1][0])
    figure = next(seconds for seconds, source in run.cells if f"{FIGURE}(" in source)
    return Row("notebook 08, slowest cell", f"not the {FIGURE}",
               f"cell {number}: {seconds:.2f} s; {FIGURE}: {figure:.2f} s", f"{FIGURE}(" not in source)


def _cost(cells: list[str], to_drawing: bool = False) -> Cost:
    done = run_notebook(cells, to_drawing)
    return Cost(done.seconds, result=done)


def _cells(number: str) -> list[str]:
    """Return the source of the code cells of a notebook."""
    (path,) = NOTEBOOKS.glob(f"{number}-*.ipynb")
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def run_notebook(cells: list[str], to_drawing: bool) -> NotebookRun:
    """Run cells on a kernel of their own, all or until one shows a drawing."""
    shown: list[bool] = []

    def look(message: dict) -> None:
        if to_drawing and "<svg" in message["content"].get("data", {}).get("text/html", ""):
            shown.append(True)

    manager, started, ran = KernelManager(), time.perf_counter(), []
    manager.start_kernel(cwd=str(NOTEBOOKS), extra_arguments=["--IPKernelApp.log_level=ERROR"])
    kernel, client = psutil.Process(manager.provisioner.pid), manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=TIMEOUT_S)
        before = _processor_seconds(kernel)
        for source in cells:
            reply = client.execute_interactive(source, timeout=TIMEOUT_S, output_hook=look)
            if reply["content"]["status"] != "ok":
                raise RuntimeError(f"This cell failed:\n{source}\n{reply['content']['evalue']}")
            after = _processor_seconds(kernel)
            ran.append((after - before, source))
            before = after
            if shown:
                break
        return NotebookRun(before, time.perf_counter() - started, tuple(ran))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _packet_view() -> Row:
    lab = open_lab("recorded")
    with lab.capture() as seen:
        lab.client.dig("www.example.com")
    some = (seen.sightings * PACKETS)[:PACKETS]
    shown = packet_view(some)
    kilobytes = (len(shown.html) + len(shown.text)) / 1024
    says_so = f"{PACKETS - MOST_LISTED:,} more packets" in shown.text
    return Row(f"packet view of {PACKETS:,} sightings, as stored", f"at most {MOST_KB} KB, says what it leaves out",
               f"{kilobytes:.0f} KB, {'says' if says_so else 'does not say'} what it leaves out",
               kilobytes <= MOST_KB and says_so)
