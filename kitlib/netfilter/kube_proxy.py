"""The rules that kube-proxy writes for a Service, and what they would be with other endpoints.

Source: kubernetes, pkg/proxy/iptables/proxier.go (syncProxyRules, servicePortChainName, servicePortEndpointChainName,
writeServiceToEndpointRules).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kitlib.errors import NotFound, first_of
from kitlib.netfilter import nft_kube_proxy
from kitlib.netfilter.packet import RuleStep
from kitlib.netfilter.path import PacketPath
from kitlib.parsers.iptables_save import Chain, Rule, Ruleset, parse

SERVICE, ENDPOINT, SERVICES, MARK = "KUBE-SVC-", "KUBE-SEP-", "KUBE-SERVICES", "KUBE-MARK-MASQ"
LOCAL = "KUBE-SVL-"                       # the endpoints on this node alone: externalTrafficPolicy Local
EXTERNAL = ("KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-")     # what node ports, external and load balancer's addresses jump to
NODE_PORTS, FIREWALL = "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"
REJECT = "-j REJECT --reject-with icmp-port-unreachable"


def chain_name(prefix: str, port_name: str, protocol: str, endpoint: str = "") -> str:
    """Return the name of a Service's chain or (with `endpoint`) an endpoint's: a hash, for it must be short."""
    digest = hashlib.sha256(f"{port_name}{protocol}{endpoint}".encode()).digest()
    return prefix + b32encode(digest).decode()[:16]


def endpoint_rules(chain: str, port_name: str, protocol: str, endpoints: Sequence[str], affinity: str = "") -> \
        Iterator[str]:
    """Yield a Service chain's rules for its endpoints ("10.244.0.2:53"), and those of the endpoints' own chains.

    They are written as iptables-save prints them. `affinity`: for how many seconds a client keeps its endpoint.
    """
    chains = {endpoint: chain_name(ENDPOINT, port_name, protocol, endpoint) for endpoint in endpoints}
    clients = {each: f" --name {each} --mask 255.255.255.255 --rsource" for each in chains.values()}
    jumps = {endpoint: f'-A {chain} -m comment --comment "{port_name} -> {endpoint}"' for endpoint in endpoints}
    for endpoint, each in chains.items() if affinity else ():
        yield f"{jumps[endpoint]} -m recent --rcheck --seconds {affinity} --reap{clients[each]} -j {each}"
    for left, (endpoint, each) in zip(range(len(chains), 0, -1), chains.items(), strict=True):
        yield f"{jumps[endpoint]}{_coin(left)} -j {each}"
    for endpoint, each in chains.items():
        comment, kept = f'-m comment --comment "{port_name}"', f" -m recent --set{clients[each]}" if affinity else ""
        address = endpoint.rpartition(":")[0].strip("[]")
        yield f"-A {each} -s {address}/{128 if ':' in address else 32} {comment} -j {MARK}"
        yield f"-A {each} -p {protocol} {comment}{kept} -m {protocol} -j DNAT --to-destination {endpoint}"


def _coin(left: int) -> str:
    """The condition that one of `left` endpoints is drawn; iptables keeps a probability in 31 bits."""
    return "" if left == 1 else f" -m statistic --mode random --probability {round(2**31 / left) / 2**31:.11f}"


def endpoints(ruleset: Ruleset, service: str) -> tuple[str, ...]:
    """Return the endpoints ("10.244.0.2:53") behind a chain KUBE-SVC-…, in the order of its rules."""
    nat = ruleset.tables["nat"]
    behind = dict.fromkeys(rule.target for rule in nat[service].rules if rule.target.startswith(ENDPOINT))
    return tuple(_dnat(nat[chain])[1] for chain in behind)


def with_endpoints(ruleset: Ruleset, service: str, sockets: Sequence[str]) -> Ruleset:
    """Return the rules as kube-proxy would write them if the Service had these endpoints; without any, it rejects.

    Where only the endpoints of this node serve callers from outside, none is added to those, as its node is not known.
    """
    name = service.removeprefix(SERVICE)
    nearby, outside = LOCAL + name, tuple(prefix + name for prefix in EXTERNAL)
    if not sockets:
        gone = (service, nearby, *outside)
        return _without(_refusing(ruleset, gone, "has no endpoints", REJECT), gone)
    before = endpoints(ruleset, nearby) if nearby in ruleset.tables["nat"] else ()
    left = [each for each in before if each in sockets]
    changed = _rewritten(ruleset, service, sorted(sockets))
    if left:
        return _rewritten(changed, nearby, left)
    return _without(_refusing(changed, outside, "has no local endpoints", "-j DROP"), (nearby,)) if before else changed


def _rewritten(ruleset: Ruleset, service: str, sockets: Sequence[str]) -> Ruleset:
    """Put these endpoints into one chain of a Service; its other rules stay."""
    nat = ruleset.tables["nat"]
    jumps = [rule for rule in nat[service].rules if rule.target.startswith(ENDPOINT)]
    if not jumps:
        raise NotFound(f"{service} has no rule that jumps to an endpoint ({ENDPOINT}…): there is nothing to change.")
    kept = [rule.text for rule in nat[service].rules if rule not in jumps]
    affinity = re.search(r" --rcheck --seconds (\d+) ", jumps[0].text)
    rules = endpoint_rules(service, jumps[0].comment.partition(" -> ")[0], _dnat(nat[jumps[0].target])[0], sockets,
                           affinity[1] if affinity else "")
    return _with_rules(ruleset, "nat", [*kept, *rules])


def _refusing(ruleset: Ruleset, chains: Sequence[str], reason: str, target: str) -> Ruleset:
    """Add the rules by which table filter does `target` to what jumps to these chains and was not rewritten."""
    filters = ruleset.tables.get("filter", {})
    jumps = [chain.rule(number) for name in (SERVICES, NODE_PORTS) if (chain := ruleset.chain("nat", name))
             for number, line in enumerate(chain.lines, 1) if line.rpartition(" ")[2] in chains]
    refusals = list(dict.fromkeys(_refusal(rule, reason, target) for rule in jumps))
    names = {text.split()[1] for text in refusals} & filters.keys()
    return _with_rules(ruleset, "filter", [*refusals, *(rule.text for name in names for rule in filters[name].rules)])


def _without(ruleset: Ruleset, chains: Sequence[str]) -> Ruleset:
    """Take out the jumps to these chains of a Service."""
    tables, outside = dict(ruleset.tables), EXTERNAL[0] + chains[0].rpartition("-")[2]
    for table, start in (("nat", SERVICES), ("nat", NODE_PORTS), ("filter", FIREWALL), ("nat", outside)):
        if chain := ruleset.chain(table, start):
            left = tuple(line for line in chain.lines if line.rpartition(" ")[2] not in chains)
            tables[table] = {**tables[table], start: replace(chain, lines=left)}
    return replace(ruleset, tables=tables)


def _refusal(rule: Rule, reason: str, target: str) -> str:
    """Turn a jump of table nat into a rule of table filter that refuses; node ports are on this machine's addresses."""
    is_internal = rule.target.startswith((SERVICE, LOCAL))
    port_name = rule.comment.partition(" ")[0]
    text = re.sub(r" -[jg] \S+$", f" {target}", rule.text).replace(f'"{rule.comment}"', f'"{port_name} {reason}"')
    if rule.chain != SERVICES:
        text = re.sub(r"(-p (\w+) .*?) -m \2 ", r"\1 -m addrtype --dst-type LOCAL -m \2 ", text)
    return text.replace(f"-A {rule.chain}", f"-A {SERVICES if is_internal else 'KUBE-EXTERNAL-SERVICES'}")


