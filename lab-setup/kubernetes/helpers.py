"""The pods that the kubernetes lab makes on nodes: asked for first, labelled, ended by themselves, taken away.

A node is reached by `kubectl debug node/NAME --profile=sysadmin`: its network, its processes, its files under /proc/1.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import uuid
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kitlib.backends.kind_tools import require_name
from kitlib.errors import KitError
from kitlib.shell import Completed, run
from kubernetes_lab.refusals import refusal

LABEL = "kitlib.session"        # its value is the session's id
IMAGE = "nicolaka/netshoot:v0.13"
LIFE_S = 900                    # a helper ends by itself then, whatever happens here
START_S = 60
PLAN = """The kubernetes lab makes a pod on each of {nodes}, and nothing else:
  what    kubectl debug node/NAME --profile=sysadmin --image={image}   (pulled on the node if it is not there)
  where   namespace {namespace}, context {context}
  rights  privileged, in the node's network and process namespaces: it can see and do all that root can on that node
  end     taken away when this Python ends; ends by itself after 15 minutes; leftovers: python -m kitlib cleanup
It changes no Service and no pod. Only with trace=True it puts TRACE rules into the nodes' raw
tables, and takes them out."""
Ask = Callable[..., Completed]


class Helpers:
    """The helper pods of one session, by node; each is made when it is first needed."""

    def __init__(self, context: str, ask: Ask, consent: bool) -> None:
        self.context, self._ask, self._consent = context, ask, consent
        self.image = os.environ.get("KITLIB_TOOLS_IMAGE") or IMAGE
        self.namespace = require_name("pod", os.environ.get("KITLIB_NAMESPACE") or "default")
        self.session = uuid.uuid4().hex[:8]
        self._reach: dict[str, tuple[str, ...]] = {}
        if self.image.startswith("-"):
            raise KitError(f"KITLIB_TOOLS_IMAGE names an image, and {self.image!r} looks like an option.")

    @property
    def kubectl(self) -> tuple[str, ...]:
        """Return how every command of ours begins."""
        return ("kubectl", f"--context={self.context}", "--request-timeout=20s")

    def at_node(self, node: str) -> tuple[str, ...]:
        """Return the argv before a program that runs in this node's helper. Raises Refused."""
        if node not in self._reach:
            self._reach[node] = self._make(require_name("pod", node))
        return self._reach[node]

    def forget(self) -> None:
        """Make a helper anew when it is next needed: it may have ended; `end` takes both away."""
        self._reach.clear()

    def end(self) -> None:
        """Take away the pods of this session."""
        atexit.unregister(self.end)
        self._reach.clear()
        remove(self._ask, self.kubectl, ("-n", self.namespace), f"{LABEL}={self.session}")

    def _make(self, node: str) -> tuple[str, ...]:
        atexit.register(self.end)
        doing = f"A helper pod on {node}"
        text = self._step(doing, self.namespace, "create pods", "debug", f"node/{node}", "--profile=sysadmin",
                          f"--image={self.image}", "--", "sleep", str(LIFE_S))
        if not (found := re.search(r"pod (\S+)", text)):
            raise KitError(f"kubectl debug did not say which pod it made on {node}; it said: {text.strip()}")
        pod = require_name("pod", found[1])
        try:
            mark = {"metadata": {"labels": {LABEL: self.session}}, "spec": {"activeDeadlineSeconds": LIFE_S}}
            self._step(doing, self.namespace, "patch pods", "patch", "pod", pod, "--patch", json.dumps(mark))
            self._wait(doing, pod)
        except BaseException:       # a Ctrl-C too: it may not have its label yet
            with suppress(KitError):
                self._ask((*self.kubectl, "-n", self.namespace, "delete", "pod", pod, "--wait=false"), START_S)
            raise
        return (*self.kubectl, "-n", self.namespace, "exec", pod, "--")

    def _wait(self, doing: str, pod: str) -> None:
        """Wait until the pod is ready. Raises Refused, with what its container waits for."""
        wait = ("wait", "--for=condition=Ready", f"pod/{pod}", f"--timeout={START_S}s")
        kubectl = ("kubectl", f"--context={self.context}", "-n", self.namespace)      # --request-timeout would end it
        outcome = self._ask((*kubectl, *wait), START_S + 5)
        if outcome.rc:
            reason = self._ask((*kubectl, "--request-timeout=20s", "get", "pod", pod, "-o",
                                "jsonpath={.status.containerStatuses[*].state.waiting.reason}"), START_S)
            raise self._refusal(doing, f"{outcome.stderr.strip()} {reason.stdout}", self.namespace, "create pods/exec")

    def _step(self, doing: str, namespace: str, right: str, *words: str) -> str:
        outcome = self._ask((*self.kubectl, "-n", namespace, *words), START_S)
        if outcome.rc:
            raise self._refusal(doing, outcome.stderr, namespace, right)
        return outcome.stdout + outcome.stderr

    def _refusal(self, doing: str, stderr: str, namespace: str, right: str) -> KitError:
        return refusal(doing, stderr, namespace=namespace, image=self.image,
                       can_i=f"kubectl --context={self.context} -n {namespace} auth can-i {right}")

    def require_consent(self, nodes: Sequence[str]) -> None:
        """Ask once on a terminal. Raises KitError: what would be made, and how to agree to it."""
        if self._consent or os.environ.get("KITLIB_CONSENT") == "yes":
            return
        plan = PLAN.format(nodes=", ".join(nodes), image=self.image, namespace=self.namespace, context=self.context)
        if not (sys.stdin and sys.stdin.isatty()):
            raise KitError(f'{plan}\nTo agree: open_lab("kubernetes", consent=True), or KITLIB_CONSENT=yes.')
        print(plan)
        if input("Go ahead? [y/N] ").strip().lower() not in ("y", "yes"):
            raise KitError("Nothing was made.")


def remove(ask: Ask, kubectl: tuple[str, ...], scope: tuple[str, ...], selector: str) -> str:
    """Delete the pods with this label; return kubectl's list of them. Raises Refused."""
    outcome = ask((*kubectl, "delete", "pods", *scope, f"--selector={selector}", "--grace-period=1", "--wait=false"),
                  START_S)
    if outcome.rc:
        raise refusal("Taking our pods away", outcome.stderr, namespace="", image="",
                      can_i="kubectl auth can-i delete pods -A")
    return outcome.stdout


def add_commands(parent: Any) -> None:
    """Give the kit's command line (argparse's subparsers) the subcommand `cleanup`."""
    command = parent.add_parser("cleanup", help="take away the pods that the kubernetes lab has left, by their label")
    command.add_argument("--context", help="the cluster (default: kubectl's current context)")
    command.set_defaults(do=_cleanup)


def _cleanup(arguments: Namespace) -> int:
    context = (f"--context={arguments.context}",) if arguments.context else ()
    removed = remove(run, ("kubectl", *context), ("-A",), LABEL).strip()
    print("Nothing was left." if removed in ("", "No resources found") else removed)
    return 0
