"""The conditions that are understood: what each is about, the packet's value, and whether it fits the rule's.

Sources: iptables-extensions(8), net/netfilter/xt_*.c.


Does a rule match a packet, and why (not): every condition in words. iptables-extensions(8), net/netfilter/xt_*.c."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import IPv4Address
from typing import NamedTuple

from kitlib.netfilter.packet import Packet, RuleOutcome, RuleStep
from kitlib.netfilter.state import Netfilter
from kitlib.parsers.iptables_save import Chain, Match, Option, Rule

PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}
KNOWN_TYPES = ("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST")
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT")


class Property(NamedTuple):
    """A simple condition: what it is about, the packet's value, and whether that fits the rule's (None: unknown)."""

    name: str
    value: Callable[[Packet, Netfilter], object]
    fits: Callable[[object, str], bool | None]
    shown: Callable[[object], str] = str


@cache
def _network(words: str) -> tuple[int, int]:
    address, _, length = words.partition("/")
    # A mask may have holes: iptables-save writes it as 255.0.0.255 then.
    mask = int(IPv4Address(length)) if "." in length else (1 << 32) - (1 << 32 - int(length or 32))
    return int(IPv4Address(address)) & mask, mask


def _in_network(address: object, wanted: str) -> bool | None:
    if "," in wanted:
        return any(_in_network(address, one) for one in wanted.split(","))
    network, mask = _network(wanted)
    return int(IPv4Address(str(address))) & mask == network


def _is_interface(name: object, wanted: str) -> bool:
    return str(name).startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted


def _is_protocol(protocol: object, wanted: str) -> bool:
    return PROTOCOLS.get(wanted, wanted) in (protocol, "all")


def _in_ports(port: object, wanted: str) -> bool | None:
    if port is None:
        return None
    ranges = (part.partition(":") for part in wanted.split(","))
    return any(int(low or 0) <= port <= int((high or 65535) if dots else low) for low, dots, high in ranges)


def _any_port(ports: object, wanted: str) -> bool | None:
    found = [_in_ports(port, wanted) for port in ports]
    return True if True in found else None if None in found else False


def _has_mark(mark: object, wanted: str) -> bool:
    value, _, mask = wanted.partition("/")
    return mark & int(mask or "0xffffffff", 0) == int(value, 0)


def _in_state(states: object, wanted: str) -> bool:
    return not states.isdisjoint(wanted.split(","))


def _is_found(found: object, wanted: str) -> bool | None:
    return None if found is None else wanted in found


def _has_type(address_type: object, wanted: str) -> bool | None:
    types = wanted.split(",")
    return None if set(types) - set(KNOWN_TYPES) else address_type in types


def _states(states: object) -> str:
    return " and ".join(sorted(states, key=STATES.index))


def _yes_or_no(value: object) -> str:
    return "yes" if value else "no"


def _or_none(name: object) -> str:
    return str(name) or "none"


SPORT = Property("source port", lambda packet, _: packet.sport, _in_ports)
DPORT = Property("destination port", lambda packet, _: packet.dport, _in_ports)
STATE = Property("conntrack state", lambda packet, _: packet.states, _in_state, _states)
STRING = Property("what is found in it", lambda packet, _: packet.holds, _is_found,
               lambda found: "(unknown)" if found is None else ", ".join(sorted(found)) or "nothing")
ALWAYS = Property("", lambda packet, _: "", lambda *_: True)
FIELDS: dict[tuple[str, str], Property] = {
    ("", "-s"): Property("source", lambda packet, _: packet.source, _in_network),
    ("", "-d"): Property("destination", lambda packet, _: packet.destination, _in_network),
    ("", "-i"): Property("in-interface", lambda packet, _: packet.in_interface, _is_interface, _or_none),
    ("", "-o"): Property("out-interface", lambda packet, _: packet.out_interface, _is_interface, _or_none),
    ("", "-p"): Property("protocol", lambda packet, _: packet.protocol, _is_protocol),
    **{(module, option): field for module in ("udp", "tcp", "sctp") for option, field in
       (("--sport", SPORT), ("--dport", DPORT))},
    ("multiport", "--sports"): SPORT,
    ("multiport", "--dports"): DPORT,
    ("multiport", "--ports"): Property("one of the ports", lambda packet, _: (packet.sport, packet.dport), _any_port),
    ("mark", "--mark"): Property("mark", lambda packet, _: packet.mark, _has_mark, hex),
    ("conntrack", "--ctstate"): STATE,
    ("state", "--state"): STATE,
    ("addrtype", "--src-type"): Property("the source's type", lambda packet, at: at.type_of(packet.source), _has_type),
    ("addrtype", "--dst-type"): Property("the destination's type", lambda packet, at: at.type_of(packet.destination),
                                      _has_type),
    ("comment", "--comment"): ALWAYS,
    **{("string", option): STRING for option in ("--string", "--hex-string")},
    **{("string", option): ALWAYS for option in ("--algo", "--from", "--to")},      # how and where it is searched
    ("physdev", "--physdev-in"): Property("bridge port in", lambda packet, _: packet.physdev_in, _is_interface),
    ("physdev", "--physdev-out"): Property("bridge port out", lambda packet, _: packet.physdev_out, _is_interface),
    **{("physdev", f"--physdev-is-{what}"): Property(f"physdev-is-{what}", value, lambda port, _: bool(port),
                                                        _yes_or_no)
       for what, value in (("in", lambda packet, _: packet.physdev_in), ("out", lambda packet, _: packet.physdev_out),
                           ("bridged", lambda packet, _: packet.physdev_in and packet.physdev_out))},
}


STATEFUL = ("limit", "hashlimit", "recent", "connlimit", "connbytes", "quota", "rateest")


class Condition(NamedTuple):
    """One condition: does it hold (None: cannot be told), with what probability, and the words for it."""

    holds: bool | None
    words: str
    probability: float = 1.0


class MatchResult(NamedTuple):
    """A rule and a packet: the outcome and why; `probability` below 1 where a coin decides (`statistic`)."""

    outcome: RuleOutcome
    why: str
    probability: float = 1.0


def judge(rule: Rule, packet: Packet, kernel: Netfilter) -> MatchResult:
    """Look at one rule as the kernel would: one condition that fails is enough to skip it."""
    findings = [finding for match in rule.matches for finding in _findings(match, packet, kernel)]
    failed = next((finding for finding in findings if finding.holds is False), None)
    if failed:
        return MatchResult(RuleOutcome.SKIPPED, failed.words)
    unknown = [finding.words for finding in findings if finding.holds is None]
    if unknown:
        return MatchResult(RuleOutcome.UNDECIDED, "; ".join(unknown))
    probability = 1.0
    for finding in findings:
        probability *= finding.probability
    words = ", ".join(finding.words for finding in findings if finding.words)
    return MatchResult(RuleOutcome.MATCHED, words or "it has no condition", probability)


def _findings(match: Match, packet: Packet, kernel: Netfilter) -> Iterator[Condition]:
    if match.module == "statistic":
        yield _coin(match)
        return
    for option in match.options:
        field = FIELDS.get((match.module, option.name))
        if field:
            yield _finding(field, option, packet, kernel)
        elif match.module in STATEFUL:
            yield Condition(None, f"-m {match.module} depends on the packets before this one")
        else:
            yield Condition(None, f"unknown here: {f'-m {match.module} ' if match.module else ''}{option.name}")
    if not match.options and match.module not in ("udp", "tcp", "sctp", "comment"):
        yield Condition(None, f"unknown here: -m {match.module}")


def _finding(field: Property, option: Option, packet: Packet, kernel: Netfilter) -> Condition:
    value = field.value(packet, kernel)
    wanted = option.values[0] if option.values else "yes"
    fits = field.fits(value, wanted)
    if fits is None:
        return Condition(None, f"{field.name} {field.shown(value)} against {wanted} cannot be told")
    name = f"{field.name} is {field.shown(value)}" if field.name else ""
    if fits != option.negated:
        return Condition(True, f"{name}, not {wanted}" if option.negated and name else name)
    return Condition(False, f"{name}, the rule wants {'anything but ' if option.negated else ''}{wanted}")


def _coin(match: Match) -> Condition:
    said = {option.name: option for option in match.options}
    if "--probability" in said:
        option = said["--probability"]
        chance = float(option.values[0])
    elif "--every" in said:
        option = said["--every"]
        chance = 1 / int(option.values[0])
    else:
        return Condition(None, "unknown here: -m statistic without --probability or --every")
    chance = 1 - chance if option.negated else chance
    how = "a coin decides" if option.name == "--probability" else "packets are counted"
    return Condition(True, f"{how}: {chance:.3g} of the packets match", chance)


class SkippedRules(NamedTuple):
    """Rules `first` to `last` of a chain, all of which this packet was skipped by."""

    chain: Chain
    first: int
    last: int
    packet: Packet
    depth: int

    def steps(self, kernel: Netfilter) -> Iterator[RuleStep]:
        """Each of these rules, with the reason."""
        for rule in self.chain.rules[self.first - 1:self.last]:
            why = judge(rule, self.packet, kernel).why
            yield RuleStep(rule.table, rule.chain, rule, RuleOutcome.SKIPPED, why, "", self.depth, self.packet,
                           self.packet)
