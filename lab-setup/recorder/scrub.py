"""A copy of a recording without what identifies its cluster, its people, its machines: only what is known is kept.

Kept of text is what `keep` lists, of captures what `frames` can build anew, of files what recording.json names. There,
names, addresses, MACs and ids get pseudonyms, the same everywhere. `remaining` lists what a reader may still see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import compress, count
from pathlib import Path
from typing import Any

from kitlib.backends.recording import (
    FORMAT,
    Command,
    Entry,
    Fault,
    Point,
    Recording,
    Scene,
    Take,
    command_of,
    lines,
    load,
    read_take,
)
from kitlib.backends.replay import RecordedLab
from kitlib.errors import KitError
from kitlib.escapes import printable
from kitlib.lab import Lab
from kitlib.netfilter.kube_proxy import chain_name
from kitlib.netfilter.nft_kube_proxy import name_base
from kitlib.parsers.kubernetes import Port, Service
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Frame
from recorder.frames import scrub_frames
from recorder.keep import Keeper
from recorder.known_words import KNOWN
from recorder.pseudonyms import SHORTEST, Pseudonyms, names_of
from recorder.validate import PACKET, validate_and_print
from recorder.writer import append, write_index, write_take

ENTER = re.compile(r"nsenter --net=/proc/\d+/(?:ns/net|root/run/netns/[\w-]+) ")
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")   # where a lab's ranges are, if not known
WARNING = ("WARNING: what --keep names is kept whole but for names, addresses and known shapes of secrets. "
           "Read it yourself before you hand it on.")


def scrub_and_print(raw: Path, out: Path, more: Sequence[str] = ()) -> int:
    """Scrub, print what a reader may still see, and whether the copy is sound; exit code 1 if it is not."""
    if out.exists():
        raise KitError(f"{out} is there already. Name a new folder.")
    print(printable(scrub(raw, out, more)))
    return validate_and_print(out)


def scrub(raw: Path, out: Path, more: Sequence[str] = ()) -> str:
    """Write a scrubbed copy of the recording in `raw` to `out`, a new folder; return what a reader may still see.

    `more`: commands that begin with one of these words are kept too.
    """
    recording = load(raw)
    scrubber = Scrubber(recording, out, Lab(RecordedLab(recording)), more)
    out.mkdir(parents=True)
    scrubber.write()
    names = scrubber.names
    replaced = [(names.addresses, "addresses"), (names.macs, "MACs"), (names.names, "names"), (names.ids, "ids"),
                (names.words, "words")]
    left_out = [f"Left out: {', '.join(sorted(scrubber.left_out))}."] if scrubber.left_out else []
    return "\n".join(["Replaced: " + ", ".join(f"{len(table)} {what}" for table, what in replaced) + ".", *left_out,
                      remaining(out), *([WARNING] if more else [])])


class Scrubber:
    """Copies a recording part by part."""

    def __init__(self, recording: Recording, out: Path, lab: Lab, more: Sequence[str]) -> None:
        self.recording, self.out = recording, out
        self.names, self.ports = pseudonyms_of(lab), lab.dns_ports
        self.keeper = Keeper(self.names, {at.container for at in lab.network.attachments}, more)
        self.left_out: set[str] = set()

    def write(self) -> None:
        """Write recording.json and all that it names."""
        recording = self.recording
        self._write_commands("facts.jsonl", recording.facts.values())
        if recording.traced_rules:
            self._write_commands("traced-rules.jsonl", recording.traced_rules.values())
        versions = {what: found[0] for what, version in recording.made_with.items()
                    if what in ("kind", "Linux", "Kubernetes") and (found := re.match(r"v?[\d.]+", str(version)))}
        index = {"format": FORMAT, "name": self.out.name, "made": "".join(re.findall(r"[\d-]", recording.made)),
                 "made_with": versions, "recorder": "kitlib", "left_out": [],
                 "scenes": [new for scene in recording.scenes for new in self._scene(scene, "scenes")],
                 "faults": [new for fault in recording.faults for new in self._fault(fault)]}
        write_index(self.out, index)

    def _write_commands(self, name: str, commands: Sequence[Command]) -> None:
        append(self.out / name, *(asdict(command) for command in self._keep(commands)))

    def _keep(self, commands: Sequence[Command]) -> Iterator[Command]:
        for command in commands:
            clean = self.keeper.command(command)
            if clean is None:
                self.left_out.add(" ".join(command.argv[:2])[:40])
            else:
                yield clean

    def _scene(self, scene: Scene, kind: str) -> Iterator[dict[str, Any]]:
        if not self.keeper.keeps(scene.argv):
            self.left_out.add(" ".join(scene.argv[:1]))
            return
        text, folder = self.names.only_known, self._new_folder(kind, scene.name)
        yield {"name": text(scene.name), "place": text(scene.place), "argv": self.keeper.argv(scene.argv),
               "note": "", "traced": scene.traced,
               "takes": [self._take(read_take(self.recording, scene, number), f"{folder}/take{number:02}")
                         for number in range(1, len(scene.takes) + 1)],
               "also": [self.keeper.argv(argv) for argv in scene.also if self.keeper.keeps(argv)]}

    def _new_folder(self, kind: str, name: str) -> str:
        """Make a folder for a scene, called by the letters of its name: a stranger's may be a path."""
        words = re.sub(r"[^\w-]+", "-", self.names.only_known(name), flags=re.ASCII)[:60] or "scene"
        ends = ("" if number == 1 else f"-{number}" for number in count(1))
        folder = next(folder for end in ends if not (self.out / (folder := f"{kind}/{words}{end}")).exists())
        (self.out / folder).mkdir(parents=True)
        return folder

    def _fault(self, fault: Fault) -> Iterator[dict[str, Any]]:
        for entry in self._scene(fault.scene, "faults"):
            facts = f"{entry['takes'][0].rpartition('/')[0]}/facts.jsonl"
            append(self.out / facts, *filter(None, map(self._changed, lines(fault.facts))))
            yield entry | {"facts": facts}

    def _changed(self, entry: Entry) -> dict[str, Any] | None:
        """Scrub an entry of a fault's facts: a command, or the key of one that is the same or not true any more."""
        for kind in ("outdated", "unchanged"):
            if kind in entry.values:
                key = entry.part(kind)
                place, argv = self.names.only_known(key.get("place", str)), self.keeper.argv(key.argv())
                return {kind: {"place": place, "argv": argv}} if self.keeper.keeps(key.argv()) else None
        return next((asdict(command) for command in self._keep([command_of(entry)])), None)

    def _take(self, take: Take, name: str) -> str:
        points = [self._point(point, take.frames(point)) for point in take.points]
        write_take(self.out / f"{name}.jsonl", self._keep(take.commands), points, self._keep(take.traces))
        return f"{name}.jsonl"

    def _point(self, point: Point, frames: Sequence[Frame]) -> tuple[Point, list[Frame]]:
        text = self.names.only_known
        place, interface = text(point.place), text(point.interface)
        clean = scrub_frames(frames, self.names, self.ports)
        words = self.keeper.packet_text(texts_of(point.text, [frame is not None for frame in clean]))
        listened = " or ".join(f"port {port}" for port in self.ports)
        enter = ENTER.match(" ".join(point.argv))
        argv = (*(text(enter[0]).split() if enter else ()),
                "tcpdump", "-i", interface, "-U", "-w", "-", *listened.split())
        return (Point(place, interface, text(point.ran_at), argv, words),
                [frame for frame in clean if frame])


