"""Does a rule match a packet, and why (not): every condition in words. iptables-extensions(8), net/netfilter/xt_*.c."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kitlib.netfilter.conditions import FIELDS, Field
from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.packet import Outcome, Packet, Step
from kitlib.ruleset import Chain, Match, Option, Rule

STATEFUL = ("limit", "hashlimit", "recent", "connlimit", "connbytes", "quota", "rateest")


class Finding(NamedTuple):
    """One condition: does it hold (None: cannot be told), with what probability, and the words for it."""

    holds: bool | None
    words: str
    probability: float = 1.0


class Judgement(NamedTuple):
    """A rule and a packet: the outcome and why; `probability` below 1 where a coin decides (`statistic`)."""

    outcome: Outcome
    why: str
    probability: float = 1.0


def judge(rule: Rule, packet: Packet, kernel: Kernel) -> Judgement:
    """Look at one rule as the kernel would: one condition that fails is enough to skip it."""
    findings = [finding for match in rule.matches for finding in _findings(match, packet, kernel)]
    failed = next((finding for finding in findings if finding.holds is False), None)
    if failed:
        return Judgement(Outcome.SKIPPED, failed.words)
    unknown = [finding.words for finding in findings if finding.holds is None]
    if unknown:
        return Judgement(Outcome.UNDECIDED, "; ".join(unknown))
    probability = 1.0
    for finding in findings:
        probability *= finding.probability
    words = ", ".join(finding.words for finding in findings if finding.words)
    return Judgement(Outcome.MATCHED, words or "it has no condition", probability)


def _findings(match: Match, packet: Packet, kernel: Kernel) -> Iterator[Finding]:
    if match.module == "statistic":
        yield _coin(match)
        return
    for option in match.options:
        field = FIELDS.get((match.module, option.name))
        if field:
            yield _finding(field, option, packet, kernel)
        elif match.module in STATEFUL:
            yield Finding(None, f"-m {match.module} depends on the packets before this one")
        else:
            yield Finding(None, f"unknown here: {f'-m {match.module} ' if match.module else ''}{option.name}")
    if not match.options and match.module not in ("udp", "tcp", "sctp", "comment"):
        yield Finding(None, f"unknown here: -m {match.module}")


def _finding(field: Field, option: Option, packet: Packet, kernel: Kernel) -> Finding:
    value = field.value(packet, kernel)
    wanted = option.values[0] if option.values else "yes"
    fits = field.fits(value, wanted)
    if fits is None:
        return Finding(None, f"{field.name} {field.shown(value)} against {wanted} cannot be told")
    name = f"{field.name} is {field.shown(value)}" if field.name else ""
    if fits != option.negated:
        return Finding(True, f"{name}, not {wanted}" if option.negated and name else name)
    return Finding(False, f"{name}, the rule wants {'anything but ' if option.negated else ''}{wanted}")


def _coin(match: Match) -> Finding:
    said = {option.name: option for option in match.options}
    if "--probability" in said:
        option = said["--probability"]
        chance = float(option.values[0])
    elif "--every" in said:
        option = said["--every"]
        chance = 1 / int(option.values[0])
    else:
        return Finding(None, "unknown here: -m statistic without --probability or --every")
    chance = 1 - chance if option.negated else chance
    how = "a coin decides" if option.name == "--probability" else "packets are counted"
    return Finding(True, f"{how}: {chance:.3g} of the packets match", chance)


class Stretch(NamedTuple):
    """Rules `first` to `last` of a chain, all of which this packet was skipped by."""

    chain: Chain
    first: int
    last: int
    packet: Packet
    depth: int

    def steps(self, kernel: Kernel) -> Iterator[Step]:
        """Each of these rules, with the reason."""
        for rule in self.chain.rules[self.first - 1:self.last]:
            why = judge(rule, self.packet, kernel).why
            yield Step(rule.table, rule.chain, rule, Outcome.SKIPPED, why, "", self.depth, self.packet, self.packet)