def _with_rules(ruleset: Ruleset, table: str, texts: Sequence[str]) -> Ruleset:
    """Put these rules in place of those that their chains had."""
    heads = [f":{chain} - [0:0]" for chain in dict.fromkeys(text.split()[1] for text in texts)]
    changed = parse("\n".join([f"*{table}", *heads, *texts, "COMMIT"])).tables[table]
    return replace(ruleset, tables={**ruleset.tables, table: {**ruleset.tables.get(table, {}), **changed}})


def _dnat(chain: Chain) -> tuple[str, str]:
    """Read the protocol and the endpoint from an endpoint's chain."""
    found = (re.search(r" -p (\w+) .* --to-destination (\S+)", line) for line in chain.lines)
    return first_of(filter(None, found), f"{chain.name} has no rule that sends packets to an endpoint (-j DNAT "
                    "--to-destination).").groups()


def masquerade_mark(ruleset: Ruleset) -> int:
    """Return the bit that says "masquerade this packet": what KUBE-MARK-MASQ sets, 0x4000 where it is not there."""
    chain = ruleset.chain("nat", MARK)
    found = re.search(r" --set-xmark (0x[0-9a-f]+)", "\n".join(chain.lines)) if chain else None
    return int(found[1], 16) if found else 0x4000


def masquerade_step(path: PacketPath) -> RuleStep:
    """Find the rule that marks packets to the Service, to be masqueraded: it matched this packet or did not.

    In either mode of kube-proxy; NotFound if the packet did not come by a Service's chain.
    """
    return first_of((step for step in path.steps if step.rule and step.rule.target in (MARK, nft_kube_proxy.MARK)
                     and step.chain.startswith((SERVICE, nft_kube_proxy.SERVICE))),
                    f"{path.packet} met no rule that could mark it: it did not come by a chain {SERVICE}… or "
                    f"{nft_kube_proxy.SERVICE}….")
