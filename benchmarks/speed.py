"""Measures, side by side in one run, what a learner waits for; exit code 1 when a bar is missed.

Imports: the median of several fresh interpreters, the two in turn. First picture: from the start of the kernel of the
first notebook to the moment its first drawing arrives, running its cells in order.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager

REPO = Path(__file__).resolve().parent.parent
IMPORT_BAR, PICTURE_BAR_S = 1 / 6, 2.0
TIMER = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(module: str) -> float:
    """How long one import takes in a fresh interpreter, without the interpreter's own start."""
    done = subprocess.run([sys.executable, "-c", TIMER.format(module)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def imports(rounds: int) -> bool:
    """Compare `import kitlib` with `import scapy.all`; is it at most a sixth?"""
    pairs = [(import_seconds("kitlib"), import_seconds("scapy.all")) for _ in range(rounds)]
    ours, scapy = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"import kitlib     {ours * 1000:8.1f} ms")
    print(f"import scapy.all  {scapy * 1000:8.1f} ms")
    return verdict(f"ratio 1 : {scapy / ours:.1f}", "at most 1 : 6", ours / scapy <= IMPORT_BAR)


def first_picture(rounds: int) -> bool:
    """Time the first notebook from its kernel's start to its first drawing; is it at most two seconds?"""
    (notebook,) = (REPO / "notebooks").glob("00-*.ipynb")
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    times = [picture_seconds(cells) for _ in range(rounds)]
    print(f"kernel start to first picture of {notebook.name}: " + ", ".join(f"{seconds:.2f} s" for seconds in times))
    median = statistics.median(times)
    return verdict(f"median {median:.2f} s", f"at most {PICTURE_BAR_S:.0f} s", median <= PICTURE_BAR_S)


def picture_seconds(cells: list[str]) -> float:
    """Start a kernel, run cells until one shows a drawing; the seconds until then."""
    shown: list[float] = []

    def look(message: dict) -> None:
        if "<svg" in message["content"].get("data", {}).get("text/html", "") and not shown:
            shown.append(time.perf_counter())

    manager, start = KernelManager(), time.perf_counter()
    manager.start_kernel(cwd=str(REPO / "notebooks"), extra_arguments=["--IPKernelApp.log_level=ERROR"])
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=30)
        for cell in cells:
            reply = client.execute_interactive(cell, timeout=30, output_hook=look)
            if reply["content"]["status"] != "ok":
                raise SystemExit(f"This cell failed:\n{cell}\n{reply['content']['evalue']}")
            if shown:
                return shown[0] - start
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    raise SystemExit("The first notebook shows no drawing.")


def verdict(measured: str, bar: str, met: bool) -> bool:
    """Say whether a bar was met."""
    print(f"  {measured} (bar: {bar}): {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how many times each is measured (default 5)")
    rounds = parser.parse_args().rounds
    results = [imports(rounds), first_picture(rounds)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
