"""The kind lab: a live kind cluster of your own. Nodes by `docker exec`, pods by `kubectl exec`, captures from outside.

Closing `docker exec` or `kubectl exec` does not end what runs at the other side. So commands run there under `timeout`,
and captures run on this machine, in the place's network namespace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import takewhile

from kind_lab.tools import Tools, is_listener, pod_and_namespace, require_name
from kitlib.backends import CaptureData
from kitlib.errors import KitError, PlaceGone, TimedOut
from kitlib.result import Result, typed_on_host
from kitlib.sighting import DNS_PORT, VantagePoint
from live_labs.lab import LiveLab
from live_labs.rule_trace import sweep
from live_labs.shell import Completed, has, run

ANSWER_S = 20       # what kubectl and docker themselves may take
COMMAND_S = 60      # what a command at a place may take
# Options of kubectl that name a cluster; -s may stand behind others, with its value at once: -Ashttp://127.0.0.1.
OTHER_CLUSTER = re.compile(r"--(?:context|cluster|kubeconfig|server|user|token)(?:=.*)?|-[A-Zfhiqptw]*s.*", re.S)
GONE = re.compile(r"^Error from server \(NotFound\): (pods|nodes) |^error: .*unable to upgrade connection: container "
                  r"not found|^Error.*(No such container|is not running)|cannot exec .* in a completed pod", re.M)
SILENT = re.compile(r"^Unable to connect to the server|^The connection to the server .* was refused|^Error from server "
                    r"\(Timeout\)|^error: .*(deadline exceeded|i/o timeout|handshake timeout|connection refused)", re.M)
LACKING = re.compile(r'exec: "[^"]*": (executable file not found|stat .*no such file)|^timeout: failed to run|'
                     r'^nsenter: failed to execute', re.M)


def open_backend() -> KindLab:
    """Open the cluster that KITLIB_CLUSTER names, or kubectl's current context. Raises KitError: what is missing."""
    context = run(["kubectl", "config", "current-context"], ANSWER_S)
    current = "" if context.rc else context.stdout.strip()
    chosen = os.environ.get("KITLIB_CLUSTER")
    if not chosen and not current.startswith("kind-"):
        raise KitError("The kind lab needs a kind cluster, and kubectl's current context is "
                       f"{current or f'not set ({context.stderr.strip()})'}. Name your cluster: KITLIB_CLUSTER=NAME "
                       "(kind get clusters), or bring one up: make cluster")
    name = require_name("container", chosen or current.removeprefix("kind-"))
    label = f"label=io.x-k8s.kind.cluster={name}"
    listing = run(["docker", "ps", "--filter", label, "--format", "{{.Names}}"], ANSWER_S)
    if listing.rc:
        raise KitError(f"Docker does not answer: {listing.stderr.strip()} Start it, or join its group.")
    nodes = listing.stdout.split()
    if not nodes:
        raise KitError(f"No node of a kind cluster {name!r} is running here. Bring it up: make cluster, or choose "
                       "another: KITLIB_CLUSTER=NAME (kind get clusters).")
    lab = KindLab(name, is_current=current == f"kind-{name}")
    for node in nodes:
        with suppress(KitError):      # a node without iptables has none of our TRACE rules either
            sweep(lab, f"node:{node}")
    return lab


