"""Programs from outside for the nodes and pods of a kind cluster: tcpdump, dig, … where these carry none.

They run in the place's network namespace, which is found as seen from the machine that Docker runs on: this machine's
own programs (by nsenter, as root), or those of an image that the learner chooses (KITLIB_TOOLS_IMAGE) in a helper
container, for Docker Desktop and for ordinary users. Else the node's own tcpdump is tried.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from kitlib.errors import KitError
from live_labs.shell import has

LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"       # RFC 1123
LONGEST_NAME = 253
NAMES = {"pod": re.compile(rf"{LABEL}(\.{LABEL})*"), "container": re.compile(r"[A-Za-z0-9][\w.-]*"),
         "network namespace": re.compile(r"[A-Za-z0-9][\w.-]*")}


def require_name(kind: str, name: str) -> str:
    """Return a name that is one. Raises KitError: to docker or kubectl, "--privileged" would be an option."""
    if len(name) > LONGEST_NAME or not NAMES[kind].fullmatch(name):
        raise KitError(f"{name!r} is not the name of a {kind}: expected letters, digits, - and ., not a - first.")
    return name


def pod_and_namespace(name: str) -> tuple[str, str]:
    """Split "NAMESPACE/NAME", and check both."""
    namespace, _, pod = name.partition("/")
    return require_name("pod", pod), require_name("pod", namespace)


class Namespaces:
    """Finds network namespaces by asking docker, kubectl and the nodes, and remembers the answers until `refresh`."""

    def __init__(self, answer: Callable[[tuple[str, ...]], str]) -> None:
        self._answer = answer
        self.refresh()

    def refresh(self) -> None:
        """Ask anew for process ids and namespaces: containers may have been restarted."""
        self._pids: dict[str, str] = {}
        self._pods: dict[str, dict] = {}
        self._namespaces: dict[str, dict[str, str]] = {}

    def path(self, place: str) -> str:
        """Return the file that is a place's network namespace, for nsenter."""
        container, namespace = self.inside(place)
        return f"{self._root(container)}/run/netns/{namespace}" if namespace else f"/proc/{self._pid(container)}/ns/net"

    def _root(self, container: str) -> str:
        return f"/proc/{self._pid(container)}/root"

    def inside(self, place: str) -> tuple[str, str]:
        """Find the container that a place lives in, and its network namespace's name there ("": the container's)."""
        kind, _, name = place.partition(":")
        if kind != "pod":
            return require_name("container", name), ""
        pod = self._pod(name)
        node = require_name("container", pod["spec"]["nodeName"])
        return node, "" if pod["spec"].get("hostNetwork") else self._namespace(node, pod["status"].get("podIP", ""))

    def _pod(self, name: str) -> dict:
        if name not in self._pods:
            pod, namespace = pod_and_namespace(name)
            self._pods[name] = json.loads(self._answer(("kubectl", "-n", namespace, "get", "pod", pod, "-o", "json")))
        return self._pods[name]

    def _pid(self, container: str) -> str:
        if container not in self._pids:
            pid = self._answer(("docker", "inspect", "--format", "{{.State.Pid}}", "--", container)).strip()
            if not pid.isdigit() or pid == "0":
                raise KitError(f"The container {container} is not running. Start it: docker start {container}")
            self._pids[container] = pid
        return self._pids[container]

    def _namespace(self, node: str, address: str) -> str:
        """Find the namespace with this address, whatever CNI made it: `ip -all netns exec ip addr` names each."""
        if node not in self._namespaces:
            text = self._answer(("docker", "exec", node, "ip", "-all", "netns", "exec", "ip", "-o", "addr"))
            blocks = re.findall(r"^netns: (\S+)\n(.*?)(?=^netns: |\Z)", text, re.M | re.S)
            found = {own: name for name, lines in blocks for own in re.findall(r"\binet6? ([^/ ]+)", lines)}
            self._namespaces[node] = found
        if address not in self._namespaces[node]:
            raise KitError(f"No network namespace on {node} has the address {address or '(none)'}: is the pod running?")
        return require_name("network namespace", self._namespaces[node][address])

    def resolv_conf(self, place: str) -> str:
        """Return the path, as this machine sees it, of the resolv.conf that a place's processes see."""
        node, namespace = self.inside(place)
        if not namespace:
            return f"{self._root(node)}/etc/resolv.conf"
        pids = self._answer(("docker", "exec", node, "ip", "netns", "pids", namespace)).split()
        if not pids or not pids[-1].isdigit():
            raise KitError(f"No process runs in the network namespace {namespace} of {node}: is the pod running?")
        return f"{self._root(node)}/proc/{pids[-1]}/root" + "/etc/resolv.conf"


LISTEN_S = 120
NETWORK_ONLY = ("conntrack", "dig", "ethtool", "host", "ip", "iptables-save", "nft", "nslookup", "ping", "ss",
                "tcpdump")            # what these say depends on the network namespace, and on no file of the place …
