"""Rulesets of nftables drawn at random: base chains at every hook and priority, sets, maps, coins, every statement."""

from __future__ import annotations

import random
from dataclasses import dataclass

from generated_rules import HERE, MARKS, NEAR, PORTS, Shot, shots

HERE6 = ("fd00:1::1", "fd00:2::1", "fd00:9::9", "::1")
NEAR6 = ("fd00:1::7", "fd00:1::8", "fd00:2::7", "fd00:2::8", "fd00:3::5", "2001:db8::1")
SIX = dict(zip(NEAR + HERE, NEAR6 + HERE6, strict=True))
NUMBERS = [mark.partition("/")[0] for mark in MARKS]
PRIORITIES = {"filter": (-310, -300, -150, -110, -100, -90, -10, 0, 0, 0, 10, 100, 110),
              "nat": (-110, -100, -100, 0, 100, 100)}
HOOKS = {"filter": ("prerouting", "input", "forward", "output", "postrouting"),
         "nat": ("prerouting", "input", "output", "postrouting"), "route": ("output",)}
TRACE = """\
table inet lab-trace {
    chain pre { type filter hook prerouting priority -350; meta l4proto { tcp, udp } meta nftrace set 1; }
    chain out { type filter hook output priority -350; meta l4proto { tcp, udp } meta nftrace set 1; }
    chain tracking { type filter hook forward priority -350; ct state invalid counter; }
}
"""


def shots_of(chance: random.Random, family: str, count: int, first_port: int) -> list[Shot]:
    """Packets of one family, each with a source port of its own."""
    drawn = shots(chance, count, first_port)
    return drawn if family == "ip" else [Shot(SIX[shot.source], SIX[shot.destination], *_rest(shot)) for shot in drawn]


def _rest(shot: Shot) -> tuple:
    """Not answered is a SYN to ::1: to an answer from elsewhere the kernel says RST by the way that this came in by."""
    follow_up = "" if (shot.destination, shot.protocol) == ("127.0.0.1", "tcp") else shot.follow_up
    return shot.protocol, shot.sport, shot.dport, shot.interface, follow_up


@dataclass
class Draw:
    """What one random table is drawn with."""

    chance: random.Random
    family: str         # of the packets: ip or ip6
    table: str          # of the table: ip, ip6 or inet

    def one(self, *choices: str) -> str:
        """Draw one."""
        return self.chance.choice(choices)

    @property
    def ip(self) -> str:
        """The protocol of addresses; now and then that of the other family, which no packet here has."""
        other = "ip6" if self.family == "ip" else "ip"
        return other if self.table == "inet" and self.chance.random() < 0.1 else self.family

    @property
    def refusal(self) -> str:
        """What `reject with` says."""
        own = "icmp type host-prohibited" if self.family == "ip" else "icmpv6 type addr-unreachable"
        return self.one(own, *(["icmpx type admin-prohibited"] * 2 if self.table == "inet" else []))

    def address(self, protocol: str) -> str:
        """An address."""
        return self.chance.choice(NEAR + HERE if protocol == "ip" else NEAR6 + HERE6)

    def network(self, protocol: str) -> str:
        """A network, an address or a range."""
        address = self.address(protocol)
        lengths = (8, 16, 24, 30, 32) if protocol == "ip" else (16, 32, 64, 127, 128)
        low, high = (("10.1.0.2", "10.2.0.7") if protocol == "ip" else ("fd00:1::2", "fd00:2::7"))
        return self.one(address, address, f"{address}/{self.chance.choice(lengths)}", f"{low}-{high}")


def ruleset(chance: random.Random, family: str) -> list[str]:
    """One to three tables, each a script for `nft -f`; the first traces every packet of UDP and TCP."""
    tables = [_table(Draw(chance, family, chance.choice((family, family, "inet"))), number)
              for number in range(chance.choice((1, 2, 2, 3)))]
    return [TRACE, *tables]


def _table(draw: Draw, number: int) -> str:
    bases = [_base(draw) for _ in range(draw.chance.choice((2, 3, 4, 5, 6)))]
    if not any("type nat" in head for head in bases):
        bases.append(_base(draw, "nat"))
    lines, names = [], []
    for at, head in enumerate(bases):
        below = [f"c{at}-{deep}" for deep in range(draw.chance.choice((0, 1, 1, 2, 3)))]
        for deep, name in enumerate([f"b{at}", *below]):
            names.append(name)
            lines += _chain(draw, name, head, below[deep:], is_base=deep == 0)
    return "\n".join([f"table {draw.table} t{number} {{", *_sets(draw), *lines, "}\n"])


