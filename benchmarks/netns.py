"""The netns lab: how long until it is ready and gone again, until a command has answered; a hundred times over."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from kitlib.lab import Lab
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import LAB, parse, read
from netns_lab.holder import NamespaceHolder

POD = """
[[pods]]
metadata = {{ namespace = "default", name = "more-{number}" }}
spec = {{ nodeName = "kind-test1-worker2", dnsPolicy = "ClusterFirst" }}
status = {{ podIP = "10.244.3.{number}" }}
"""
KIND_S = 54         # `kind create cluster` with four nodes, on a machine of two cores


def main() -> int:
    """Measure and print; exit code 1 if it was not ready within 1 s, or not gone within 0.5 s, half of the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100, help="how often it goes up and down (%(default)s)")
    times = parser.parse_args().times
    ups, downs = [], []
    for number in range(times):
        seconds, holder = timed(lambda: up(read(), "benchmark"))
        ups.append(seconds)
        if number == 0:
            commands(holder)
        downs.append(timed(holder.end)[0])
    ready, gone = statistics.median(ups), statistics.median(downs)
    print(f"a pod more:       {pod_added():.3f} s")
    print(f"ready: {ready:.2f} s (slowest of {times}: {max(ups):.2f} s); kind create cluster: {KIND_S} s, "
          f"{KIND_S / ready:.0f} times as long")
    print(f"gone:  {gone:.3f} s (slowest: {max(downs):.3f} s)")
    return 0 if ready < 1 and gone < 0.5 else 1


def pod_added(pods: int = 20) -> float:
    """The seconds that one more pod costs: a lab with so many more, against one without, fastest of three each."""
    more = "".join(POD.format(number=number) for number in range(2, pods + 2))
    seconds = []
    for text in (LAB.read_text(), LAB.read_text() + more):
        builds = []
        for _ in range(3):
            took, holder = timed(lambda text=text: up(parse(text), "benchmark"))
            holder.end()
            builds.append(took)
        seconds.append(min(builds))
    return (seconds[1] - seconds[0]) / pods


def commands(holder: NamespaceHolder) -> None:
    """One command, one query, one capture at every vantage point."""
    lab = Lab(NetnsLab(holder))
    pod = lab.pod("my-nginx")
    print(f"ip addr in a pod: {timed(lambda: pod.run('ip', 'addr'))[0] * 1000:.0f} ms")
    print(f"dig in a pod:     {timed(lambda: pod.dig('www.example.com'))[0] * 1000:.0f} ms")

    def everywhere() -> None:
        with lab.capture() as seen:
            pod.dig("www.example.com")
        print(f"{len(seen.points)} vantage points, {len(seen.sightings)} sightings")

    everywhere()        # loads what dissects packets
    print(f"dig with a capture everywhere: {timed(everywhere)[0]:.2f} s")


def timed(work: Callable) -> tuple[float, object]:
    """How many seconds it took, and what it gave."""
    started = time.monotonic()
    result = work()
    return time.monotonic() - started, result


if __name__ == "__main__":
    sys.exit(main())
