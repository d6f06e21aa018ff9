"""What stands for what in a scrubbed recording: made when something is met for the first time, the same ever after."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from kitlib.secret_words import without_secrets

KEPT = [ip_network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7",
                                    "ff00::/8")]                     # they mean the same everywhere
DOCUMENTATION = ("192.0.2.", "203.0.113.", "198.51.100.")           # RFC 5737; for IPv6 2001:db8:: (RFC 3849)
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d)(?!\.in-addr)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
MAC = re.compile(r"(?:(?<![\w:])|(?<=MACSRC=)|(?<=MACDST=))(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}(?![\w:])")


@dataclass
class StandIns:
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
