"""What kubectl and docker would say of the netns lab: answers from its description, in their own formats."""

from __future__ import annotations

import json
from typing import Any

from kitlib.errors import KitError
from kitlib.parsers.kubernetes import ROLE_LABEL
from netns_lab.description import Description, digest, docker_network

Object = dict[str, Any]
# The columns of `kubectl get`, and those that only -o wide shows.
COLUMNS = {
    "nodes": {"STATUS": "Ready", "ROLES": "{roles}"},
    "pods": {"READY": "1/1", "STATUS": "Running"},
    "services": {"TYPE": "{spec[type]}", "CLUSTER-IP": "{spec[clusterIP]}", "EXTERNAL-IP": "", "PORT(S)": "{ports}"},
    "endpointslices": {"ADDRESSTYPE": "{addressType}", "PORTS": "{numbers}", "ENDPOINTS": "{addresses}"},
}
WIDE = {"nodes": {"INTERNAL-IP": "{status[addresses][0][address]}"},
        "pods": {"IP": "{status[podIP]}", "NODE": "{spec[nodeName]}"}, "services": {"SELECTOR": "{selector}"}}


def answer(lab: Description, place: str, argv: tuple[str, ...]) -> str | None:
    """Answer a question about the cluster; None if the command can be run for real. Raises KitError."""
    if argv == ("ps", "-ef") and place in [f"node:{node.name}" for node in lab.nodes if "control-plane" in node.roles]:
        return ("UID PID PPID C STIME TTY TIME CMD\nroot 1 0 0 00:00 ? 00:00:00 kube-controller-manager --cluster-cidr="
                f"{lab.settings['pod_range']} --service-cluster-ip-range={lab.settings['service_range']}\n")
    if place != "host" or argv[0] not in ("kubectl", "docker"):
        return None
    words = [word for word in argv[1:] if word not in ("-A", "--all-namespaces")]
    all_namespaces = len(words) < len(argv) - 1
    output, namespace = (_pop_option(words, option) for option in ("-o", "-n"))
    namespace = "" if all_namespaces else namespace or "default"
    containers = [end.container for end in lab.network.attachments]
    match argv[0], *words:
        case "docker", "container", "ls":
            return _table([{"CONTAINER ID": digest(name, 12), "NAMES": name} for name in containers])
        case "docker", "network", "inspect", lab.network.name:
            return json.dumps([docker_network(lab.settings, lab.nodes)], indent=4)
        case "docker", "inspect", name if name in containers:
            return json.dumps([_container(lab, name)], indent=4)
        case "kubectl", "get", kind, *names if kind in lab.objects:
            found = _select(lab, kind, namespace, names)
            if output == "json":
                return json.dumps(found[0] if len(names) == 1 else {"kind": "List", "items": found}, indent=4)
            return _table(_rows(kind, found, output == "wide", all_namespaces))
        case "kubectl", "describe", "service", name:
            return _describe(lab, _select(lab, "services", namespace, [name])[0])
    raise KitError(f"The netns lab has no {argv[0]}. From its description it answers: docker container ls, docker "
                   "inspect NODE, docker network inspect kind, kubectl get nodes|pods|services|endpointslices "
                   "[NAME] [-A] [-n NAMESPACE] [-o wide|json], kubectl describe service NAME. "
                   "For all else, a kind cluster is the place.")


def _pop_option(words: list[str], option: str) -> str:
    """Take an option out of the words and return its value, "" without one."""
    if option not in words[:-1]:
        return ""
    at = words.index(option)
    value = words[at + 1]
    del words[at:at + 2]
    return value


def _select(lab: Description, kind: str, namespace: str, names: list[str]) -> list[Object]:
    found = [item for item in lab.objects[kind]
             if not namespace or item["metadata"].get("namespace", namespace) == namespace]
    if missing := set(names) - {item["metadata"]["name"] for item in found}:
        raise KitError(f"The netns lab has no {', '.join(missing)} among the {kind} of namespace {namespace}.")
    return [item for item in found if not names or item["metadata"]["name"] in names]


def _rows(kind: str, items: list[Object], is_wide: bool, all_namespaces: bool) -> list[dict[str, str]]:
    columns = {"NAMESPACE": "{metadata[namespace]}"} if all_namespaces and kind != "nodes" else {}
    columns |= {"NAME": "{metadata[name]}", **COLUMNS[kind], **(WIDE.get(kind, {}) if is_wide else {})}
    return [{heading: cell.format(**item | _lists(item)) or "<none>" for heading, cell in columns.items()}
            for item in items]


def _lists(item: Object) -> dict[str, str]:
    """Join what kubectl joins with commas."""
    ports = item.get("spec", {}).get("ports") or item.get("ports", ())
    labels = item["metadata"].get("labels", {})
    return {"roles": ",".join(label.removeprefix(ROLE_LABEL) for label in labels
                              if label.startswith(ROLE_LABEL)),
            "ports": ",".join(f"{port['port']}/{port['protocol']}" for port in ports),
            "numbers": ",".join(str(port["port"]) for port in ports),
            "addresses": ",".join(address for end in item.get("endpoints", ()) for address in end["addresses"]),
            "selector": ",".join(f"{key}={value}" for key, value in item.get("spec", {}).get("selector", {}).items())}


def _describe(lab: Description, item: Object) -> str:
    spec = item["spec"]
    lines = [("Name", item["metadata"]["name"]), ("Namespace", item["metadata"]["namespace"]),
             ("Selector", _lists(item)["selector"] or "<none>"), ("Type", spec["type"]), ("IP", spec["clusterIP"])]
    for port in (port for port in lab.service_ports() if port.address == spec["clusterIP"]):
        name = port.name.partition(":")[2] or "<unset>"
        lines += [("Port", f"{name}  {port.port}/{port.protocol.upper()}"),
                  ("Endpoints", ",".join(port.endpoints) or "<none>")]
    return "".join(f"{name + ':':<26}{value}\n" for name, value in lines)


def _container(lab: Description, name: str) -> Object:
    end = next(end for end in lab.network.attachments if end.container == name)
    return {"Id": digest(name, 64), "Name": f"/{name}", "NetworkSettings": {"Networks": {end.network: {
        "Gateway": end.gateway, "IPAddress": end.address, "IPPrefixLen": end.prefix_length, "MacAddress": end.mac}}}}


def _table(rows: list[dict[str, str]]) -> str:
    """Pad columns as kubectl does: each as wide as its widest cell, three spaces between."""
    if not rows:
        return "No resources found\n"
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join("   ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)
