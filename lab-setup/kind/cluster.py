"""Bring up the walkthrough's kind cluster, or take it away again: python cluster.py up|down.

Touches only what carries the cluster's name: the cluster kind-test1, its workload, the image kitlib/my-nginx, and
Docker's network `kind` if this script made it.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME, IMAGE, NETWORK, LABEL = "kind-test1", "kitlib/my-nginx:1", "kind", "kitlib.cluster=kind-test1"
MODES = ("iptables", "nftables")       # of kube-proxy
NODES, PODS, SERVICES = "172.20.0.0/16", "10.244.0.0/16", "10.96.0.0/16"    # pods, Services: as in cluster.yaml
CONTEXT = ("--context", f"kind-{NAME}")
NEEDED = (
    ("docker", ("docker", "version", "--format", "{{.Client.Version}}"), (20, 10), "https://docs.docker.com/engine/install"),
    ("kind", ("kind", "version"), (0, 27), "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"),
    ("kubectl", ("kubectl", "version", "--client"), (1, 28), "https://kubernetes.io/docs/tasks/tools"),
)


class Problem(Exception):
    """Why it cannot go on: what was expected, what was found, what to do."""


def say(text: str) -> None:
    """Tell the person who waits what happens now."""
    print(f"[kit] {text}", flush=True)


def ask(*argv: str, timeout: float = 30) -> subprocess.CompletedProcess:
    """Run a command quietly."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Problem(f"No answer after {timeout:g} s: {' '.join(argv)}\nIs Docker, or the cluster, busy or stuck? "
                      "Try the command yourself.") from None


def answer(*argv: str) -> str:
    """Return what a command prints; a Problem if it fails, for then its output is no answer."""
    asked = ask(*argv)
    if asked.returncode:
        raise Problem(f"This did not work (exit code {asked.returncode}): {' '.join(argv)}\n"
                      f"It says: {asked.stderr.strip() or 'nothing'}")
    return asked.stdout


def do(*argv: str, timeout: float = 600) -> None:
    """Run a command whose output the learner sees; a Problem if it fails."""
    try:
        rc = subprocess.run(argv, timeout=timeout, check=False).returncode
    except subprocess.TimeoutExpired:
        raise Problem(f"Not finished after {timeout:g} s: {' '.join(argv)}\n"
                      "Take away what is half there: make cluster-down") from None
    if rc:
        raise Problem(f"This did not work (exit code {rc}): {' '.join(argv)}\nIts own words stand above.")


def check_programs() -> None:
    """Are docker, kind and kubectl here and new enough?"""
    for program, argv, least, where in NEEDED:
        wanted = ".".join(map(str, least))
        if not shutil.which(program):
            raise Problem(f"{program} is missing; {wanted} or newer is needed. Install it: {where}")
        said = ask(*argv).stdout
        found = re.search(r"(\d+)\.(\d+)[.\w]*", said)
        if not found:
            raise Problem(f"{' '.join(argv)} names no version; it says: {said.strip() or 'nothing'}")
        if (int(found[1]), int(found[2])) < least:
            raise Problem(f"{program} is {found[0]}; {wanted} or newer is needed. Install a newer one: {where}")


def check_docker() -> None:
    """Does Docker run, and may we use it?"""
    asked = ask("docker", "info", "--format", "{{.ServerVersion}}")
    if not asked.returncode:
        return
    if "permission denied" in asked.stderr.lower():
        raise Problem("Docker runs, but you may not use it. Join its group (sudo usermod -aG docker $USER, then log in "
                      "again), or use sudo.")
    raise Problem(f"Docker does not run: {(asked.stderr.strip().splitlines() or ['it says nothing'])[-1]}\n"
                  "Start it (Linux: sudo systemctl start docker; otherwise Docker Desktop), then try again.")


def taken_ranges() -> dict[str, str]:
    """Find the address ranges in use on this machine: range -> who uses it."""
    ids = answer("docker", "network", "ls", "--quiet").split()
    networks = json.loads(answer("docker", "network", "inspect", *ids)) if ids else []
    taken = {entry["Subnet"]: f"Docker's network {network['Name']}" for network in networks
             for entry in (network["IPAM"]["Config"] or []) if "Subnet" in entry}
    routes = json.loads(ask("ip", "-j", "route").stdout or "[]") if shutil.which("ip") else []
    for route in routes:
        if route["dst"] != "default":
            taken.setdefault(route["dst"], f"a route of this machine, by {route.get('dev', 'no interface')}")
    return taken


def clash(wanted: str, taken: dict[str, str]) -> str:
    """Say who uses a part of this range; empty if nobody does."""
    network = ipaddress.ip_network(wanted)
    found = [f"{used} is used by {who}" for used, who in taken.items()
             if ipaddress.ip_network(used, strict=False).version == 4
             and network.overlaps(ipaddress.ip_network(used, strict=False))]
    return "; ".join(found)


def check_ranges(taken: dict[str, str]) -> None:
    """Are the ranges for pods and Services free on this machine?"""
    for what, wanted in (("pods", PODS), ("Services", SERVICES)):
        if problem := clash(wanted, taken):
            raise Problem(f"The range {wanted}, wanted for {what}, is not free: {problem}.\n"
                          f"Remove that (a VPN?), or write another range into {HERE / 'cluster.yaml'}.")


