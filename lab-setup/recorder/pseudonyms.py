"""What stands for what in a scrubbed recording: made up when something is first met, the same ever after."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from recorder.known_words import DOTTED_INTERFACE, INTERFACE, KNOWN, KUBE_CHAIN, LABELS, NUMBER
from recorder.secret_words import PERSONAL, SECRETS, masked

KEPT = [ip_network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "ff00::/8",
                                    "fc00:f853:ccd:e793::/64")]     # they mean the same everywhere; the last is kind's
LOCAL = ip_network("fc00::/7")          # RFC 4193: most networks have drawn theirs
DOCUMENTATION = ("192.0.2.", "203.0.113.", "198.51.100.")           # RFC 5737; for IPv6 2001:db8:: (RFC 3849)
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d)(?!\.in-addr)(/\d{1,2}(?!\d))?")
NETWORKS, SHORTEST = int(IPv4Address("240.0.0.0")), 8        # reserved (RFC 1112); of what is shorter nobody tells much
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
MAC = re.compile(r"(?:(?<![\w:-])|(?<=MACSRC=)|(?<=MACDST=))(?:(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}"
                 r"|(?:[0-9a-fA-F]{2}-){5}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4})(?![\w:-])")
UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])")
HEX_ID = re.compile(r"(?<![0-9A-Za-z])(?<!-8000-)(?=[0-9]{0,128}[a-f])[0-9a-f]{12,128}(?![0-9A-Za-z])")
DOTTED = re.compile(r"(?<![\w\\*.-])[\w\\*-]*\.[\w\\*.-]*")          # names, and what only looks like one:
NO_NAME = re.compile(r"\W+|[\d.]+[a-z]{0,3}|v?\d+(?:\.\d+)+(?:-\w+)*|net\.(?:ipv[46]|netfilter)\.[\w.-]+|resolv\.conf"
                     rf"|{DOTTED_INTERFACE}"
                     r"|(?:node-role\.)?kubernetes\.io|com\.docker\.network\.bridge\.name|[\w-]+\.")
WIRE_LABEL = re.compile(r"[\w-]+")
REVERSE = ("in-addr", "arpa")
IDS = rf"(?:cni-)?{UUID.pattern}|a\d{{11}}0*"        # what stands for an id
TOKEN = re.compile(
    rf"{IPV6.pattern}|{MAC.pattern}|(?<=trace id )[0-9a-f]+|(?<=TRACE: \d )[0-9a-f]+|(?<=PACKET: \d )[0-9a-f]+|"
    r"(?:service|local|external|endpoint|affinity|firewall)-(?=[A-Z2-7]{8}-)|(?<=-)[A-Z2-7]{8}(?=-)|"
    rf"(?:{INTERFACE}|{NUMBER}|{IDS})(?!\w|-\w)|{KUBE_CHAIN}|"
    r"kitlib-trace(?:-[0-9a-f]{1,40}-\d+-\d+)?(?![\w-])|(?P<name>[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)")
HASH = re.compile(r"(?<=-)[A-Z2-7]{16}(?![\w-])|^(?=.*[A-Z])[A-Z2-7]{8}$")      # of a Service's name, by kube-proxy
NO_ASCII = re.compile(r"[^\n\t -~…]")


@dataclass
class Pseudonyms:
    """The lab's own ranges and labels, which stay, and a pseudonym for all else; `names` are known beforehand."""

    ranges: list[IPv4Network | IPv6Network]
    names: dict[str, str]
    own: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    addresses: dict[str, str] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made = {word.lower() for name in self.names.values() for word in re.split(r"[-_.]", name)}
        self._count: Counter[int] = Counter()
        self._known_addresses: dict[str, str] = {}
        self._free = [f"{prefix}{end}" for prefix in DOCUMENTATION for end in range(1, 255)]
        known = sorted(self.names, key=len, reverse=True)
        self._known = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, known)) or '$.'})(?![A-Za-z0-9])", re.I)
        self._lower = {name.lower(): new for name, new in self.names.items()}

    def text(self, text: str) -> str:
        """Return a text with everything replaced."""
        text = self._replace_names(masked(text, SECRETS))
        text = UUID.sub(lambda match: self.uuid(match[0]), MAC.sub(lambda match: self.mac(match[0]), text))
        text = HEX_ID.sub(lambda match: self.hex_id(match[0]), text)
        text = masked(DOTTED.sub(lambda match: self.dotted(match[0]), text), PERSONAL)
        return IPV6.sub(lambda match: self.address(match[0]), IPV4.sub(self._address_or_network, text))

    def only_known(self, text: str) -> str:
        """Return a text with everything replaced, and every word that no program writes of itself."""
        text = self.text(NO_ASCII.sub("x", text))
        return TOKEN.sub(lambda found: self.words_of(found["name"], KNOWN) if found["name"] else
                         HASH.sub(self._hash, found[0]), text)

    def _hash(self, match: re.Match[str]) -> str:
        """Return the pseudonym of a hash of a Service's name: who guesses the name could check the guess by it."""
        old, letters = match[0], "".join(chr(65 + int(digit)) for digit in str(len(self.ids)))
        return old if old in self.hashes else self._pseudonym(self.ids, old, letters.rjust(len(old), "A"))

    def _replace_names(self, text: str) -> str:
        return self._known.sub(lambda match: self._lower[match[0].lower()], text)

    def mac(self, old: str) -> str:
        """Return the pseudonym of a MAC, a locally administered one; broadcast, multicast and zero stay.

        xtables-monitor leaves out leading zeros, and so does the pseudonym of what it prints.
        """
        digits = re.sub(r"[-.:]", "", old) if len(old) in (14, 17) else "".join(
            part.zfill(2) for part in old.split(":"))
        digits = digits.lower()
        if digits == "0" * 12 or int(digits[:2], 16) & 1:
            return old
        new = self._pseudonym(self.macs, digits, f"02{len(self.macs):010x}")
        if "." in old:
            return ".".join(new[at:at + 4] for at in range(0, 12, 4))
        pairs = [new[at:at + 2] for at in range(0, 12, 2)]
        return "-".join(pairs) if "-" in old else ":".join(
            pairs if len(old) == 17 else (f"{int(pair, 16):x}" for pair in pairs))

    def uuid(self, old: str) -> str:
        """Return the pseudonym of a UUID: a machine's, an object's, a network namespace's."""
        return self._pseudonym(self.ids, old.lower(), f"00000000-0000-4000-8000-{len(self.ids):012x}")

    def hex_id(self, old: str) -> str:
        """Return the pseudonym of an id of hexadecimal digits; Docker shortens its own to the first twelve."""
        return (self._pseudonym(self.ids, old[:12], f"a{len(self.ids):011x}") + "0" * 128)[:len(old)]

    def dotted(self, old: str) -> str:
        """Return the pseudonym of a domain name, its last dot included; what is no name, or the lab's own, stays."""
        before, joint, behind = old.partition("__")         # as kube-proxy writes an endpoint: https__10.0.0.1/443
        if joint:
            return before + joint + self.dotted(behind)
        return old if NO_NAME.fullmatch(old) else ".".join(self.name(old.split(".")))

    def name(self, labels: Sequence[str]) -> list[str]:
        """Return the pseudonym of a name, label by label, each as long as before: a message keeps its length."""
        longest = len(labels) - 7           # of an address in in-addr.arpa, with a last dot
        return [label if not label or (at >= longest and self._stays(label, labels[at:])) else self.label(label)
                for at, label in enumerate(labels)]

    def _stays(self, label: str, tail: Sequence[str]) -> bool:
        """Say whether a label stays as it is; `tail` is the name from this label on."""
        parts = [part for part in tail if part]
        octets, is_reverse = parts[:-2], label.isdigit() and tuple(parts[-2:]) == REVERSE
        return is_reverse and len(octets) <= 4 and self._is_near([*reversed(octets)])

    def _is_near(self, octets: list[str]) -> bool:
        """Say whether an address that begins so can be one of the lab's, or means the same everywhere."""
        if not all(octet.isdigit() and int(octet) < 256 for octet in octets):
            return False
        length = 8 * len(octets)
        network = ip_network((IPv4Address(bytes([*map(int, octets), 0, 0, 0, 0][:4])), length))
        return any(known.version == 4 and known.overlaps(network) for known in (*KEPT, *self.ranges))

    def label(self, old: str) -> str:
        """Return the pseudonym of one label of a domain name, as long as it is."""
        if len(old) == 1 or old.isdigit():
            return self._word(old)
        return self.words_of(old)

    def words_of(self, old: str, known: Collection[str] = LABELS) -> str:
        """Return a name with pseudonyms for its words, but for those that are `known` and short numbers.

        Four numbers in a row are an address, as in ip-192-0-2-1.
        """
        parts = re.split(r"([-_]+)", self._replace_names(old))
        is_address = sum(part.isdigit() for part in parts) >= 4

        def stays(part: str) -> bool:
            if part.isdigit():
                return len(part) < 5 and not is_address
            stem = part.lower().rstrip("0123456789")
            return part[:1] in "-_" or len(part) == 1 or part.lower() in known or (
                stem in known and len(part) - len(stem) < 4)

        return "".join(part if stays(part) else self._word(part) for part in parts)

    def _word(self, old: str) -> str:
        """Return the pseudonym of a word, as long as it is; words of one or two letters may have to share theirs."""
        word = old.lower()
        if word in LABELS or word in self.labels or not word.strip("x"):
            return old
        return self._pseudonym(self.words, word, self.words.get(word) or self._new_word(len(word)))

    def _new_word(self, length: int) -> str:
        for number in range(self._count[length], 23 ** min(length, 6)):
            digits = [chr(97 + number // 23 ** place % 23) for place in reversed(range(6))]
            new = ("".join(digits).lstrip("a") or "a").rjust(length, "x")
            if new not in KNOWN:
                self._count[length] = number + 1
                return new
        return "x" * length

    def _pseudonym(self, table: dict[str, str], old: str, new: str) -> str:
        """Return the pseudonym that the table has, or take this new one; what is a pseudonym already stays."""
        if old in self._made:
            return old
        self._made.add(table.setdefault(old, new))
        return table[old]

    def address(self, old: str) -> str:
        """Return the pseudonym of an address outside the lab's ranges, of its length where that can be."""
        if old not in self._known_addresses:        # a recording holds each thousands of times
            self._known_addresses[old] = self._address(old)
        return self._known_addresses[old]

    def _address(self, old: str) -> str:
        try:
            address = ip_address(re.sub(r"(?<![\d:])0+(?=\d)", "", old) if ":" not in old else old)
        except ValueError:
            return old          # a version, a time
        if any(address in network for network in (*KEPT, *self.ranges) if network.version == address.version):
            return old
        if str(address) not in self.addresses:
            self.addresses[str(address)] = self._new_address(address)
        return self.addresses[str(address)]

    def _address_or_network(self, match: re.Match[str]) -> str:
        """Return the pseudonym of an address, and of a network one that is a network too."""
        address, slash, length = match[0].partition("/")
        if not slash:
            return self.address(address)
        try:
            network = ip_network(match[0])
        except ValueError:      # an address in its network, or none at all
            return self.address(address) + slash + length
        if not SHORTEST <= network.prefixlen < 32:
            return match[0] if network.prefixlen < SHORTEST else self.address(address) + slash + length
        if any(network.overlaps(known) for known in (*KEPT, *self.ranges) if known.version == 4):
            return match[0]
        size = 2 ** (32 - network.prefixlen)
        base = -(-NETWORKS // size) + len(self.addresses) + 1
        return self.addresses.setdefault(str(network), f"{IPv4Address(base * size)}/{network.prefixlen}")

    def _new_address(self, address: IPv4Address | IPv6Address) -> str:
        if isinstance(address, IPv6Address):
            prefix = "fe80" if address.is_link_local else "fd00" if address in LOCAL else "2001:db8"
            return f"{prefix}::{len(self.addresses) + 1:x}"
        if not self._free:                  # more than RFC 5737 has room for: reserved ones, RFC 1112
            return str(IPv4Address("240.0.0.0") + len(self.addresses))
        nearest = min(range(len(self._free)), key=lambda at: abs(len(self._free[at]) - len(str(address))))
        return self._free.pop(nearest)


def names_of(nodes: Iterable[tuple[str, str]], containers: Iterable[str]) -> dict[str, str]:
    """Return the pseudonyms of the cluster's name, which kind writes before every node's, or of the nodes' names.

    `nodes` are names and titles (without what all names have in front). Lengths stay.
    """
    nodes = list(nodes)
    name, title = nodes[0]
    prefix = name.removesuffix(title).rstrip("-")
    others = {old: padded(f"container{number}", old)
              for number, old in enumerate(sorted(set(containers) - OWN), start=1)}
    is_kinds = all(re.fullmatch(r"control-plane\d*|worker\d*", title) for _, title in nodes)
    if is_kinds and prefix not in COMMON and len(prefix) > 3:
        return others | {prefix: padded("cluster", prefix)}
    return others | {old: padded(f"node{number}", old) for number, (old, _) in enumerate(nodes, start=1)} | (
        {f"kind-{prefix}": padded("cluster", f"kind-{prefix}")} if prefix and prefix not in COMMON else {})


OWN = {"upstream-dns", "outside"}           # the containers of the walkthrough
COMMON = ("", "kind", "cluster", "default", "test", "node")     # as cluster names no good: such words stand everywhere


def padded(word: str, old: str) -> str:
    """Cut or fill a word to the length of another."""
    return word.ljust(len(old), "x")[:len(old)]