class KindLab(LiveLab):
    """The backend of `open_lab("kind")`: runs commands in nodes and pods, and captures at their interfaces."""

    def __init__(self, cluster: str, is_current: bool = True, ask: Callable[..., Completed] = run,
                 has: Callable[[str], bool] = has) -> None:
        super().__init__("kind", self._reach, self._typed, COMMAND_S + 5)
        self.cluster, self.is_current, self._ask = cluster, is_current, ask
        self.tools = Tools(self._answer, has)
        self._bounded: dict[str, bool] = {}

    def __str__(self) -> str:
        return f"the kind lab: the cluster {self.cluster}, live; {self.tools.description}"

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place; if the place lacks the program, this machine's in the place's network namespace."""
        try:
            result = super().run(place, argv)
        except TimedOut as error:
            self._forget()
            raise TimedOut(f"{self._typed(place, argv)}: no end after {COMMAND_S} s. Does the API server answer? Try: "
                           f"kubectl --request-timeout=5s get nodes. ({error})") from None
        if result.rc and LACKING.search(result.stderr) and (entered := self.tools.borrow(place, argv)):
            outcome = self._ask(entered, self.timeout)
            return Result(self._typed("host", entered), argv, outcome.rc, outcome.stdout, outcome.stderr,
                          f"{place} has no {argv[0]}: that of {self.tools.whose} ran in its network namespace")
        if result.rc:
            self._complain(place, result.stderr)
        return result

    @contextmanager
    def capture(self, points: Sequence[VantagePoint], traced: Sequence[str] = (), ports: Sequence[int] = (DNS_PORT,)
                ) -> Iterator[CaptureData]:
        """Listen at all the points while the block runs: see LiveLab.capture."""
        self.tools.where.refresh()
        try:
            with self._listening(points, traced, ports) as data:
                yield data
        finally:
            self.tools.sweep()

    def _listening(self, points: Sequence[VantagePoint], traced: Sequence[str], ports: Sequence[int]
                   ) -> AbstractContextManager[CaptureData]:
        return super().capture(points, traced, ports)

    def _reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        if argv[0].startswith("-"):
            raise KitError(f"A command begins with a program, and {argv[0]!r} looks like an option.")
        if is_listener(argv):
            return self.tools.listen(place, argv)
        kind, _, name = place.partition(":")
        if kind == "host":
            return self._on_host(argv)
        if kind != "pod":
            return ("docker", "exec", require_name("container", name), "timeout", str(COMMAND_S), *argv)
        pod, namespace = pod_and_namespace(name)
        reach = (*self._kubectl(), "-n", namespace, "exec", pod, "--")
        if place not in self._bounded:      # many an image has no `timeout`; it has no endless program either
            probe = self._ask((*reach, "timeout", "1", "true"), ANSWER_S + 5)
            self._complain(place, probe.stderr if probe.rc else "")
            self._bounded[place] = probe.rc == 0
        return (*reach, "timeout", str(COMMAND_S), *argv) if self._bounded[place] else (*reach, *argv)

    def _on_host(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        if argv[0] != "kubectl":
            return argv
        for option in takewhile(lambda word: word != "--", argv):
            if OTHER_CLUSTER.fullmatch(option):
                raise KitError(f"This lab is the cluster {self.cluster}, and {option} may name another: leave it out, "
                               "or type the command in a terminal.")
        return (*self._kubectl(), *argv[1:])

    def _kubectl(self) -> tuple[str, ...]:
        return ("kubectl", "--context", f"kind-{self.cluster}", f"--request-timeout={ANSWER_S}s")

    def _typed(self, place: str, argv: tuple[str, ...]) -> str:
        if is_listener(argv):
            return typed_on_host("host", self.tools.listen(place, argv, shown=True))
        typed = typed_on_host(place, argv)
        other = "" if self.is_current else f" --context kind-{self.cluster}"
        return re.sub("^kubectl", f"kubectl{other}", typed)

    def _answer(self, argv: tuple[str, ...]) -> str:
        """Return what docker or kubectl print. Raises KitError if they fail."""
        argv = self._on_host(argv)
        outcome = self._ask(argv, ANSWER_S + 5)
        if outcome.rc:
            self._complain(" ".join(argv[-2:]), outcome.stderr)
            raise KitError(f"{' '.join(argv)} failed: {outcome.stderr.strip()}")
        return outcome.stdout

    def _complain(self, place: str, stderr: str) -> None:
        """Raise the one error for a place that is gone, or for an API server that does not answer."""
        if GONE.search(stderr):
            self._forget()
            raise PlaceGone(f"{place} is not there any more (restarted, stopped or deleted): {stderr.strip()}\n"
                            "Find its successor with lab.pod(NAME) or lab.node(NAME); the lab itself can be used on.")
        if SILENT.search(stderr):
            raise KitError(f"The API server of {self.cluster} does not answer: {stderr.strip().splitlines()[-1]}\n"
                           f"Is its node running? docker ps -a --filter name={self.cluster}-control-plane")

    def _forget(self) -> None:
        self._bounded.clear()
        self.tools.where.refresh()