def _base(draw: Draw, kind: str = "") -> str:
    kind = kind or draw.one("filter", "filter", "nat", "nat", "route")
    hook = draw.chance.choice(HOOKS[kind])
    priority = draw.chance.choice(PRIORITIES.get(kind, (-150, 0)))
    policy = "drop" if kind == "filter" and draw.chance.random() < 0.07 else "accept"
    return f"type {kind} hook {hook} priority {priority}; policy {policy};"


def _sets(draw: Draw) -> list[str]:
    kind = "ipv4_addr" if draw.family == "ip" else "ipv6_addr"
    addresses = {draw.address(draw.family) for _ in range(4)}
    drawn = (("10.1.0.0/16", "10.9.0.0/24"), ("192.0.2.0-192.0.2.9", "10.3.4.5")) if draw.family == "ip" else \
        (("fd00:1::/32", "fd00:9::/64"), ("fd00:3::1-fd00:3::9", "2001:db8::1"))
    networks = {draw.one(*choices) for choices in drawn}
    pairs = {f"{draw.address(draw.family)} . {draw.one('udp', 'tcp')} . {draw.chance.choice(PORTS)}" for _ in range(6)}
    ranged = {f"{net} . {draw.one('53', '50-90', '4000')}" for net in list(networks)[:1]}
    return [f"set some {{ type {kind}; elements = {{ {', '.join(sorted(addresses))} }}; }}",
            f"set nets {{ type {kind}; flags interval; elements = {{ {', '.join(sorted(networks))} }}; }}",
            f"set none {{ type {kind}; }}",
            f"set dyn {{ type {kind}; flags dynamic,timeout; timeout 1m; }}",
            "set ports { type inet_service; flags interval; elements = { 53, 1000-5000 }; }",
            f"set keys {{ type {kind} . inet_proto . inet_service; elements = {{ {', '.join(sorted(pairs))} }}; }}",
            f"set both {{ type {kind} . inet_service; flags interval; elements = {{ {', '.join(sorted(ranged))} }}; }}"]


def _chain(draw: Draw, name: str, head: str, below: list[str], is_base: bool) -> list[str]:
    verdicts = ["accept", "return", "continue", *(f"jump {at}" for at in below), *(f"goto {at}" for at in below)]
    verdicts += ["drop"] if "type filter" in head and draw.chance.random() < 0.3 else []
    rules = [f"    {_rule(draw, head, below, name, verdicts)}" for _ in range(draw.chance.choice((0, 1, 2, 3, 4)))]
    keys = {f"{draw.address(draw.family)} . {draw.one('udp', 'tcp')} . {draw.chance.choice(PORTS)}" for _ in range(25)}
    elements = ", ".join(f"{key} : {draw.chance.choice(verdicts)}" for key in sorted(keys))
    kind = "ipv4_addr" if draw.family == "ip" else "ipv6_addr"
    a_map = f"map m-{name} {{ type {kind} . inet_proto . inet_service : verdict; elements = {{ {elements} }}; }}"
    return [a_map, f"chain {name} {{", *([f"    {head}"] if is_base else []), *rules, "}"]


def _rule(draw: Draw, head: str, below: list[str], name: str, verdicts: list[str]) -> str:
    matches = [_match(draw) if draw.chance.random() < 0.8 else _as_others_write(draw)
               for _ in range(draw.chance.choice((0, 0, 1, 1, 2)))]
    end = _verdict_map(draw, name, verdicts) if draw.chance.random() < 0.25 else _statement(draw, head, below)
    comment = draw.one("", "", "", ' comment "a word"')
    words = [*matches, *(["counter"] if draw.chance.random() < 0.2 else []), end]
    return (" ".join(filter(None, words)) or "counter") + comment


