"""kube-proxy's rules for a Service with other endpoints than it has: what it would write, in its own words.

Source: kubernetes pkg/proxy/iptables/proxier.go (names of chains, order of rules, probabilities).
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import replace

from kitlib.errors import NotFound
from kitlib.netfilter.packet import RuleStep
from kitlib.netfilter.path import PacketPath
from kitlib.parsers.iptables_save import Chain, Rule, Ruleset, parse

SERVICE, ENDPOINT, SERVICES, MARK = "KUBE-SVC-", "KUBE-SEP-", "KUBE-SERVICES", "KUBE-MARK-MASQ"
REJECT = "REJECT --reject-with icmp-port-unreachable"


def endpoints(ruleset: Ruleset, service: str) -> tuple[str, ...]:
    """The endpoints ("10.244.0.2:53") behind a chain KUBE-SVC-…, in the order of its rules."""
    nat = ruleset.tables["nat"]
    return tuple(_socket(nat[rule.target]) for rule in nat[service].rules if rule.target.startswith(ENDPOINT))


def with_endpoints(ruleset: Ruleset, service: str, sockets: Sequence[str]) -> Ruleset:
    """The rules as kube-proxy would write them if the Service had these endpoints; without any, it rejects."""
    nat, wanted = ruleset.tables["nat"], sorted(sockets)
    if not wanted:
        return _rejecting(ruleset, service)
    old = next(rule for rule in nat[service].rules if rule.target.startswith(ENDPOINT))
    kept = [rule.text for rule in nat[service].rules if not rule.target.startswith(ENDPOINT)]
    port_name, protocol = old.comment.partition(" -> ")[0], _dnat(nat[old.target]).matches[0].options[0].values[0]
    chains, texts = [service], kept
    for number, socket in enumerate(wanted):
        chain = endpoint_chain(port_name, protocol, socket)
        chains.append(chain)
        coin = _coin(len(wanted) - number)
        texts.append(f'-A {service} -m comment --comment "{port_name} -> {socket}"{coin} -j {chain}')
        texts += _endpoint_rules(nat[old.target], chain, socket)
    lines = ["*nat", *(f":{chain} - [0:0]" for chain in chains), *texts, "COMMIT"]
    return Ruleset({**ruleset.tables, "nat": {**nat, **parse("\n".join(lines)).tables["nat"]}})


def masquerade_mark(ruleset: Ruleset) -> int:
    """The bit that says "masquerade this packet": what its chain KUBE-MARK-MASQ sets, 0x4000 where there is none."""
    chain = ruleset.chain("nat", MARK)
    set_by = [option.values[0] for rule in chain.rules for option in rule.target_options] if chain else []
    return int(set_by[0].partition("/")[0], 0) if set_by else 0x4000


def masquerade_step(walk: PacketPath) -> RuleStep:
    """The rule that says which packets to the Service are marked, to be masqueraded: it matched this one or did not."""
    for step in walk.steps:
        if step.rule and step.rule.target == MARK and step.chain.startswith(SERVICE):
            return step
    raise NotFound(f"{walk.packet} met no rule that could mark it: it did not come by a chain {SERVICE}….")


def endpoint_chain(port_name: str, protocol: str, socket: str) -> str:
    """The name of an endpoint's chain: "KUBE-SEP-" and a hash of Service, port, protocol and endpoint."""
    digest = hashlib.sha256(f"{port_name}{protocol}{socket}".encode()).digest()
    return ENDPOINT + b32encode(digest).decode()[:16]


def _endpoint_rules(model: Chain, chain: str, socket: str) -> list[str]:
    """The rules of an endpoint's chain, after the model of another's."""
    old = _socket(model)
    return [rule.text.replace(model.name, chain).replace(f"--to-destination {old}", f"--to-destination {socket}")
            .replace(f"-s {old.partition(':')[0]}/32", f"-s {socket.partition(':')[0]}/32") for rule in model.rules]


def _coin(left: int) -> str:
    """The condition that one of `left` endpoints is drawn; iptables keeps a probability in 31 bits."""
    return "" if left == 1 else f" -m statistic --mode random --probability {round(2**31 / left) / 2**31:.11f}"


def _rejecting(ruleset: Ruleset, service: str) -> Ruleset:
    nat, filters = ruleset.tables["nat"], ruleset.tables["filter"]
    gone = [rule for rule in nat[SERVICES].rules if rule.target == service]
    texts = [rule.text.replace(" cluster IP", " has no endpoints").replace(f"-j {service}", f"-j {REJECT}")
             for rule in gone] + [rule.text for rule in filters[SERVICES].rules]
    rejects = parse("\n".join(["*filter", f":{SERVICES} - [0:0]", *texts, "COMMIT"])).tables["filter"]
    left = replace(nat[SERVICES], rules=tuple(rule for rule in nat[SERVICES].rules if rule not in gone))
    return Ruleset({**ruleset.tables, "nat": {**nat, SERVICES: left}, "filter": {**filters, **rejects}})


def _dnat(chain: Chain) -> Rule:
    return next(rule for rule in chain.rules if rule.target == "DNAT")


def _socket(chain: Chain) -> str:
    return next(option.values[0] for option in _dnat(chain).target_options if option.name == "--to-destination")
