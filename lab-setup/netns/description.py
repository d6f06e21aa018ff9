"""What the netns lab consists of: one TOML file, read with the parsers that read a real cluster's answers."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from kitlib.errors import KitError
from kitlib.parsers import docker, kubernetes

FOLDER = Path(__file__).resolve().parent
LAB = FOLDER / "lab.toml"
LONGEST = 2**20       # letters of a description
MODES = ("iptables", "nftables")
KINDS = {"nodes": "Node", "pods": "Pod", "services": "Service", "endpointslices": "EndpointSlice"}


class ServicePort(NamedTuple):
    """A port of a Service with the sockets that answer for it, and kube-proxy's name for it."""

    name: str                           # "kube-system/kube-dns:dns"
    address: str                        # the ClusterIP
    port: int
    protocol: str                       # "udp"
    endpoints: tuple[str, ...]          # "10.244.0.2:53"
    external: tuple[str, ...] = ()      # the addresses outside by which it is reached too
    node_port: int = 0                  # the port of every node, 0 without one
    affinity: str = ""                  # for how many seconds a client keeps its endpoint


@dataclass(frozen=True)
class Description:
    """A lab, part by part; `objects` are Kubernetes's own, as `kubectl get KIND -o json` lists them."""

    text: str
    settings: dict[str, Any]
    objects: dict[str, list[dict[str, Any]]]
    nodes: tuple[kubernetes.Node, ...]
    pods: tuple[kubernetes.Pod, ...]
    services: tuple[kubernetes.Service, ...]
    endpoints: tuple[kubernetes.Endpoints, ...]
    network: docker.Network

    @property
    def mode(self) -> str:
        """Return kube-proxy's mode, one of MODES."""
        return self.settings.get("mode", MODES[0])

    @property
    def dns_address(self) -> str:
        """Return the ClusterIP of the Service kube-dns, "" without one."""
        return next((service.cluster_ip for service in self.services if service.name == "kube-dns"), "")

    def answers_dns(self, pod: kubernetes.Pod) -> bool:
        """Say whether this is one of the pods behind kube-dns."""
        return any(group.service == "kube-dns" and endpoint.address == pod.address
                   for group in self.endpoints for endpoint in group.endpoints)

    def service_ports(self, version: int = 4) -> tuple[ServicePort, ...]:
        """List every port of every Service that has an address of this version of IP."""
        return tuple(ServicePort(f"{service.namespace}/{service.name}" + (f":{port.name}" if port.name else ""),
                                 address, port.port, port.protocol.lower(),
                                 self._sockets(service, port.name, version),
                                 tuple(_of(version, item["spec"].get("externalIPs", ()))),
                                 written.get("nodePort", 0), _affinity(item["spec"]))
                     for service, item in zip(self.services, self.objects["services"], strict=True)
                     for address in _of(version, item["spec"].get("clusterIPs", [service.cluster_ip]))
                     for port, written in zip(service.ports, item["spec"]["ports"], strict=True))

    def _sockets(self, service: kubernetes.Service, port: str, version: int) -> tuple[str, ...]:
        ends = ((endpoint.address, target.port) for group in self.endpoints
                if (group.namespace, group.service) == (service.namespace, service.name)
                for target in group.ports if target.name == port for endpoint in group.endpoints)
        return tuple(sorted(f"[{address}]:{number}" if version == 6 else f"{address}:{number}"
                            for address, number in ends if [*_of(version, [address])]))

    def range_of(self, key: str, version: int = 4) -> str:
        """Return the range of addresses for one version of IP, "" without one."""
        return next(_of(version, self.settings[key].split(",")), "")


