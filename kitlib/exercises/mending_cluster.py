"""What kubectl and docker would change: Kubernetes brings back what it had before something was broken."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from kitlib.errors import NotRecorded, ParseError
from kitlib.exercises.answers import WHAT
from kitlib.exercises.mending import Answers
from kitlib.exercises.mending_rules import SAVED, tables_of, text_of
from kitlib.exercises.mending_tables import FLOWS, ROUTES

if TYPE_CHECKING:
    from kitlib.lab import Lab
    from kitlib.place import Pod

SLICES = ("kubectl", "get", "endpointslices", "-A", "-o", "json")
CONTAINERS = ("docker", "container", "ls")


def kubectl(lab: Lab, place: str, words: list[str]) -> Answers:
    """Scaling or restarting CoreDNS or kube-proxy, or deleting one of their pods."""
    said = " ".join(words).replace("deployments/", "deployment ").replace("deployment/", "deployment ")
    said = re.sub(r"\b(deploy|deployments?|deployment\.apps|daemonsets?|ds|pods?|po)[ /]", "", said)
    replicas = re.search(r"--replicas[= ](\d+)", said)
    if "kube-system" not in said:
        raise ParseError(WHAT, "the namespace of CoreDNS and kube-proxy: -n kube-system", said)
    if "scale" in words and "coredns" in words[-2:] + said.split() and replicas:
        return _healthy(lab, SLICES) | _pod_routes(lab) | synced(lab) if int(replicas[1]) else {}
    if "kube-proxy" in said and ("restart" in words or "delete" in words):
        return synced(lab, [pod.node.id for pod in lab.pods("kube-proxy") if pod.name in said])
    if "restart" in words and "coredns" in said:
        return replaced(lab, lab.coredns)
    if "delete" in words:
        return replaced(lab, [at for at in lab.coredns if at.name in said or "k8s-app=kube-dns" in said])
    raise ParseError(WHAT, "scale or rollout restart of coredns, rollout restart of kube-proxy, or delete pod",
                     shlex.join(["kubectl", *words]))


def docker(lab: Lab, place: str, words: list[str]) -> Answers:
    """`docker start|restart|unpause CONTAINER`."""
    lines = lab.run("host", CONTAINERS).stdout.splitlines()
    words = words[1:] if words[:1] == ["container"] else words
    if len(words) != 2 or words[0] not in ("start", "restart", "unpause"):
        raise ParseError(WHAT, "docker exec, start, restart or unpause, and a container", " ".join(words))
    if words[1] not in [line.split()[-1] for line in lines]:
        raise ParseError(WHAT, "a container that `docker container ls` shows", words[1])
    running = [line.replace("(Paused)", "") if line.split()[-1] == words[1] else line for line in lines]
    return {("host", CONTAINERS): "\n".join(running) + "\n"}


def _healthy(lab: Lab, argv: tuple[str, ...]) -> Answers:
    """What this command said, everywhere, before something was broken."""
    from kitlib.recording import load

    recording = getattr(_first(lab.backend), "recording", None)
    if recording is None:
        raise NotRecorded("Only the recorded lab knows how it was before; on this lab run the command itself.")
    return {key: fact.stdout for key, fact in load(recording.folder).facts.items() if key[1] == argv}


def _first(backend):
    while hasattr(backend, "_behind"):
        backend = backend._behind.backend
    return backend


def _pod_routes(lab: Lab) -> Answers:
    """Each node has a route to each of its pods again; all other routes are as they are now."""
    changed: Answers = {}
    for (place, argv), text in _healthy(lab, ROUTES).items():
        now = lab.run(place, argv).stdout
        back = [line for line in text.splitlines() if re.match(r"[\d.]+ dev", line) and line not in now]
        changed[place, argv] = now + "".join(f"{line}\n" for line in back)
    return changed


def synced(lab: Lab, nodes: Sequence[str] = ()) -> Answers:
    """kube-proxy writes its chains anew on these nodes (on all, if none is named); what others have written stays."""
    changed: Answers = {}
    for (place, argv), text in _healthy(lab, SAVED).items():
        if nodes and place not in nodes:
            continue
        now, then = tables_of(lab.run(place, SAVED).stdout), tables_of(text)
        tables = {table: [line for line in then.get(table, ()) if "KUBE-" in line]
                  + [line for line in lines if "KUBE-" not in line] for table, lines in now.items()}
        for table, lines in tables.items():
            tables[table] = sorted(lines, key=lambda line: not line.startswith(":"))
        changed[place, argv] = text_of(tables)
    return changed


def replaced(lab: Lab, pods: Sequence[Pod]) -> Answers:
    """New pods with new addresses stand in endpoints, routes and rules; kube-proxy clears the flows to the old."""
    texts = {("host", SLICES): lab.run("host", SLICES).stdout,
             **{(node.id, argv): node.run(*argv).stdout for node in lab.nodes for argv in (SAVED, ROUTES)}}
    flows = {(node.id, FLOWS): node.run(*FLOWS).stdout.splitlines() for node in lab.nodes}
    taken = {pod.address for pod in lab.pods()}
    for pod in pods:
        fresh = next(address for step in range(1, 250) if (address := str(ip_address(pod.address) + step)) not in taken)
        taken.add(fresh)
        texts = {key: re.sub(rf"\b{re.escape(pod.address)}\b", fresh, text) for key, text in texts.items()}
        flows = {key: [line for line in lines if f"src={pod.address} " not in line] for key, lines in flows.items()}
    return texts | {key: "".join(f"{line}\n" for line in lines) for key, lines in flows.items()}
