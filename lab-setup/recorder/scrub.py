"""What stands for what in a scrubbed recording: made when something is met for the first time, the same ever after.

Other addresses, MACs and names in captured frames: the same lengths, and checksums that are right where they were.

Checksums: RFC 1071, RFC 768, RFC 9293. A frame caught before the network card has worked on it carries a partial
checksum (the pseudo-header's sum alone, Linux skbuff.h: CHECKSUM_PARTIAL); that stays a partial one. What was wrong
otherwise is left as it is: it cannot be told what it should say.


A copy of a recording without what identifies its cluster: the same stand-in everywhere, in text and in packets.

Replaced: node and cluster names, addresses outside the lab's own ranges, MACs, image registries, machine ids, secrets.
Kept: the lab's own ranges (pods, Services, nodes), loopback, multicast. `remaining` lists what a reader may still see.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from kitlib.backends.recording import index_of, lines, load, text
from kitlib.backends.replay import RecordedLab
from kitlib.errors import KitError
from kitlib.lab import Lab
from kitlib.parsers.dns import sightings
from kitlib.parsers.packets import ETHER_IPV4, ETHER_IPV6, TCP, UDP, packet_start
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.sighting import Frame
from recorder.secret_words import without_secrets
from recorder.validate import validate_and_print

KEPT = [ip_network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7",
                                    "ff00::/8")]                     # they mean the same everywhere
DOCUMENTATION = ("192.0.2.", "203.0.113.", "198.51.100.")           # RFC 5737; for IPv6 2001:db8:: (RFC 3849)
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d)(?!\.in-addr)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
MAC = re.compile(r"(?:(?<![\w:])|(?<=MACSRC=)|(?<=MACDST=))(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}(?![\w:])")


@dataclass
class Pseudonyms:
    """The lab's own ranges, which stay, and for everything else its stand-in; `names` are known beforehand."""

    ranges: list[IPv4Network | IPv6Network]
    names: dict[str, str]
    addresses: dict[str, str] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)

    def text(self, said: str) -> str:
        """A text with everything replaced."""
        for old, new in self.names.items():
            said = re.sub(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", new, said)
        said = MAC.sub(lambda match: self.mac(match[0]), without_secrets(said))
        return IPV6.sub(lambda match: self.address(match[0]), IPV4.sub(lambda match: self.address(match[0]), said))

    def value(self, value: Any) -> Any:
        """A JSON value with every text in it replaced."""
        if isinstance(value, dict):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def mac(self, found: str) -> str:
        """The stand-in of a MAC, a locally administered one; broadcast, multicast and zero stay.

        xtables-monitor leaves out leading zeros, and so does the stand-in of what it says.
        """
        if len(found) < 17:
            full = self.mac(":".join(part.zfill(2) for part in found.split(":")))
            return re.sub(r"\b0(?=[0-9a-f])", "", full)
        if found in ("00:00:00:00:00:00", *self.macs.values()) or int(found[:2], 16) & 1:
            return found
        return self.macs.setdefault(found, f"02:00:00:00:{len(self.macs) >> 8:02x}:{len(self.macs) & 255:02x}")

    def address(self, found: str) -> str:
        """The stand-in of an address outside the lab's ranges, of its length where that can be."""
        try:
            address = ip_address(found)
        except ValueError:
            return found          # a version, a time
        known = [network for network in (*KEPT, *self.ranges) if network.version == address.version]
        if any(address in network for network in known):
            return found
        if str(address) not in self.addresses:
            self.addresses[str(address)] = self._stand_in(address)
        return self.addresses[str(address)]

    def _stand_in(self, address: Any) -> str:
        taken = set(self.addresses.values())
        if isinstance(address, IPv6Address):
            prefix = "fe80::" if address.is_link_local else "2001:db8::"
            return next(new for number in range(1, 1 << 16) if (new := f"{prefix}{number:x}") not in taken)
        free = [new for prefix in DOCUMENTATION for end in range(1, 255) if (new := f"{prefix}{end}") not in taken]
        return min(free, key=lambda new: abs(len(new) - len(str(address))))


CHECKSUM_AT = {TCP: 16, UDP: 6}
MAC_AT = {1: (0, 6), 113: (6,), 276: (12,)}       # by link type: Ethernet, Linux cooked, Linux cooked v2


def scrub_frame(frame: Frame, stand_ins: Pseudonyms) -> Frame:
    """The frame with everything replaced; its length and its time stay. Beyond IP only MACs are known."""
    ether_type, start = packet_start(frame)
    link, rest = frame.data[:start], frame.data[start:]
    for at in MAC_AT[frame.link_type]:
        mac = bytes.fromhex(stand_ins.mac(link[at:at + 6].hex(":")).replace(":", ""))
        link = link[:at] + mac + link[at + 6:]
    return replace(frame, data=link + (_scrub_ip(rest, stand_ins) if ether_type in (ETHER_IPV4, ETHER_IPV6) else rest))


def _scrub_ip(old: bytes, stand_ins: Pseudonyms) -> bytes:
    first, size, body = (12, 4, (old[0] & 15) * 4) if old[0] >> 4 == 4 else (8, 16, 40)
    ends = [str(ip_address(old[at:at + size])) for at in (first, first + size)]
    new = old[:first] + b"".join(ip_address(stand_ins.address(end)).packed for end in ends) + old[first + 2 * size:body]
    payload = old[body:]
    for before, after in stand_ins.addresses.items():      # the data of A and AAAA records: its length, the address
        packed = ip_address(before).packed, ip_address(after).packed
        payload = payload.replace(*(len(address).to_bytes(2) + address for address in packed))
    for before, after in stand_ins.names.items():
        payload = payload.replace(before.encode(), after.encode())
    return _repaired(old, new + payload, first, body)


def _repaired(old: bytes, new: bytes, first: int, body: int) -> bytes:
    """The new packet with the checksums of IP, UDP and TCP made right where the old packet's were."""
    fragment = first == 12 and int.from_bytes(old[6:8]) & 0x3FFF
    if first == 12 and ones_sum(old[:body]) == 0xFFFF:
        new = new[:10] + _inverted(ones_sum(new[:10] + bytes(2) + new[12:body])) + new[12:]
    protocol = old[9] if first == 12 else old[6]
    end = int.from_bytes(old[2:4]) if first == 12 else 40 + int.from_bytes(old[4:6])
    at = body + CHECKSUM_AT.get(protocol, len(old))
    if fragment or at + 2 > len(old) or end > len(old) or not any(old[at:at + 2]):
        return new
    before, after = (_pseudo(packet[first:body if first == 8 else 20], protocol, end - body) for packet in (old, new))
    if old[at:at + 2] == ones_sum(before).to_bytes(2):
        right = ones_sum(after).to_bytes(2)
    elif ones_sum(before + old[body:end]) == 0xFFFF:
        right = _inverted(ones_sum(after + new[body:at] + bytes(2) + new[at + 2:end]))
    else:
        return new
    return new[:at] + right + new[at + 2:]


def _pseudo(addresses: bytes, protocol: int, length: int) -> bytes:
    return addresses + length.to_bytes(4) + protocol.to_bytes(4)


def _inverted(total: int) -> bytes:
    return (0xFFFF - total or 0xFFFF).to_bytes(2)


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    total = sum(int.from_bytes(data[at:at + 2].ljust(2, b"\0")) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


PUBLIC = ("docker.io", "registry.k8s.io", "quay.io", "ghcr.io", "gcr.io", "k8s.gcr.io", "mcr.microsoft.com")
MACHINE_ID = re.compile(r'"(?:machineID|systemUUID|bootID)": "([\w-]+)"')
REGISTRY = re.compile(r'"image(?:ID)?": "((?:[\w-]+\.)+[\w-]+(?::\d+)?|[\w-]+:\d+|localhost)/')
COMMON = ("kind", "cluster", "default", "test", "node")     # as cluster names no good: such words stand everywhere


def scrub_and_print(raw: Path, out: Path) -> int:
    """Scrub, print what a reader may still see, and whether the copy is sound; exit code 1 if it is not."""
    if out.exists():
        raise KitError(f"{out} is there already. Name a new folder.")
    print(scrub(raw, out))
    return validate_and_print(out)


def scrub(raw: Path, out: Path) -> str:
    """Write a scrubbed copy of the recording in `raw` to `out`, a new folder; say what a reader may still see."""
    lab = Lab(RecordedLab(load(raw)))
    everything = "\n".join(text(file) for file in sorted(raw.rglob("*.json*"))).replace('\\"', '"')
    ranges = [*lab.ranges.pods.split(","), *lab.ranges.services.split(","), lab.network.subnet]
    stand_ins = Pseudonyms([ip_network(net) for net in ranges], names_of(lab) | ids_of(everything))
    shutil.copytree(raw, out)
    for file in sorted(out.rglob("*.jsonl")):
        entries = [stand_ins.value(entry.values) for entry in lines(file)]
        file.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), encoding="utf-8")
    index = stand_ins.value(index_of(out).values) | {"name": out.name}
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