def make_network(taken: dict[str, str]) -> None:
    """Make Docker's network for the nodes, with the walkthrough's addresses where they are free."""
    if not ask("docker", "network", "inspect", NETWORK).returncode:
        say(f"Using Docker's network {NETWORK!r}, which is there already.")
    elif problem := clash(NODES, taken):
        say(f"{NODES} is not free ({problem}): Docker chooses other addresses for the nodes. Everything else is as in "
            "the walkthrough, and the notebooks show the addresses that are there.")
    else:
        gateway = str(ipaddress.ip_network(NODES)[1])
        do("docker", "network", "create", NETWORK, "--subnet", NODES, "--gateway", gateway, "--label", LABEL)


def clusters() -> list[str]:
    """List the kind clusters of this machine."""
    return answer("kind", "get", "clusters").split()


def up(mode: str) -> None:
    """Bring up the cluster, with kube-proxy in this mode, and its workload; what is there already is used."""
    check_programs()
    check_docker()
    if NAME in clusters():
        say(f"The cluster {NAME} is there already: using it, in whatever mode its kube-proxy is.")
        check_answers()
    else:
        taken = taken_ranges()
        check_ranges(taken)
        make_network(taken)
        say("Making the cluster: about a minute, and a download of 400 MB the first time.")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            wanted = (HERE / "cluster.yaml").read_text()
            config.write(wanted.replace("kubeProxyMode: iptables", f"kubeProxyMode: {mode}"))
            config.flush()
            do("kind", "create", "cluster", "--config", config.name, "--wait", "120s")
    add_workload()
    add_outside()
    say("Ready. Live notebooks: KITLIB_LAB=kind make lab. Take the cluster away again: make cluster-down")


def check_answers() -> None:
    """Does the API server of the cluster that is there answer?"""
    asked = ask("kubectl", *CONTEXT, "--request-timeout=10s", "get", "nodes")
    if asked.returncode:
        raise Problem(f"The cluster {NAME} is there, but does not answer: {asked.stderr.strip().splitlines()[-1]}\n"
                      f"Are its nodes running (docker ps -a --filter name={NAME})? Start them (docker start …), or "
                      "make it anew: make cluster-down cluster")


def add_workload() -> None:
    """Start the pods that the notebooks ask, unless they are there."""
    if not ask("kubectl", *CONTEXT, "get", "deployment", "my-nginx").returncode:
        say("Its workload is there already: using it.")
        return
    if ask("docker", "image", "inspect", IMAGE).returncode:
        say("Making the pods' image (nginx with dig): about a minute.")
        do("docker", "build", "--quiet", "--tag", IMAGE, str(HERE / "image"))
    do("kind", "load", "docker-image", IMAGE, "--name", NAME)
    do("kubectl", *CONTEXT, "apply", "-f", str(HERE / "workload.yaml"))
    say("Waiting until all pods are ready.")
    do("kubectl", *CONTEXT, "wait", "--for=condition=Ready", "pod", "--all", "-A", "--timeout=180s")


def add_outside() -> None:
    """Start a container beside the nodes, no node and no pod, whose route to the Services leads through worker3."""
    called = ("docker", "ps", "--all", "--quiet", "--filter", "name=^outside$")
    there, ours = (answer(*called, *which).strip() for which in ((), ("--filter", f"label={LABEL}")))
    if there and not ours:
        say("A container called outside is there that is not the kit's: leaving it as it is.")
        return
    if not there and ask("docker", "image", "inspect", IMAGE).returncode:
        say(f"There is no image {IMAGE} here, so there is no container outside for notebook 09. It comes with a "
            "cluster whose workload make cluster made.")
        return
    say("The container beside the nodes, for notebook 09:")
    if not there:
        do("docker", "create", "--name", "outside", "--label", LABEL, "--network", NETWORK, "--cap-add", "NET_ADMIN",
           "--entrypoint", "sleep", IMAGE, "infinity")
    do("docker", "start", "outside")        # after a restart of Docker it is there, but does not run
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    gateway = answer("docker", "inspect", "--format", address, f"{NAME}-worker3").strip()
    do("docker", "exec", "outside", "ip", "route", "replace", SERVICES, "via", gateway)


def down() -> None:
    """Take away the cluster, what stands beside it, and the network if it is ours and nobody else is on it."""
    check_programs()
    check_docker()
    if NAME in clusters():
        do("kind", "delete", "cluster", "--name", NAME)
    else:
        say(f"There is no cluster {NAME}: nothing to take away.")
    for container in answer("docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}").split():
        do("docker", "rm", "--force", container)
    ours = answer("docker", "network", "ls", "--quiet", "--filter", f"label={LABEL}").split()
    for network in ours:
        if ask("docker", "network", "rm", network).returncode:
            say(f"Docker's network {NETWORK!r} stays: something else is on it.")
    say(f"The image stays for the next time; remove it with: docker image rm {IMAGE}")


def main() -> int:
    """Bring up or take away; return 1 with a message if that cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="kube-proxy's mode in a new cluster")
    started, arguments = time.monotonic(), parser.parse_args()
    os.environ.pop("KIND_CLUSTER_NAME", None)     # it would outrank the name in cluster.yaml
    try:
        if arguments.what == "up":
            up(arguments.mode)
        else:
            down()
    except Problem as problem:
        print(f"[kit] {str(problem).replace(chr(10), chr(10) + '      ')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n[kit] Interrupted. Take away what is half there: make cluster-down", file=sys.stderr)
        return 130
    say(f"Done after {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