def _verdict_map(draw: Draw, name: str, verdicts: list[str]) -> str:
    ports = ", ".join(f"{port} : {draw.chance.choice(verdicts)}" for port in draw.chance.sample(PORTS, 3))
    sides = draw.chance.choice((1, 2, 3))
    coin = ", ".join(f"{side} : {draw.chance.choice(verdicts)}" for side in range(sides))
    return draw.one(f"{draw.family} daddr . meta l4proto . th dport vmap @m-{name}",
                    f"{draw.family} daddr . meta l4proto . th dport vmap @m-{name}",
                    f"{draw.one('th', 'udp', 'tcp')} dport vmap {{ {ports} }}",
                    f"numgen {draw.one('random', 'random', 'inc')} mod {sides} vmap {{ {coin} }}",
                    f"meta l4proto vmap {{ udp : {draw.one(*verdicts)}, tcp : {draw.one(*verdicts)} }}",
                    f"ct state vmap {{ established : {draw.one(*verdicts)}, new : {draw.one(*verdicts)} }}",
                    f'{draw.one("iifname", "oifname")} vmap {{ "eth*" : {draw.one(*verdicts)}, "lo" : accept }}',
                    f"th dport vmap {{ 0-79 : {draw.one(*verdicts)}, 4000-9000 : {draw.one(*verdicts)} }}",
                    f"{draw.family} saddr vmap {{ {draw.network(draw.family)} : {draw.one(*verdicts)}, * : continue }}",
                    f"fib daddr type vmap {{ local : {draw.one(*verdicts)}, unicast : {draw.one(*verdicts)} }}")


def _as_others_write(draw: Draw) -> str:
    """A condition as in the rules of firewalld, Docker, Calico, LXD and libvirt; of the last half nothing is known."""
    own = draw.family
    protocol, hops = ("protocol", "ttl") if own == "ip" else ("nexthdr", "hoplimit")
    return draw.one(
        "ct state . meta l4proto { new . udp, established . tcp }", "ct state != { established, invalid }",
        "ct state ! established,related", "ct status ! dnat", 'iifname . oifname { "eth0" . "eth1", "eth1" . "eth1" }',
        'iif "lo"', 'oif != "eth1"', "th dport != { 53, 4000-9000 }", "meta mark & 0xff 0x1-0x10", "meta mark < 0x5",
        "meta mark != 0x1-0x5", "meta protocol { ip, ip6 }", f"{own} {protocol} {{ tcp, udp }}",
        f"{own} version {'4' if own == 'ip' else '6'}", "icmp type echo-request", "icmpv6 type nd-neighbor-solicit",
        "icmp type != echo-request", "numgen random mod 100 < 30", "numgen inc mod 4 offset 10 { 10, 12 }",
        "udp dport . th sport { 53 . 20000-40000 }", "@th,16,16 53", "sctp dport 53",
        "ct status != dnat", "ct status { dnat, snat }", "ct state != established,related", "ct direction original",
        "ct mark & 0x3 == 0x1", "tcp flags & (fin | syn | rst | ack) == syn", "tcp flags syn", f"{own} {hops} < 65",
        f"{own} dscp cs1", "meta length < 100", "meta pkttype host", "fib saddr . iif oif missing", "symhash mod 2 0",
        "quota over 1 mbytes", "meta random < 0x80000000", "@nh,0,4 4", f"ct original {own} daddr {draw.address(own)}",
        "meta iifgroup 0", "meta cpu 0", "exthdr frag exists" if own == "ip6" else "")


