"""Rulesets and packets drawn at random: every match, target and structure that the rule walk knows."""

from __future__ import annotations

import random
from dataclasses import dataclass

HERE = ("10.1.0.1", "10.2.0.1", "10.9.9.9", "127.0.0.1")          # this machine's own addresses
NEAR = ("10.1.0.7", "10.1.0.8", "10.2.0.7", "10.2.0.8", "10.3.4.5", "192.0.2.1")
PORTS = (53, 80, 4000, 8080, 9153)
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
MARKS = ("0x1/0x1", "0x4000/0x4000", "0x2/0x3", "0x4000/0x0", "0x8/0xf")
BUILT_IN = {"raw": ("PREROUTING", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
            "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
            "filter": ("INPUT", "FORWARD", "OUTPUT")}
WITHOUT_IN, WITHOUT_OUT = ("OUTPUT", "POSTROUTING"), ("PREROUTING", "INPUT")
# Without any rule that needs it, a kernel does not track connections, and without them it never looks into table nat.
TRACKING = [":NEVER-REACHED - [0:0]", "-A NEVER-REACHED -m conntrack --ctstate NEW"]


@dataclass(frozen=True)
class Shot:
    """One packet to send: made here, or coming in by an interface; `again` repeats it, `reply` has it answered."""

    source: str
    destination: str
    protocol: str
    sport: int
    dport: int
    interface: str = ""           # "" for a packet that is made on this machine
    follow_up: str = ""           # "again", "reply" or nothing


def shots(chance: random.Random, count: int, first_port: int) -> list[Shot]:
    """Packets with source ports of their own, so that each is a connection of its own."""
    return [_shot(chance, first_port + number) for number in range(count)]


def _shot(chance: random.Random, sport: int) -> Shot:
    protocol, dport = chance.choice(("udp", "udp", "tcp")), chance.choice(PORTS)
    follow_up = chance.choice(("", "", "", "again", "reply"))
    if protocol == "tcp" and follow_up == "again":
        follow_up = ""      # what a second SYN means depends on TCP's own state, which the walk leaves to others
    if chance.random() < 0.35:
        source = chance.choice(HERE[:3])
        return Shot(source, chance.choice(NEAR + HERE), protocol, sport, dport, "", follow_up)
    interface = chance.choice(("eth0", "eth1"))
    belongs = [at for at in NEAR if at.startswith("10.1." if interface == "eth0" else "10.2.")]
    source = chance.choice(NEAR if chance.random() < 0.2 else belongs)       # rp_filter may be against it
    destinations = [at for at in (*NEAR, *HERE[:3], *HERE[:3]) if at != source]
    return Shot(source, chance.choice(destinations), protocol, sport, dport, interface, follow_up)


def ruleset(chance: random.Random) -> list[str]:
    """A random ruleset in the language of iptables-restore, every packet of UDP and TCP traced."""
    lines = []
    for table, hooks in BUILT_IN.items():
        chains, home = {}, {}
        for hook in hooks:
            mine = [f"{table[0].upper()}-{hook[:3]}-{number}" for number in range(chance.choice((0, 1, 1, 2, 3)))]
            chains |= {hook: mine, **{name: mine[number + 1:] for number, name in enumerate(mine)}}
            home |= dict.fromkeys([hook, *mine], hook)
        lines += [f"*{table}", *(f":{hook} {_policy(chance, table)} [0:0]" for hook in hooks),
                  *(f":{chain} - [0:0]" for chain in chains if chain not in hooks)]
        if table == "raw":
            lines += [f"-A {hook} -p {protocol} -j TRACE" for hook in hooks for protocol in ("udp", "tcp")]
        for chain, below in chains.items():
            lines += [_rule(chance, table, home[chain], chain, below) for _ in range(chance.choice((0, 1, 2, 3, 4)))]
        lines += TRACKING if table == "filter" else []
        lines.append("COMMIT")
    return lines


def _policy(chance: random.Random, table: str) -> str:
    return "DROP" if table in ("filter", "mangle") and chance.random() < 0.1 else "ACCEPT"


def _rule(chance: random.Random, table: str, hook: str, chain: str, below: list[str]) -> str:
    protocol = chance.choice(("", "udp", "udp", "tcp", "all"))
    target = _target(chance, table, hook, below)
    if target.count(":") or "--to-ports" in target:
        protocol = protocol if protocol in ("udp", "tcp") else "udp"        # only these have ports
    matches = [f"-p {protocol}"] if protocol else []
    kinds = ["address", "address", "interface", "mark", "state", "state", "addrtype", "comment", "physdev", "coin",
             "every", "range"]
    kinds += ["port", "port", "ports", "ports"] if protocol in ("udp", "tcp") else []
    kinds += ["flags"] * 3 if protocol == "tcp" else []
    kinds += ["reverse path"] * 2 if (table in ("raw", "mangle"), hook) == (True, "PREROUTING") else []
    chosen = chance.sample(kinds, chance.choice((0, 1, 1, 2, 3)))
    matches += [_match(chance, kind, protocol, hook, chain == hook) for kind in dict.fromkeys(chosen)]
    return " ".join(["-A", chain, *(match for match in matches if match), target]).strip()


def _match(chance: random.Random, kind: str, protocol: str, hook: str, is_built_in: bool) -> str:
    no = chance.choice(("", "", "! "))
    low = chance.choice(PORTS)
    match kind:
        case "address":
            way, length = chance.choice(("-s", "-d")), chance.choice((8, 16, 24, 30, 32))
            return f"{no}{way} {chance.choice(NEAR + HERE)}/{length}"
        case "interface":
            ways = [way for way, bad in (("-i", WITHOUT_IN), ("-o", WITHOUT_OUT)) if not is_built_in or hook not in bad]
            return f"{no}{chance.choice(ways)} {chance.choice(('eth0', 'eth1', 'lo', 'eth+', 'et+', 'wlan0'))}"
        case "mark":
            return f"-m mark {no}--mark {chance.choice(MARKS)}"
        case "state":
            plain, states = (",".join(chance.sample(names, 2)) for names in (STATES, (*STATES, "DNAT", "SNAT")))
            return chance.choice((f"-m conntrack {no}--ctstate {states}", f"-m state {no}--state {plain}"))
        case "addrtype":
            kind = chance.choice(("LOCAL", "UNICAST", "BROADCAST", "LOCAL,BROADCAST"))
            return f"-m addrtype {no}--{chance.choice(('src', 'dst'))}-type {kind}"
        case "comment":
            return f'-m comment --comment "{chance.choice(("a word", "-j DROP", "say ! no", "plain"))}"'
        case "physdev":
            return chance.choice((f"-m physdev {no}--physdev-in eth0", f"-m physdev {no}--physdev-is-bridged"))
        case "coin":
            return f"-m statistic --mode random {no}--probability {chance.choice(('0.2', '0.5', '0.33333333349'))}"
        case "every":
            return "-m statistic --mode nth --every 2 --packet 0"
        case "range":
            return f"-m iprange {no}--{chance.choice(('src', 'dst'))}-range 10.1.0.2-{chance.choice(NEAR[1:5])}"
        case "flags":
            return f"-m tcp {no}{chance.choice(('--syn', '--tcp-flags SYN,ACK SYN', '--tcp-flags FIN,RST NONE'))}"
        case "reverse path":
            return f"-m rpfilter {' '.join(chance.sample(('--loose', '--validmark', '--accept-local', '--invert'), 2))}"
        case "port":
            ports = chance.choice((low, f"{low}:9500", "1024:"))
            return f"-m {protocol} {no}--{chance.choice(('sport', 'dport'))} {ports}"
    several = chance.choice((f"{low}", "53,80,4000", "53,1000:9000", "20000:60000"))
    return f"-m multiport {no}--{chance.choice(('sports', 'dports', 'ports'))} {several}"


def _target(chance: random.Random, table: str, hook: str, below: list[str]) -> str:
    targets = ["", "-j ACCEPT", "-j RETURN", "-j RETURN", f"-j MARK --set-xmark {chance.choice(MARKS)}",
               "-j LOG --log-prefix x"]
    targets += [f"-{chance.choice('jjjg')} {chance.choice(below)}"] * 4 if below else []
    if table == "raw":
        targets += ["-j CT --notrack", "-j NOTRACK"] if chance.random() < 0.3 else []
    if table in ("filter", "mangle") and chance.random() < 0.3:
        targets += ["-j DROP"]
    if table == "filter":
        targets += ["-j REJECT --reject-with icmp-port-unreachable"] if chance.random() < 0.3 else []
    if table == "mangle":
        targets += ["-j TTL --ttl-set 60", "-j TOS --set-tos 0x10/0xff", "-j DSCP --set-dscp 0x0a",
                    "-j CLASSIFY --set-class 1:1"] if hook == "POSTROUTING" else ["-j DSCP --set-dscp 0x0a"]
    if table == "nat":
        to = chance.choice(NEAR + HERE[:3])
        port = chance.choice((":53", ":8080", ""))
        towards = [f"-j DNAT --to-destination {to}{port}"] * 3 + ["-j REDIRECT", "-j REDIRECT --to-ports 8080"]
        source = chance.choice(("10.2.0.1", "10.9.9.9", "192.0.2.99"))
        away = [f"-j SNAT --to-source {source}{chance.choice(('', ':3000-9999'))}"] * 3
        targets += towards if hook in ("PREROUTING", "OUTPUT") else away
        targets += ["-j MASQUERADE", "-j MASQUERADE --random-fully"] if hook == "POSTROUTING" else []
    return chance.choice(targets)
