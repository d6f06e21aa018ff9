"""What kubectl and docker would say of the netns lab: answers from its description, in their own formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kitlib.errors import KitError
from kitlib.labs.netns.description import Description, digest, docker_network

Object = dict[str, Any]
NONE = "<none>"
NODE_ROLE = "node-role.kubernetes.io/"


def answer(lab: Description, place: str, argv: tuple[str, ...]) -> str | None:
    """The answer to a question about the cluster; None if the command can be run for real. Raises KitError."""
    if argv == ("ps", "-ef") and place in _control_planes(lab):
        return _processes(lab)
    if place != "host" or argv[0] not in ("kubectl", "docker"):
        return None
    words = [word for word in argv[1:] if word not in ("-A", "--all-namespaces")]
    everywhere = len(words) < len(argv) - 1
    options = {name: _taken(words, name) for name in ("-o", "-n")}
    match argv[0], *words:
        case "docker", "container", "ls":
            return _table([{"CONTAINER ID": digest(end.container, 12), "NAMES": end.container}
                           for end in lab.network.attachments])
        case "docker", "network", "inspect", lab.network.name:
            return json.dumps([docker_network(lab.settings, lab.nodes)], indent=4)
        case "docker", "inspect", name if name in (end.container for end in lab.network.attachments):
            return json.dumps([_container(lab, name)], indent=4)
        case "kubectl", "get", kind, *names if kind in lab.objects:
            found = _chosen(lab, kind, "" if everywhere else options["-n"] or "default", names)
            return _shown(kind, found, options["-o"], everywhere)
        case "kubectl", "describe", "service", name:
            return _service(lab, _chosen(lab, "services", options["-n"] or "default", [name])[0])
    raise KitError(f"The netns lab has no {argv[0]}. From its description it answers: docker container ls, docker "
                   "inspect NODE, docker network inspect kind, kubectl get nodes|pods|services|endpointslices "
                   "[NAME] [-A] [-n NAMESPACE] [-o wide|json], kubectl describe service NAME. "
                   "For all else, a kind cluster is the place.")


def _taken(words: list[str], option: str) -> str:
    """The value of an option, which is taken out of the words."""
    if option not in words[:-1]:
        return ""
    at = words.index(option)
    value = words[at + 1]
    del words[at:at + 2]
    return value


def _chosen(lab: Description, kind: str, namespace: str, names: list[str]) -> list[Object]:
    found = [item for item in lab.objects[kind]
             if not namespace or item["metadata"].get("namespace", namespace) == namespace]
    if missing := set(names) - {item["metadata"]["name"] for item in found}:
        raise KitError(f"The netns lab has no {', '.join(missing)} among the {kind} of namespace {namespace}.")
    return [item for item in found if not names or item["metadata"]["name"] in names]


def _shown(kind: str, items: list[Object], output: str, with_namespace: bool) -> str:
    if output == "json":
        one = items[0] if len(items) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
        return json.dumps(one, indent=4)
    rows = [{"NAME": item["metadata"]["name"], **COLUMNS[kind](item)} for item in items]
    if with_namespace and kind != "nodes":
        rows = [{"NAMESPACE": item["metadata"]["namespace"], **row} for item, row in zip(items, rows, strict=True)]
    if output != "wide":
        rows = [{heading: cell for heading, cell in row.items() if heading not in WIDE} for row in rows]
    return _table(rows)


def _pod(item: Object) -> dict[str, str]:
    return {"READY": "1/1", "STATUS": "Running", "IP": item["status"]["podIP"], "NODE": item["spec"]["nodeName"]}


def _service_row(item: Object) -> dict[str, str]:
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in item["spec"]["ports"])
    selector = ",".join(f"{key}={value}" for key, value in item["spec"].get("selector", {}).items())
    return {"TYPE": item["spec"]["type"], "CLUSTER-IP": item["spec"]["clusterIP"], "EXTERNAL-IP": NONE,
            "PORT(S)": ports, "SELECTOR": selector or NONE}


def _slice_row(item: Object) -> dict[str, str]:
    return {"ADDRESSTYPE": item["addressType"], "PORTS": ",".join(str(port["port"]) for port in item["ports"]),
            "ENDPOINTS": ",".join(address for end in item["endpoints"] for address in end["addresses"]) or NONE}


def _node(item: Object) -> dict[str, str]:
    roles = [label.removeprefix(NODE_ROLE) for label in item["metadata"].get("labels", {}) if NODE_ROLE in label]
    return {"STATUS": "Ready", "ROLES": ",".join(roles) or NONE,
            "INTERNAL-IP": item["status"]["addresses"][0]["address"]}


COLUMNS: dict[str, Callable[[Object], dict[str, str]]] = {
    "pods": _pod, "services": _service_row, "endpointslices": _slice_row, "nodes": _node}
WIDE = ("IP", "NODE", "SELECTOR", "INTERNAL-IP")


def _service(lab: Description, item: Object) -> str:
    metadata, spec = item["metadata"], item["spec"]
    selector = ",".join(f"{key}={value}" for key, value in spec.get("selector", {}).items())
    lines = [("Name", metadata["name"]), ("Namespace", metadata["namespace"]), ("Selector", selector or NONE),
             ("Type", spec["type"]), ("IP", spec["clusterIP"])]
    for port in (port for port in lab.ready() if port.address == spec["clusterIP"]):
        name = port.name.partition(":")[2] or "<unset>"
        lines += [("Port", f"{name}  {port.port}/{port.protocol.upper()}"),
                  ("Endpoints", ",".join(port.endpoints) or NONE)]
    return "".join(f"{name + ':':<26}{value}\n" for name, value in lines)


def _container(lab: Description, name: str) -> Object:
    end = next(end for end in lab.network.attachments if end.container == name)
    return {"Id": digest(name, 64), "Name": f"/{name}", "NetworkSettings": {"Networks": {end.network: {
        "Gateway": end.gateway, "IPAddress": end.address, "IPPrefixLen": end.prefix_length, "MacAddress": end.mac}}}}


def _control_planes(lab: Description) -> list[str]:
    return [f"node:{node.name}" for node in lab.nodes if "control-plane" in node.roles]


def _processes(lab: Description) -> str:
    ranges = lab.settings
    return ("UID          PID    PPID  C STIME TTY          TIME CMD\n"
            "root           1       0  0 00:00 ?        00:00:00 kube-controller-manager "
            f"--cluster-cidr={ranges['pod_range']} --service-cluster-ip-range={ranges['service_range']}\n")


def _table(rows: list[dict[str, str]]) -> str:
    """Columns as kubectl pads them: each as wide as its widest cell, three spaces between."""
    if not rows:
        return "No resources found\n"
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join("   ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)
