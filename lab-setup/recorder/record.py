"""`python -m kitlib record`: the standard tour of a live lab, written as the recorded lab plays it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kitlib.errors import KitError
from kitlib.escapes import printable
from kitlib.lab import Lab, open_lab
from kitlib.place import Pod
from recorder.scrub import scrub_and_print
from recorder.validate import lessons, run, validate_and_print

ON_NODES = ("cat /etc/resolv.conf", "ip addr", "ip link", "ip route", "ip netns list", "uname -r", "iptables --version",
            "iptables-save", "conntrack -L -p udp --dport 53", "sysctl net.ipv4.ip_forward")
IN_PODS = ("cat /etc/resolv.conf", "hostname -i", "ip addr", "ip route")
QUERIES = ("dig www.example.com", "dig {service}", "dig www.example.com AAAA",
           "dig no-such-name.example.com", "dig +tcp www.example.com", "getent ahosts www.example.com",
           "getent ahosts www.example.com.")
AT_REST = ("kubectl get nodes -o wide", "kubectl get pods -A -o wide", "kubectl get services -A", "kubectl version",
           "kubectl get endpointslices -A", "docker container ls", "kind version")


def record(out: Path, scrub: bool, pod: str, takes: int) -> int:
    """Record the lab that KITLIB_LAB names (kind by default) to a new folder; exit code 1 if it is not sound then."""
    if out.exists():
        raise KitError(f"{out} is there already. Name a new folder with --out.")
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / out.name if scrub else out.resolve()
        os.environ |= {"KITLIB_MODE": "record", "KITLIB_RECORDING": str(raw),
                       "KITLIB_LAB": os.environ.get("KITLIB_LAB") or "kind"}
        tour(open_lab(), pod, takes)
        for notebook in lessons():
            run_notebook(notebook)
        if scrub:
            return scrub_and_print(raw, out)
    return validate_and_print(out)


def tour(lab: Lab, name: str, takes: int) -> None:
    """Ask what the notebooks ask: commands at rest everywhere, then queries under capture from one pod."""
    client = lab.pod(name) if name else lab.client
    service = f"kubernetes.default.svc.{lab.domain}"
    commands = [(lab.host, words) for words in AT_REST]
    commands += [(node, words) for node in lab.nodes for words in ON_NODES]
    ends = [*(at.address for at in lab.coredns), client.address, lab.network.gateway, lab.topology.dns_service]
    commands += [(node, f"ip route get {end}") for node in lab.nodes for end in ends]    # wherever the coin falls
    commands += [(pod, words) for pod in lab.pods() if pod.namespace == client.namespace for words in IN_PODS]
    for number, (place, words) in enumerate(commands, start=1):
        step(f"{number} of {len(commands)}: {words} at {place.title}", lambda at=place, run=words: at.run(*run.split()))
    _ = lab.topology, [pod.veth for pod in lab.pods() if not pod.host_network]
    for query in [QUERIES[0]] * (takes - 1) + [*QUERIES]:
        step(f"under capture: {query}", lambda name=query: ask(lab, client, name.format(service=service)))
    step("with the kernel's rule trace", lambda: ask(lab, client, QUERIES[0], trace=True))


def ask(lab: Lab, client: Pod, query: str, trace: bool = False) -> None:
    """Ask one query under capture everywhere, then what connection tracking remembers of it."""
    with lab.capture(trace=trace):
        client.run(*query.split())
    for node in dict.fromkeys([client.node, *(pod.node for pod in lab.coredns)]):
        node.run("conntrack", "-L", "-p", "udp", "--dport", "53")


def run_notebook(path: Path) -> None:
    """Run a notebook from its first cell, as it is; what it asks is recorded because KITLIB_MODE says so."""
    from nbclient.exceptions import CellExecutionError

    try:
        step(f"notebook {path.stem}", lambda: run(path))
    except CellExecutionError as error:
        print(f"  it stopped: {str(error).strip().splitlines()[-1]}\n  Recorded as far as it went.")


def step(what: str, do: Callable[[], object]) -> None:
    """Say what is done now and how long it took; a lab that cannot do it says why, and the tour goes on."""
    print(printable(what), end=" … ", flush=True)
    started = time.monotonic()
    try:
        do()
        print(f"{time.monotonic() - started:.1f} s")
    except KitError as error:
        print(f"left out: {str(error).splitlines()[0]}")