RESOLVING = ("dig", "host", "nslookup")     # … but for resolv.conf
# Shows the program that follows another resolv.conf, in a mount namespace of its own: nothing else sees it.
WITH_RESOLV_CONF = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /mnt && cp "$0" /mnt/resolv.conf && '
                    'mount --bind /mnt/resolv.conf /etc/resolv.conf && exec "$@"')


def is_listener(argv: tuple[str, ...]) -> bool:
    """Say whether this program listens beside a query, and would never end by itself."""
    return argv[0] == "xtables-monitor" or (argv[0] == "tcpdump" and "-w" in argv)


class Tools:
    """Chooses a program for a place, and the argv that runs it there. What it starts bears the session's own id."""

    def __init__(self, answer: Callable[[tuple[str, ...]], str], has: Callable[[str], bool] = has) -> None:
        self._answer, self._has = answer, has
        self.where = Namespaces(answer)
        self.image = os.environ.get("KITLIB_TOOLS_IMAGE", "")
        session = uuid.uuid4().hex[:8]      # so that we can tell our listeners and helper from those of others
        self._helper_name, self._mark = f"kitlib-tools-{session}", f"KITLIB_SESSION={session}"
        self._cleanup: set[tuple[str, ...]] = set()

    @cached_property
    def way(self) -> str:
        """Decide whose programs are used: those of an "image", this "machine"'s, or the "node"'s own."""
        able = hasattr(os, "geteuid") and os.geteuid() == 0 and self._has("nsenter") and self._has("tcpdump")
        return "image" if self.image else "machine" if able else "node"

    @property
    def whose(self) -> str:
        """Say whose programs these are."""
        return {"image": f"the image {self.image}", "machine": "this machine", "node": "the node"}[self.way]

    @property
    def description(self) -> str:
        """Say where tcpdump comes from."""
        return f"captures with the tcpdump of {self.whose}"

    def listen(self, place: str, argv: tuple[str, ...], shown: bool = False) -> tuple[str, ...]:
        """Return the argv that runs a listener at a place and ends with us, or after LISTEN_S at the latest.

        `shown` leaves out what only sees to that end.
        """
        if self.way == "machine" and self._has(argv[0]):
            if shown:
                return (*self._enter(place), *argv)
            as_root = ("-Z", "root") if argv[0] == "tcpdump" else ()     # who changes the user outlives its parent
            return ("setpriv", "--pdeathsig", "TERM", *self._enter(place), argv[0], *as_root, *argv[1:])
        if self.way == "image":
            return (*self._helper(), *self._bound(shown), *self._enter(place), *argv)
        if place == "host":
            return (*self._bound(shown), *argv)
        node, namespace = self.where.inside(place)
        entered = ("ip", "netns", "exec", namespace) if namespace else ()
        return self._swept(("docker", "exec", node), (*self._bound(shown), *entered, *argv))

    def _bound(self, shown: bool) -> tuple[str, ...]:
        return () if shown else ("timeout", "-s", "INT", str(LISTEN_S), "env", self._mark)

    def _swept(self, reach: tuple[str, ...], argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that runs a listener over there, which `sweep` will end."""
        self._cleanup.add((*reach, "pkill", "-INT", "-f", f"timeout .* {self._mark} "))
        return (*reach, *argv)

    def sweep(self) -> None:
        """End what a closed `docker exec` of ours leaves running behind it."""
        for argv in self._cleanup:
            with suppress(KitError):      # pkill says 1 when nothing was left
                self._answer(argv)
        self._cleanup.clear()

    def borrow(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that runs a program from outside in a place's network; () if it might say something else."""
        hostnet = place.startswith("pod:") and not self.where.inside(place)[1]
        if self.way == "node" or argv[0] not in NETWORK_ONLY or (hostnet and argv[0] in RESOLVING):
            return ()
        settings = (*WITH_RESOLV_CONF, self.where.resolv_conf(place)) if argv[0] in RESOLVING else ()
        return (*(self._helper() if self.way == "image" else ()), *self._enter(place), *settings, *argv)

    def _enter(self, place: str) -> tuple[str, ...]:
        return () if place == "host" else ("nsenter", f"--net={self.where.path(place)}", "--")

    def _helper(self) -> tuple[str, ...]:
        """Return the argv before a program of the chosen image; its container ends by itself after ten minutes."""
        self._cleanup.add(("docker", "rm", "--force", self._helper_name))
        if not self._answer(("docker", "ps", "--quiet", "--filter", f"name=^{self._helper_name}$")).strip():
            self._answer(("docker", "run", "--rm", "--detach", "--privileged", "--pid=host", "--network=host",
                          "--name", self._helper_name, "--entrypoint", "sleep", "--", self.image, "600"))
            atexit.register(self.sweep)
        return ("docker", "exec", self._helper_name)
