"""What the kubernetes lab makes in a cluster: asked for first, named and labelled, ended by itself, taken away.

A node is reached by `kubectl debug node/NAME --profile=sysadmin`: its network, its processes, its files under /proc/1.
Where that is not allowed, the client's pod is listened at from an ephemeral container.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from kitlib.backends.kind_tools import require_name
from kitlib.backends.rule_trace import session_name
from kitlib.errors import KitError, NoAccess
from kitlib.shell import Completed
from kubernetes_lab.refusals import refusal

LABEL = "kitlib.session"        # its value is the session's id …
CONTAINER = "kitlib-"           # … and so our containers' names begin, from the moment that they are made
IMAGE = "nicolaka/netshoot:v0.13"
LIFE_S = 900                    # a helper ends by itself then, whatever happens here
START_S = 60
POLL_S = 0.5
FAILED = re.compile(r"ErrImage|ImagePullBackOff|InvalidImageName|CreateContainer\w*Error|\"terminated\"")
PLAN = """The kubernetes lab makes a pod on each of {nodes}, and nothing else:
  what    kubectl debug node/NAME --profile=sysadmin --image={image}   (pulled on the node if it is not there)
  where   namespace {namespace}, context {context}
  rights  privileged, in the node's network and process namespaces: it can see and do all that root can on that node
  end     taken away when this Python ends; ends by itself after 15 minutes; leftovers: python -m kitlib cleanup
It changes no Service and no pod. Only with trace=True it puts TRACE rules into the nodes' raw
tables, and takes them out. Where such a pod is not allowed, it adds an ephemeral container of this image to the
client's pod instead: that ends as these do, but stays in the pod's list of containers."""
# What a helper runs. At its end, of its own accord or when it is deleted, no TRACE rule of ours is left on the node.
LIFE = "end() {{ {last}; exit; }}; trap end TERM INT; sleep {seconds} & wait; end"
SWEEP = """nsenter --target 1 --mount --net -- sh -c '{{ echo "*raw"; iptables-save -t raw | sed -n "/{name}/s/^-A/-D/p"
echo COMMIT; }} | iptables-restore --noflush; nft delete table inet {name}' >/dev/null 2>&1"""
Ask = Callable[..., Completed]