def read(path: Path = LAB, mode: str = "") -> Description:
    """Read a description, with another `mode` of kube-proxy if one is given; KitError names the file and its error."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST)       # /dev/zero has no end
        return parse(f'mode = "{mode}"\n{re.sub("(?m)^mode = .*$", "", text)}' if mode else text)
    except OSError as error:
        raise KitError(f"{path}: the description of the lab cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, KitError) as error:     # ValueError: no TOML, no UTF-8
        problem = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise KitError(f"{path}: {problem}. A complete description is {LAB}.") from error


def parse(text: str) -> Description:
    """Parse the TOML text that describes a lab. Raises KeyError, TOMLDecodeError, KitError."""
    settings = tomllib.loads(text)
    _ = [settings[key] for key in ("cluster", "pod_range", "service_range", "domain", "network", "upstream")]
    if settings.get("mode", MODES[0]) not in MODES:
        raise KitError(f"mode is {settings['mode']!r}, and kube-proxy's are {' and '.join(MODES)}")
    items = {kind: list(settings.get(kind, ())) for kind in KINDS}
    items["endpointslices"] += [_slice(service, items["pods"]) for service in items["services"]
                                if "selector" in service["spec"]]
    objects = {kind: [{"kind": KINDS[kind], **item} for item in items[kind]] for kind in KINDS}
    lists = {kind: json.dumps({"kind": "List", "items": found}) for kind, found in objects.items()}
    nodes = kubernetes.nodes(lists["nodes"])
    return Description(text, settings, objects, nodes, kubernetes.pods(lists["pods"]),
                       kubernetes.services(lists["services"]),
                       kubernetes.endpoints(lists["endpointslices"]),
                       docker.networks(json.dumps([docker_network(settings, nodes)]))[0])


def _slice(service: dict[str, Any], pods: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the EndpointSlice that the control plane would: the pods whose labels the Service selects."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    chosen = [pod for pod in pods if pod["metadata"]["namespace"] == namespace
              and service["spec"]["selector"].items() <= pod["metadata"].get("labels", {}).items()]
    endpoints = [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True},
                  "nodeName": pod["spec"]["nodeName"],
                  "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}} for pod in chosen]
    ports = [{"name": port.get("name", ""), "port": port["targetPort"], "protocol": port["protocol"]}
             for port in service["spec"]["ports"]]
    return {"metadata": {"namespace": namespace, "name": f"{name}-{digest(name, 5)}",
                         "labels": {kubernetes.SERVICE_LABEL: name}},
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports}


def _of(version: int, addresses: Iterable[str]) -> Iterator[str]:
    return (address for address in addresses if (":" in address) == (version == 6))


def _affinity(spec: dict[str, Any]) -> str:
    """Return a Service's timeout of session affinity in seconds, as the API server fills it in; "" without affinity."""
    if spec.get("sessionAffinity") != "ClientIP":
        return ""
    return str(spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", 10800))


def docker_network(settings: dict[str, Any], nodes: Sequence[kubernetes.Node]) -> dict[str, Any]:
    """Return the nodes' network as `docker network inspect` shows it."""
    network = settings["network"]
    length = network["subnet"].partition("/")[2]
    ends = [(node.name, node.address) for node in nodes]
    ends += [(container["name"], container["address"]) for container in settings.get("containers", ())]
    return {"Name": network["name"], "Id": digest(network["name"], 64), "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": network["subnet"], "Gateway": network["gateway"]}]},
            "Containers": {digest(name, 64): {"Name": name, "MacAddress": mac(address),
                                              "IPv4Address": f"{address}/{length}"} for name, address in ends},
            "Options": {"com.docker.network.bridge.name": network["bridge"]}}


def mac(address: str) -> str:
    """Return the MAC address that Docker makes from an IPv4 address: 02:42 and its four bytes."""
    return ":".join(["02", "42", *(f"{int(byte):02x}" for byte in address.split("."))])


def place_of(pod: kubernetes.Pod) -> str:
    """Return the id of a pod's place."""
    return f"pod:{pod.namespace}/{pod.name}"


def veth(pod: kubernetes.Pod) -> str:
    """Return the name of the node's end of a pod's cable."""
    return f"veth{digest(place_of(pod), 8)}"


def cni_namespace(pod: kubernetes.Pod) -> str:
    """Return the name of a pod's network namespace on its node."""
    return f"cni-{uuid.uuid5(uuid.NAMESPACE_URL, place_of(pod))}"


def fill(name: str, **values: object) -> str:
    """Return one of the lab's files (lab-setup/netns) with these values for its $names."""
    return Template((FOLDER / name).read_text(encoding="utf-8")).substitute(values)


def digest(name: str, length: int) -> str:
    """Make up an id that looks random and is the same every time: for interfaces, containers, slices."""
    return hashlib.sha256(name.encode()).hexdigest()[:length]
