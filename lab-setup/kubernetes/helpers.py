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
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from textwrap import shorten

from kind_lab.tools import require_name
from kitlib.errors import Denied, KitError, NoAccess, TimedOut
from live_labs.rule_trace import session_name
from live_labs.shell import Completed

LABEL = "kitlib.session"        # its value is the session's id …
CONTAINER = "kitlib-"           # … and so our containers' names begin, from the moment that they are made
IMAGE = "nicolaka/netshoot:v0.13"
LIMIT_S = 900                   # a helper is gone by then, whatever happens here …
LIFE_S = 800                    # … for its program ends by itself so long after its start, which may take START_S
START_S = 60
GRACE_S = 60                    # to be told to end, and for the last that it does, on a busy node
SIGNAL = "USR1"                 # ends it
POLL_S = 0.5
FAILED = re.compile(r"ErrImage|ImagePullBackOff|InvalidImageName|CreateContainer\w*Error|\"terminated\"")
PLAN = """The kubernetes lab makes a pod on each of {nodes}, and nothing else:
  what    kubectl debug node/NAME --profile=sysadmin --image={image}   (pulled on the node if it is not there)
  where   namespace {namespace}, context {context}
  rights  privileged, in the node's network and process namespaces: it can see and do all that root can on that node
  end     taken away when this Python ends; else the cluster itself does it, after 15 minutes at the latest, for each
          is deleted as soon as it runs, with so long a grace period; sooner: python -m kitlib cleanup
It changes no Service and no pod. Only with trace=True it puts TRACE rules into the nodes' raw
tables, and takes them out. Where such a pod is not allowed, it adds an ephemeral container of this image to the
client's pod instead: that ends as these do, but stays in the pod's list of containers."""
# What a helper runs. A pod that is deleted gets SIGTERM at once, and SIGKILL when its grace period is over: ours goes
# on until it is told to end, or its time is up. At its end no TRACE rule of ours is left on the node.
LIFE = "end() {{ {last}; exit 0; }}; trap '' TERM; trap end {signals}; sleep {seconds} & wait; end"
SWEEP = """nsenter --target 1 --mount --net -- sh -c '{{ echo "*raw"; iptables-save -t raw | sed -n "/{name}/s/^-A/-D/p"
echo COMMIT; }} | iptables-restore --noflush; nft delete table inet {name}' >/dev/null 2>&1"""
# What kubectl prints, and what that means. {can_i} is the command that asks for the right.
REASONS = (
    (r"violates PodSecurity", "Pod Security does not admit it in the namespace {namespace}. To see it: kubectl get "
     "namespace {namespace} --show-labels. Helper pods can be made in another: KITLIB_NAMESPACE=NAME."),
    (r"\(Forbidden\)|forbidden:", "Your account may not do this. To see it: {can_i}."),
    (r"unknown profile|invalid profile|unknown flag: --profile|profile .*(not supported|must be)",
     "This kubectl does not know the profile it was given: kubectl 1.30 or newer does. To see yours: kubectl version."),
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull",
     "The node could not pull the image {image}. Name one that it has or can pull: KITLIB_TOOLS_IMAGE=IMAGE."),
    (r"Unable to connect|was refused|\(Timeout\)|deadline exceeded|i/o timeout|handshake timeout|no such host",
     "The API server does not answer. To see it: kubectl --request-timeout=5s auth can-i create pods."),
    (r"\(NotFound\)", "That is not there. To see what is: kubectl get nodes; kubectl get pods -A."),
    (r"timed out waiting", "The pod was not ready in time; the image {image} may still be on its way, or the node is "
     "full. To see it: kubectl -n {namespace} get events."),
)
LONGEST = 240       # of what kubectl said
DENIALS = 3         # the first of them: another way may be allowed
# kubectl's own words for a right that is missing: the verb, the resource and its subresource, where.
MISSING = re.compile(r'cannot (\w+) resource "(\w+)/?(\w*)" in API group "[^"]*" (?:in the namespace "([^"]+)")?')
# A line for each pod: namespace, name, its containers; then its ephemeral ones.
LISTING = ('jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.containers[*].name}|'
           '{.spec.ephemeralContainers[*].name}{"\\n"}{end}')
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
            end_container(self._ask, reach, self.container)
        if self._has_pods:
            clean_up(self._ask, self.kubectl, self.container, "-n", self.namespace)

    def _end_at_exit(self) -> None:
        try:
            self.end()
        except KitError as error:
            print(f"{error}\nWhat is left ends by itself within 15 minutes.", file=sys.stderr)

    def _make_pod(self, node: str) -> tuple[str, ...]:
        doing, sweep = f"A helper pod on {node}", SWEEP.format(name=session_name())
        delete = ("delete", "pods", "--wait=false")
        self._step(doing, self.namespace, *delete, "--ignore-not-found", self.container)    # may we? there is none yet
        self._has_pods = True
        try:
            text = self._step(doing, self.namespace, "debug", f"node/{node}", "--profile=sysadmin",
                              *self._program(sweep))
            if not (found := re.search(r"pod (\S+)", text)):
                raise KitError(f"kubectl debug did not say which pod it made on {node}; it said: {text.strip()}")
            pod = require_name("pod", found[1])
            mark = {"metadata": {"labels": {LABEL: self.session}}, "spec": {"activeDeadlineSeconds": LIMIT_S}}
            self._step(doing, self.namespace, "patch", "pod", pod, "--patch", json.dumps(mark))
            self._wait(doing, self.namespace, pod, "containerStatuses")
            self._step(doing, self.namespace, *delete, f"--grace-period={LIFE_S + GRACE_S}", pod)
        except BaseException:       # a Ctrl-C too
            with suppress(KitError):
                clean_up(self._ask, self.kubectl, self.container, "-n", self.namespace)
            raise
        return (*self.kubectl, "-n", self.namespace, "exec", pod, "--")

    def _make_container(self, namespace: str, pod: str) -> tuple[str, ...]:
        doing = f"An ephemeral container in {namespace}/{pod}"
        self._step(doing, namespace, "debug", f"pod/{pod}", "--profile=baseline", *self._program(":", "TERM"))
        self._wait(doing, namespace, pod, "ephemeralContainerStatuses")
        return (*self.kubectl, "-n", namespace, "exec", pod, f"--container={self.container}", "--")

    def _program(self, last: str, *signals: str) -> tuple[str, ...]:
        """Return what kubectl debug is told to run: `sh`, called as our containers are, until one of these signals."""
        life = LIFE.format(last=last, signals=" ".join((SIGNAL, *signals)), seconds=LIFE_S)
        return f"--container={self.container}", f"--image={self.image}", "--", "sh", "-c", life, self.container

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