class Helpers:
    """The helpers of one session: a pod on a node, or a container in a pod, each made when it is first needed."""

    def __init__(self, context: str, ask: Ask, consent: bool) -> None:
        self.context, self._ask, self._consent = context, ask, consent
        self.image = os.environ.get("KITLIB_TOOLS_IMAGE") or IMAGE
        self.namespace = require_name("pod", os.environ.get("KITLIB_NAMESPACE") or "default")
        self.session = uuid.uuid4().hex[:8]
        self.container = f"{CONTAINER}{self.session}"
        self._reach: dict[str, tuple[str, ...] | NoAccess] = {}
        self._has_pods = False
        if self.image.startswith("-"):
            raise KitError(f"KITLIB_TOOLS_IMAGE names an image, and {self.image!r} looks like an option.")

    @property
    def kubectl(self) -> tuple[str, ...]:
        """Return how every command of ours begins."""
        return ("kubectl", f"--context={self.context}", "--request-timeout=20s")

    def at_node(self, node: str) -> tuple[str, ...]:
        """Return the argv before a program that runs in this node's helper. Raises NoAccess, each time."""
        return self._once(node, lambda: self._make_pod(require_name("pod", node)))

    def in_pod(self, namespace: str, pod: str) -> tuple[str, ...]:
        """Return the argv before a program that runs in a pod's network, beside its containers. Raises NoAccess."""
        return self._once(f"{namespace}/{pod}", lambda: self._make_container(namespace, pod))

    def _once(self, where: str, make: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        if where not in self._reach:
            atexit.register(self._end_at_exit)
            try:
                self._reach[where] = make()
            except NoAccess as error:
                self._reach[where] = error
        found = self._reach[where]
        if isinstance(found, NoAccess):
            raise found
        return found

    def forget(self) -> None:
        """Make a helper anew when it is next needed: it may have ended; `end` takes both away."""
        self._reach.clear()

    def end(self) -> None:
        """Take away what this session has made. Raises NoAccess."""
        atexit.unregister(self._end_at_exit)
        reached = [reach for where, reach in self._reach.items() if "/" in where and isinstance(reach, tuple)]
        self._reach.clear()
        for reach in reached:
            end_container(self._ask, reach)
        if self._has_pods:
            remove(self._ask, self.kubectl, "-n", self.namespace, f"--selector={LABEL}={self.session}")

    def _end_at_exit(self) -> None:
        try:
            self.end()
        except KitError as error:
            print(f"{error}\nWhat is left ends by itself within 15 minutes.", file=sys.stderr)

    def _make_pod(self, node: str) -> tuple[str, ...]:
        doing, life = f"A helper pod on {node}", LIFE.format(last=SWEEP.format(name=session_name()), seconds=LIFE_S)
        text = self._step(doing, self.namespace, "debug", f"node/{node}", "--profile=sysadmin",
                          f"--container={self.container}", f"--image={self.image}", "--", "sh", "-c", life)
        if not (found := re.search(r"pod (\S+)", text)):
            raise KitError(f"kubectl debug did not say which pod it made on {node}; it said: {text.strip()}")
        pod, self._has_pods = require_name("pod", found[1]), True
        try:
            mark = {"metadata": {"labels": {LABEL: self.session}}, "spec": {"activeDeadlineSeconds": LIFE_S}}
            self._step(doing, self.namespace, "patch", "pod", pod, "--patch", json.dumps(mark))
            self._wait(doing, self.namespace, pod, "containerStatuses")
        except BaseException:       # a Ctrl-C too: it may not have its label yet
            with suppress(KitError):
                remove(self._ask, self.kubectl, "-n", self.namespace, pod)
            raise
        return (*self.kubectl, "-n", self.namespace, "exec", pod, "--")

    def _make_container(self, namespace: str, pod: str) -> tuple[str, ...]:
        doing = f"An ephemeral container in {namespace}/{pod}"
        self._step(doing, namespace, "debug", f"pod/{pod}", "--profile=baseline", f"--container={self.container}",
                   f"--image={self.image}", "--", "sh", "-c", LIFE.format(last=":", seconds=LIFE_S))
        self._wait(doing, namespace, pod, "ephemeralContainerStatuses")
        return (*self.kubectl, "-n", namespace, "exec", pod, f"--container={self.container}", "--")

    def _wait(self, doing: str, namespace: str, pod: str, kind: str) -> None:
        """Wait until our container runs, and may be entered. Raises NoAccess, with what it waits for."""
        get = ("get", "pod", pod, "-o", f"jsonpath={{.status.{kind}[?(@.name=={json.dumps(self.container)})].state}}")
        end, state = time.monotonic() + START_S, ""
        while '"running"' not in state:
            state = self._step(doing, namespace, *get)
            if FAILED.search(state) or time.monotonic() > end:
                raise self._refusal(doing, f"timed out waiting: {state}", namespace)
            time.sleep(POLL_S)
        self._step(doing, namespace, "exec", pod, f"--container={self.container}", "--", "true")

    def _step(self, doing: str, namespace: str, *words: str) -> str:
        outcome = self._ask((*self.kubectl, "-n", namespace, *words), START_S)
        if outcome.rc:
            raise self._refusal(doing, outcome.stderr, namespace)
        return outcome.stdout + outcome.stderr

    def _refusal(self, doing: str, stderr: str, namespace: str) -> NoAccess:
        return refusal(doing, stderr, self.kubectl[:2], namespace, self.image)

    def require_consent(self, nodes: Sequence[str]) -> None:
        """Ask once on a terminal. Raises KitError: what would be made, and how to agree to it."""
        if self._consent or os.environ.get("KITLIB_CONSENT") == "yes":
            return
        plan = PLAN.format(nodes=", ".join(nodes), image=self.image, namespace=self.namespace, context=self.context)
        if not (sys.stdin and sys.stdin.isatty()):
            raise KitError(f'{plan}\nTo agree: open_lab("kubernetes", consent=True), --yes, or KITLIB_CONSENT=yes.')
        print(plan)
        if input("Go ahead? [y/N] ").strip().lower() not in ("y", "yes"):
            raise KitError("Nothing was made.")


def remove(ask: Ask, kubectl: Sequence[str], *which: str) -> str:
    """Delete these pods; return kubectl's list of them. Raises NoAccess."""
    outcome = ask((*kubectl, "delete", "pods", *which, "--grace-period=5", "--wait=false"), START_S)
    if outcome.rc:
        raise refusal("Taking our pods away", outcome.stderr, kubectl[:2])
    return outcome.stdout


def end_container(ask: Ask, reach: Sequence[str]) -> bool:
    """End an ephemeral container of ours, and say whether it still ran: `reach` is the argv before its programs."""
    return ask((*reach, "sh", "-c", "kill 1"), START_S).rc == 0