def _match(draw: Draw) -> str:
    ip, no = draw.ip, draw.one("", "", "!= ")
    side, port, mark = draw.one("saddr", "daddr"), draw.chance.choice(PORTS), draw.chance.choice(NUMBERS)
    inner = ", ".join(sorted({draw.address(ip) for _ in range(3)}))
    own = draw.family
    match draw.chance.randrange(20):
        case 0 | 1:
            return f"{ip} {side} {no}{draw.network(ip)}"
        case 2:
            return f"{ip} {side} {no}{{ {inner} }}"
        case 3 | 4:
            return f"{own} {side} {no}@{draw.one('some', 'nets', 'none', 'some', 'nets', 'dyn')}"
        case 5:
            return f"meta l4proto {no}{draw.one('udp', 'tcp', '{ tcp, udp }')}"
        case 6 | 7:
            wanted = draw.one(f"{no}{port}", f"{no}{port}-9500", "< 1000", ">= 4000", f"{no}{{ 53, 1000-9000 }}",
                              f"{no}@ports")
            return f"{draw.one('th', 'udp', 'tcp')} {draw.one('sport', 'dport')} {wanted}"
        case 8:
            return f"meta mark {no}{draw.one(mark, '{ 0x1, 0x4000 }', '0x0')}"
        case 9:
            return f"meta mark & {mark} {draw.one('==', '!=')} {draw.one(mark, '0x0')}"
        case 10 | 11:
            states = ("new", "new", "established,related", "{ new, established }", "!= new", "invalid", "untracked")
            return f"ct state {draw.one(*states)}"
        case 12:
            return f"ct status {draw.one('dnat', 'snat', 'dnat,snat')}"
        case 13 | 14:
            return f"fib {side} type {no}{draw.one('local', 'local', 'unicast')}"
        case 15:
            return f'{draw.one("iifname", "oifname")} {no}"{draw.one("eth0", "eth1", "lo", "eth*", "wlan0")}"'
        case 16:
            here = f"{{ {draw.address(own)} . {port}, {draw.address(own)} . 53 }}"
            return f"{own} {side} . th dport {draw.one('@both', here)}"
        case 17:
            return f"{own} {side} . meta l4proto . th dport @keys"
        case 18:
            return draw.one("numgen random mod 3 < 2", "numgen random mod 2 0", "numgen inc mod 2 1")
    bits = ("255.255.0.0", "10.1.0.0") if own == "ip" else ("ffff:ffff::", "fd00:1::")
    return draw.one(f"meta nfproto {draw.one('ipv4', 'ipv6')}" if draw.table == "inet" else "",
                    f"{own} {side} & {bits[0]} == {bits[1]}", "limit rate 1/hour" if draw.chance.random() < 0.3 else "")


def _statement(draw: Draw, head: str, below: list[str]) -> str:
    ip, mark = draw.family, draw.chance.choice(NUMBERS)
    jumps = [f"{draw.one('jump', 'jump', 'goto')} {draw.chance.choice(below)}"] * 4 if below else []
    some = ["accept", "return", "continue", "", f"meta mark set {mark}", f"meta mark set meta mark | {mark}",
            f"meta mark set meta mark ^ {mark}", f"meta mark set meta mark & {mark}", 'log prefix "x"',
            "meta mark set th dport map { 53 : 0x7, 8080 : 0x8, 9153 : 0x4000 }",
            f"update @dyn {{ {ip} saddr }}", f"add @dyn {{ {ip} saddr limit rate over 1/hour burst 2 packets }} return",
            "ct mark set meta mark", f"{ip} dscp set cs1 return", "tcp option maxseg size set 1400 return",
            "meta priority set 1:2 return", "limit rate over 1/hour burst 9 packets return",
            f"meta mark set jhash {ip} saddr mod 4" if "prerouting" in head and draw.chance.random() < 0.2 else "",
            *jumps]
    if "hook prerouting priority -3" in head or "hook output priority -3" in head:
        some += ["notrack"] * 3
    if "type filter" in head and draw.chance.random() < 0.6:
        some += ["drop"] + (["reject", f"reject with {draw.refusal}"]
                            if "hook postrouting" not in head else [])
    if "type nat" in head:
        some += _rewrites(draw, head) * 4
    return draw.chance.choice(some)


def _rewrites(draw: Draw, head: str) -> list[str]:
    ip, protocol = draw.family, draw.one("meta l4proto udp", "meta l4proto tcp", "meta l4proto { tcp, udp }")
    kind = f" {ip}" if draw.table == "inet" else ""
    to = draw.chance.choice([*(NEAR if ip == "ip" else NEAR6), *(HERE if ip == "ip" else HERE6)[:3]])
    other = draw.chance.choice(NEAR if ip == "ip" else NEAR6)
    socket = f"{to}:8080" if ip == "ip" else f"[{to}]:8080"
    if "hook prerouting" in head or "hook output" in head:
        return [draw.one(f"dnat{kind} to {to}", f"{protocol} dnat{kind} to {socket}", "redirect",
                         f"{protocol} redirect to :8080",
                         f"dnat{kind} to numgen random mod 2 map {{ 0 : {to}, 1 : {other} }}")]
    source = draw.one("10.2.0.1", "192.0.2.99") if ip == "ip" else draw.one("fd00:2::1", "2001:db8::99")
    with_port = f"{source}:3000-9999" if ip == "ip" else f"[{source}]:3000-9999"
    ways = [f"snat{kind} to {source}", f"{protocol} snat{kind} to {with_port}"]
    return [draw.one(*ways, *(["masquerade", "masquerade fully-random", "masquerade random"]
                              if "hook postrouting" in head else []))]
