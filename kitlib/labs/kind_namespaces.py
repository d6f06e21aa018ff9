"""Where the network namespaces of nodes and pods are, as seen from the machine that Docker runs on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from kitlib.errors import KitError


class Namespaces:
    """Asks docker, kubectl and the nodes, and remembers what they said until `refresh`."""

    def __init__(self, answer: Callable[[tuple[str, ...]], str]) -> None:
        self._answer = answer
        self.refresh()

    def refresh(self) -> None:
        """Ask anew for process ids and namespaces: containers may have been restarted."""
        self._pids: dict[str, str] = {}
        self._pods: dict[str, dict] = {}
        self._namespaces: dict[str, dict[str, str]] = {}

    def path(self, place: str) -> str:
        """The file that is a place's network namespace, for nsenter."""
        container, namespace = self.inside(place)
        return f"/proc/{self._pid(container)}/" + (f"root/run/netns/{namespace}" if namespace else "ns/net")

    def inside(self, place: str) -> tuple[str, str]:
        """The container that a place lives in, and its network namespace's name there ("": the container's)."""
        kind, _, name = place.partition(":")
        if kind != "pod":
            return name, ""
        pod = self._pod(name)
        node = pod["spec"]["nodeName"]
        return node, "" if pod["spec"].get("hostNetwork") else self._namespace(node, pod["status"].get("podIP", ""))

    def _pod(self, name: str) -> dict:
        if name not in self._pods:
            namespace, _, pod = name.partition("/")
            self._pods[name] = json.loads(self._answer(("kubectl", "-n", namespace, "get", "pod", pod, "-o", "json")))
        return self._pods[name]

    def _pid(self, container: str) -> str:
        if container not in self._pids:
            said = self._answer(("docker", "inspect", "--format", "{{.State.Pid}}", container)).strip()
            if said in ("", "0"):
                raise KitError(f"The container {container} is not running. Start it: docker start {container}")
            self._pids[container] = said
        return self._pids[container]

    def _namespace(self, node: str, address: str) -> str:
        """The namespace with this address, whatever CNI made it: `ip -all netns exec ip addr` names each."""
        if node not in self._namespaces:
            text = self._answer(("docker", "exec", node, "ip", "-all", "netns", "exec", "ip", "-o", "addr"))
            blocks = re.findall(r"^netns: (\S+)\n(.*?)(?=^netns: |\Z)", text, re.M | re.S)
            found = {own: name for name, lines in blocks for own in re.findall(r"\binet6? ([^/ ]+)", lines)}
            self._namespaces[node] = found
        if address not in self._namespaces[node]:
            raise KitError(f"No network namespace on {node} has the address {address or '(none)'}: is the pod running?")
        return self._namespaces[node][address]

    def resolv_conf(self, place: str) -> str:
        """The path, as this machine sees it, of the resolv.conf that a place's processes see."""
        node, namespace = self.inside(place)
        if not namespace:
            return "/".join(("/proc", self._pid(node), "root/etc/resolv.conf"))
        pids = self._answer(("docker", "exec", node, "ip", "netns", "pids", namespace)).split()
        return "/".join(("/proc", self._pid(node), "root/proc", pids[-1], "root/etc/resolv.conf"))
