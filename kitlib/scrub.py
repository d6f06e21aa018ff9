"""A copy of a recording without what identifies its cluster: the same stand-in everywhere, in text and in packets.

Replaced: node and cluster names, addresses outside the lab's own ranges, MACs, image registries, machine ids, secrets.
Kept: the lab's own ranges (pods, Services, nodes), loopback, multicast. `remaining` lists what a reader may still see.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from kitlib.errors import KitError
from kitlib.lab import Lab
from kitlib.labs.recorded import RecordedLab
from kitlib.parsers.dns import sightings
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.recording import load
from kitlib.recording_files import lines, parse_object, text
from kitlib.scrub_frames import scrub_frame
from kitlib.stand_ins import StandIns
from kitlib.validate import tell

PUBLIC = ("docker.io", "registry.k8s.io", "quay.io", "ghcr.io", "gcr.io", "k8s.gcr.io", "mcr.microsoft.com")
MACHINE_ID = re.compile(r'"(?:machineID|systemUUID|bootID)": "([\w-]+)"')
REGISTRY = re.compile(r'"image(?:ID)?": "((?:[\w-]+\.)+[\w-]+(?::\d+)?|[\w-]+:\d+|localhost)/')
COMMON = ("kind", "cluster", "default", "test", "node")     # as cluster names no good: such words stand everywhere


def scrub_and_tell(raw: Path, out: Path) -> int:
    """Scrub, print what a reader may still see, and whether the copy is sound; exit code 1 if it is not."""
    if out.exists():
        raise KitError(f"{out} is there already. Name a new folder.")
    print(scrub(raw, out))
    return tell(out)


def scrub(raw: Path, out: Path) -> str:
    """Write a scrubbed copy of the recording in `raw` to `out`, a new folder; say what a reader may still see."""
    lab = Lab(RecordedLab(load(raw)))
    everything = "\n".join(text(file) for file in sorted(raw.rglob("*.json*"))).replace('\\"', '"')
    ranges = [*lab.ranges.pods.split(","), *lab.ranges.services.split(","), lab.network.subnet]
    stand_ins = StandIns([ip_network(net) for net in ranges], names_of(lab) | ids_of(everything))
    shutil.copytree(raw, out)
    for file in sorted(out.rglob("*.jsonl")):
        entries = [stand_ins.value(entry) for entry in lines(file, lambda entry, path, line: entry)]
        file.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), encoding="utf-8")
    index = stand_ins.value(parse_object(text(out / "recording.json"), out / "recording.json", 0)) | {"name": out.name}
    (out / "recording.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for file in sorted(out.rglob("*.pcapng")):
        clean = [replace(scrub_frame(frame, stand_ins), interface=stand_ins.text(frame.interface))
                 for frame in frames(file.read_bytes(), file.name)]
        file.write_bytes(write_pcapng(clean))
    replaced = f"{len(stand_ins.addresses)} addresses, {len(stand_ins.macs)} MACs, {len(stand_ins.names)} names or ids"
    return f"Replaced: {replaced}.\n{remaining(out)}"


def names_of(lab: Lab) -> dict[str, str]:
    """The stand-ins of the cluster's name, which every node's begins with, or of the nodes' names: lengths stay."""
    prefix = lab.nodes[0].name.removesuffix(lab.nodes[0].title).rstrip("-")
    if prefix and prefix not in COMMON and len(prefix) > 3:
        return {prefix: padded("cluster", prefix)}
    names = {node.name: padded(f"node{number}", node.name) for number, node in enumerate(lab.nodes, start=1)}
    return names | ({f"kind-{prefix}": padded("cluster", f"kind-{prefix}")} if prefix else {})


def ids_of(everything: str) -> dict[str, str]:
    """The stand-ins of private image registries and of machine ids: lengths and punctuation stay."""
    registries = sorted(set(REGISTRY.findall(everything)) - set(PUBLIC))
    found = {name: re.sub(r"\w", "x", name)[:-1] + chr(97 + number % 26) for number, name in enumerate(registries)}
    return found | {machine: re.sub(r"\w", "0", machine) for machine in MACHINE_ID.findall(everything)}


def padded(word: str, old: str) -> str:
    """A word cut or filled to the length of another."""
    return word.ljust(len(old), "x")[:len(old)]


def remaining(folder: Path) -> str:
    """What a scrubbed recording may still tell: one line for each kind, with what was found."""
    asked, searched = set(), set()
    for file in sorted(folder.rglob("*.pcapng")):
        seen = sightings(frames(file.read_bytes(), file.name))
        asked |= {question.name for sighting in seen for question in sighting.message.questions}
    for file in folder.rglob("*.jsonl"):
        searched |= {word for line in re.findall(r"\\nsearch ([^\\]*)|\"search ([^\\]*)", text(file)) for word in
                     " ".join(line).split()}
    own = ("cluster.local", "cluster.local.", "example.com.", "example.net.", "in-addr.arpa.")
    lab = Lab(RecordedLab(load(folder)))
    found = {
        "domain names asked for": sorted(name for name in asked if not name.endswith(own)),
        "addresses in names (in-addr.arpa)": sorted(name for name in asked if name.endswith(".arpa.")),
        "search domains": sorted(name for name in searched if not name.endswith(own)),
        "names of namespaces and pods": sorted({f"{pod.namespace}/{pod.name}" for pod in lab.pods()}),
        "names of Services": sorted({f"{service.namespace}/{service.name}" for service in lab.services}),
        "always": ["the lab's own ranges", "versions", "times", "container and interface ids", "labels, annotations"],
    }
    listed = [f"  {what}: {', '.join(words)}" for what, words in found.items() if words]
    return "\n".join(["It may still tell:", *listed])