def texts_of(text: str, is_kept: Sequence[bool]) -> str:
    """Return tcpdump's text of the packets that are kept; nothing if text and capture do not have as many."""
    starts = [match.start() for match in PACKET.finditer(text)]
    if len(starts) != len(is_kept):
        return ""
    parts = (text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=False))
    return "".join(compress(parts, is_kept))


def pseudonyms_of(lab: Lab) -> Pseudonyms:
    """Return pseudonyms that know the lab's own ranges and names."""
    every = (*lab.ranges.pods.split(","), *lab.ranges.services.split(","), lab.network.subnet)
    ranges = list(filter(None, every)) if lab.ranges.services else [*filter(None, every), *PRIVATE]
    if not lab.nodes:
        raise KitError("The recording lists no nodes, so there is nothing to scrub.")
    names = names_of([(node.name, node.title) for node in lab.nodes],
                     {at.container for at in lab.network.attachments} - {node.name for node in lab.nodes})
    found = Pseudonyms([_own_range(net) for net in ranges], names)
    own = {word for pod in lab.pods() for word in (pod.name, pod.namespace)}
    own |= {word for service in lab.services for word in (service.name, service.namespace)}
    own |= {port.name for service in lab.services for port in service.ports}
    found.own |= own
    found.hashes |= set(_told_hashes(lab, found))
    found.labels |= {word.lower() for name in own for word in re.split(r"[-_.]", name)} & KNOWN
    return found