def clean_up(ask: Ask, kubectl: tuple[str, ...], called: str = CONTAINER, *where: str) -> list[str]:
    """Delete the pods that have containers called so, end such ephemeral containers, and say which. Raises NoAccess.

    They are called so from the moment that they are made, label or not.
    """
    listed = ask((*kubectl, "get", "pods", *(where or ("-A",)), "-o", LISTING), START_S)
    if listed.rc:
        raise refusal("Looking for what was left", listed.stderr, kubectl)
    pods, ours, removed = defaultdict(list), [], []
    for line in listed.stdout.splitlines():
        own, _, ephemeral = line.partition("|")
        namespace, pod, *containers = own.split()
        named = [name for name in (*containers, *ephemeral.split()) if name.startswith(called)]
        ours += [(namespace, pod, name, name in containers) for name in named]
        if any(name in containers for name in named):
            pods[namespace].append(pod)
    for namespace, names in pods.items():       # first: whoever ends a notebook's kernel gives it five seconds
        removed += _remove(ask, kubectl, "-n", namespace, *names)
    for namespace, pod, name, is_pods in ours:
        reach = (*kubectl, "-n", namespace, "exec", pod, f"--container={name}", "--")
        if end_container(ask, reach, name) and not is_pods:
            removed.append(f"container {name} in pod {namespace}/{pod} ended")
    return removed


def _remove(ask: Ask, kubectl: tuple[str, ...], *which: str) -> list[str]:
    """Delete pods; return what kubectl says of each. Raises NoAccess."""
    outcome = ask((*kubectl, "delete", "pods", *which, f"--grace-period={GRACE_S}", "--wait=false",
                   "--ignore-not-found"), START_S)
    if outcome.rc:
        raise refusal("Taking our pods away", outcome.stderr, kubectl[:2])
    return outcome.stdout.splitlines()


def end_container(ask: Ask, reach: Sequence[str], container: str) -> bool:
    """End a helper, and say whether it still ran: `reach` is the argv before its programs.

    It is found by its name: process 1 may be the node's, or that of the pod's owner.
    """
    with suppress(TimedOut):        # the others are to be ended all the same
        return ask((*reach, "pkill", f"-{SIGNAL}", "-f", f"{container}$"), START_S).rc == 0
    return False


def refusal(doing: str, stderr: str, kubectl: Sequence[str], namespace: str = "", image: str = "") -> NoAccess:
    """Return the error for what kubectl printed; `kubectl` is how the command began."""
    number, meaning = next(((number, words) for number, (pattern, words) in enumerate(REASONS)
                            if re.search(pattern, stderr)), (0, "To see more: {can_i}."))
    last = shorten((stderr.strip().splitlines() or ["nothing"])[-1], LONGEST, placeholder=" …")
    words = meaning.format(namespace=namespace, image=image, can_i=_can_i(stderr, " ".join(kubectl), namespace))
    return (Denied if number < DENIALS else NoAccess)(f"{doing} cannot be had. {words} (kubectl said: {last})")


def _can_i(stderr: str, kubectl: str, namespace: str) -> str:
    """Return the command that asks for the right that is missing, or for all that there are."""
    if not (missing := MISSING.search(stderr)):
        return f"{kubectl} auth can-i --list{f' -n {namespace}' if namespace else ''}"
    verb, resource, part, where = missing.groups()
    return (f"{kubectl} auth can-i {verb} {resource}{f' --subresource={part}' if part else ''}"
            f"{f' -n {where}' if where else ' -A'}")
