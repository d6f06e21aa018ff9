"""What a rule does to a packet that it matches: the verdict, and what is rewritten. iptables-extensions(8)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from kitlib.netfilter.packet import Packet, Unknown
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.iptables_save import Rule

VERDICTS = {"": "CONTINUE", "ACCEPT": "ACCEPT", "DROP": "DROP", "RETURN": "RETURN", "REJECT": "DROP"}
# They look, count, or change what no rule and no route here reads.
ONLY_GO_ON = {"LOG", "NFLOG", "TRACE", "AUDIT", "CHECKSUM", "TCPMSS", "TOS", "DSCP", "TTL", "HL", "CLASSIFY",
              "CONNSECMARK"}


class Effect(NamedTuple):
    """What a target or a statement of nftables does: the verdict (in the words of the kernel's trace), the packet.

    Of a statement also `why` it holds, or why it is `unknown` whether it does; without a verdict the next one follows.
    """

    verdict: str
    packet: Packet
    why: str = ""
    unknown: str = ""


def apply(rule: Rule, packet: Packet, hook: str, netfilter: Netfilter) -> Effect:
    """Do to a packet at this hook what the target of a rule, which is no chain of the ruleset, would do.

    Raises Unknown.
    """
    try:
        return _apply(rule, packet, hook, netfilter)
    except ValueError:
        raise Unknown(f"a value that is not understood here: {rule.text}") from None


def _apply(rule: Rule, packet: Packet, hook: str, netfilter: Netfilter) -> Effect:
    target = rule.target
    words = {option.name: next(iter(option.values), "") for option in rule.parts.target_options}
    if target in VERDICTS:
        return Effect(VERDICTS[target], packet)
    if target in ("TTL", "HL") and hook == "PREROUTING" and not _leaves_hops(words):
        raise Unknown(f"whether -j {target} leaves it enough hops to be forwarded is not known")
    if target in ONLY_GO_ON:
        return Effect("CONTINUE", packet)
    if target == "MARK" and "--set-xmark" in words:
        return Effect("CONTINUE", packet._replace(mark=_marked(packet.mark, words["--set-xmark"])))
    if target == "NOTRACK" or (target == "CT" and "--notrack" in words):
        return Effect("CONTINUE", untracked(packet))
    if target == "CT" and words.keys() <= {"--helper", "--ctevents", "--expevents"}:
        return Effect("CONTINUE", packet)
    if target == "DNAT" and "--to-destination" in words:
        return to_destination(packet, *split_socket(words["--to-destination"]))
    if target == "REDIRECT":
        return redirect(packet, hook, words.get("--to-ports", ""), netfilter)
    if target == "SNAT" and "--to-source" in words:
        return from_source(packet, *split_socket(words["--to-source"]), words)
    if target == "MASQUERADE":
        address = netfilter.masquerade_address(packet.out_interface, packet.destination)
        return from_source(packet, address, words.get("--to-ports", ""), words)
    raise Unknown(f"unknown here: -j {target}{''.join(f' {name}' for name in words)}")


def _leaves_hops(words: dict[str, str]) -> bool:
    """Tell whether a router, which drops what comes with one hop left, surely forwards the packet afterwards."""
    given = words.get("--ttl-set") or words.get("--hl-set")
    return int(given) > 1 if given else words.keys() <= {"--ttl-inc", "--hl-inc"}


def _marked(mark: int, words: str) -> int:
    """Apply --set-xmark VALUE/MASK: zero the bits of the mask, then XOR the value."""
    value, _, mask = words.partition("/")
    return (mark & ~int(mask or "0xffffffff", 0) & 0xFFFFFFFF) ^ int(value, 0)


def untracked(packet: Packet) -> Packet:
    """Exempt a packet from tracking; one that comes from lo has its connection already."""
    return packet._replace(states=frozenset({"UNTRACKED"})) if "INVALID" in packet.states else packet


def split_socket(words: str) -> tuple[str, str]:
    """Split "10.0.0.1:53", "10.0.0.1", ":53", "fd00::1" or "[fd00::1]:53" into address and port."""
    if words.startswith("[") or words.count(":") < 2:
        address, _, port = words.rpartition(":") if ":" in words.rpartition("]")[2] else (words, "", "")
        return address.strip("[]"), port
    return words, ""


def redirect(packet: Packet, hook: str, port: str, netfilter: Netfilter) -> Effect:
    """Send a packet to this machine itself; an interface without an address drops it (nf_nat_redirect.c)."""
    any_address, loopback = ("::", "::1") if ":" in packet.destination else ("0.0.0.0", "127.0.0.1")
    address = loopback if hook == "OUTPUT" else netfilter.address_of(packet.in_interface, any_address)
    if not address and netfilter.unknown_addresses:
        raise Unknown(f"which address that is here is not known: {netfilter.unknown_addresses}")
    return to_destination(packet, address, port) if address else Effect("DROP", packet)


def to_destination(packet: Packet, address: str, port: str) -> Effect:
    """Rewrite the destination; an address or a port that is not given stays."""
    if "-" in address:
        raise Unknown(f"which address of {address} is drawn is not known")
    address = str(ip_address(address or packet.destination))
    changed = packet._replace(destination=address, dport=_port(port, packet.dport))
    return Effect("ACCEPT", _with_state(packet, changed, "DNAT"))


def from_source(packet: Packet, address: str, port: str, words: dict[str, str]) -> Effect:
    """Rewrite the source; the port stays, unless it is to be random."""
    if "-" in address or not address:
        raise Unknown(f"which address of {address or 'the interface'} is drawn is not known")
    is_random = "--random" in words or "--random-fully" in words
    changed = packet._replace(source=str(ip_address(address)), sport=None if is_random else _port(port, packet.sport))
    return Effect("ACCEPT", _with_state(packet, changed, "SNAT"))


def _port(words: str, now: int | None) -> int | None:
    """Read the port that a target names; of several the kernel draws one: None."""
    low, _, high = words.partition("-")
    return now if not low else int(low) if high in ("", low) else None


def _with_state(before: Packet, after: Packet, kind: str) -> Packet:
    """Add DNAT or SNAT to the connection's state, if something was rewritten."""
    same = before._replace(states=after.states) == after
    return after if same else after._replace(states=after.states | {kind})