def _own_range(text: str) -> IPv4Network | IPv6Network:
    """Read a range that is the lab's own, whose addresses stay. KitError: it is none, or half of the internet."""
    try:
        network = ip_network(text)
    except ValueError:
        raise KitError(f"The lab's ranges cannot be told: {text} is no network.") from None
    if network.prefixlen < SHORTEST:
        raise KitError(f"The lab's ranges cannot be told: {text} holds addresses of others, too.")
    return network


def _told_hashes(lab: Lab, names: Pseudonyms) -> Iterator[str]:
    """Yield the hashes that kube-proxy makes of the names of Services, for those whose names stay."""
    for service in lab.services:
        for port in service.ports:
            full = f"{service.namespace}/{service.name}"
            if names.only_known(f"{full}:{port.name}") == f"{full}:{port.name}":
                yield from _hashes(lab, service, port)


def _hashes(lab: Lab, service: Service, port: Port) -> Iterator[str]:
    """Yield the hashes of one port of a Service and of its endpoints, as iptables has them and as nftables."""
    full, protocol = f"{service.namespace}/{service.name}", port.protocol.lower()
    name, path = f"{full}:{port.name}" if port.name else full, f"{full}/{protocol}/{port.name}"
    sockets = [f"{end.address}:{target.port}" for group in lab.endpoints for end in group.endpoints
               for target in group.ports if (group.namespace, group.service, target.name) == (
                   service.namespace, service.name, port.name)]
    for socket in ("", *sockets):
        yield chain_name("", name, protocol, socket)
        yield name_base(path, socket).partition("-")[0]


def remaining(folder: Path) -> str:
    """List what a scrubbed recording may still tell: one line for each kind, with what was found."""
    lab = Lab(RecordedLab(load(folder)))
    recording = lab.backend.recording
    queries = {question.name for scene in recording.scenes for number in range(1, len(scene.takes) + 1)
               for take in [read_take(recording, scene, number)] for point in take.points
               for sighting in sightings(take.frames(point), ports=lab.dns_ports)
               for question in sighting.message.questions}
    own = ("cluster.local.", "example.com.", "example.net.", "in-addr.arpa.")
    found = {
        "domain names, their labels replaced": sorted(name for name in queries - {"."} if not name.endswith(own)),
        "addresses in names (in-addr.arpa)": sorted(name for name in queries if name.endswith(".arpa.")),
        "names of namespaces and pods": sorted({f"{pod.namespace}/{pod.name}" for pod in lab.pods()}),
        "names of Services": sorted({f"{service.namespace}/{service.name}" for service in lab.services}),
        "always": ["the lab's own ranges", "ports and other numbers", "versions", "times", "the words of the programs"],
    }
    listed = [f"  {what}: {', '.join(words)}" for what, words in found.items() if words]
    return "\n".join(["It may still tell:", *listed])
