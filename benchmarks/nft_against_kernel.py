"""The walk through nftables against this kernel: random rulesets loaded, random packets sent, its trace compared.

IPv4 and IPv6, first packets, second ones and answers; rules of iptables-nft beside those of nft in some rulesets. Runs
in network namespaces of its own. A difference is printed as the smallest ruleset that shows it; exit code 1 then.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import generated_rules
import walk_against_kernel as iptables
from generated_rules import Shot
from nft_rules import ruleset, shots_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from walk_against_kernel import INSIDE, MOST_SHOWN, PACKETS_A_RULESET, TRIES, fewest

from kitlib.netfilter import branch as walk
from kitlib.netfilter import nft_compare, nft_hooks
from kitlib.netfilter import simulate as simulation
from kitlib.netfilter.branch import Branch
from kitlib.netfilter.compare import Comparison, TracedPath
from kitlib.netfilter.nft_compare import traced_by_nft
from kitlib.netfilter.packet import Alternative, Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip, iptables_save, nft
from kitlib.parsers.conntrack import Connection
from kitlib.parsers.xtables_monitor import TraceLine
from netns_lab.holder import as_root

NODE6 = """\
addr add fd00:9::9/128 dev lo nodad
addr add fd00:1::1/64 dev eth0 nodad
addr add fd00:2::1/64 dev eth1 nodad
route add ::/0 via fd00:2::8
neigh add fd00:1::7 lladdr 02:00:00:00:00:77 dev eth0
neigh add fd00:1::8 lladdr 02:00:00:00:00:77 dev eth0
neigh add fd00:2::7 lladdr 02:00:00:00:00:77 dev eth1
neigh add fd00:2::8 lladdr 02:00:00:00:00:77 dev eth1
"""
SETTINGS = """\
net.ipv6.conf.all.disable_ipv6 = 0
net.ipv6.conf.default.disable_ipv6 = 0
net.ipv6.conf.eth0.disable_ipv6 = 0
net.ipv6.conf.eth1.disable_ipv6 = 0
net.ipv6.conf.lo.disable_ipv6 = 0
net.ipv6.conf.all.forwarding = 1
"""
MONITOR = ("ip", "netns", "exec", "node", "nft", "-a", "monitor", "trace")


class Node(iptables.Node):
    """The node of the iptables walk, with both families, and the trace of nftables."""

    def __init__(self) -> None:
        super().__init__()
        self.monitor.kill()
        self.inside("sysctl", "-e", "-q", "-p", "-", text=SETTINGS)
        self.inside("ip", "-batch", "-", text=NODE6)
        self.made_here6 = self._raw_socket_inside(socket.AF_INET6)
        self.monitor = subprocess.Popen(MONITOR, stdout=subprocess.PIPE)
        os.set_blocking(self.monitor.stdout.fileno(), False)
        time.sleep(0.3)

    def load(self, rules: list[str]) -> Netfilter:
        """Put these tables in place of all others, one after the other; forget all connections."""
        self.inside("nft", "flush", "ruleset")
        for table in rules:
            if table.startswith("*"):
                self.inside("iptables-restore", "--noflush", text=table)
            else:
                self.inside("nft", "-f", "-", text=table)
        self.inside("conntrack", "-F")
        has_iptables = any(table.startswith("*") for table in rules)
        saved = self.inside("iptables-save") if has_iptables else ""
        return Netfilter(iptables_save.parse(saved),
                         ip.routes(self.inside("ip", "route", "show", "table", "all") +
                                   self.inside("ip", "-6", "route", "show", "table", "all")),
                         ip.interfaces(self.inside("ip", "addr")),
                         nft=nft.ruleset(self.inside("nft", "-j", "list", "ruleset")))

    def send(self, shot: Shot) -> None:
        """Send one packet and wait until the kernel begins to tell of it."""
        layer = UDP(sport=shot.sport, dport=shot.dport) if shot.protocol == "udp" else \
            TCP(sport=shot.sport, dport=shot.dport, flags="SA" if shot.follow_up == "is one" else "S")
        is_six = ":" in shot.source
        packet = (IPv6 if is_six else IP)(src=shot.source, dst=shot.destination) / layer
        before = self.output.count(b" packet: ")
        try:
            if shot.interface:
                mac = f"02:00:00:00:00:0{1 + int(shot.interface[3:])}"
                self.cables[shot.interface].send(bytes(Ether(src="02:00:00:00:00:77", dst=mac) / packet))
            else:
                (self.made_here6 if is_six else self.made_here).sendto(bytes(packet), (shot.destination, 0))
        except PermissionError:     # what output drops is refused to the sender
            pass
        self._read_until(lambda: self.output.count(b" packet: ") > before)

    def compare(self, rules: list[str], packets: list[Shot]) -> list[TracedPath]:
        """Load, send, trace, walk."""
        kernel = self.load(rules)
        self.output = b""
        for shot in packets:
            if shot.follow_up == "reply":
                self._settle()
            before = self.output.rfind(b"\n") + 1
            self.send(shot)
            if following := self._following(kernel, shot, before):
                self.send(following)
        time.sleep(0.02)        # what comes later would be taken for the next ruleset's
        self._settle()
        return self.walked(kernel, self.output)

    @staticmethod
    def walked(kernel: Netfilter, said: bytes) -> list[TracedPath]:
        """The packets of a trace, each with the path that the walk has for it."""
        first = re.search(rb"^.* packet: ", said, re.MULTILINE)       # before it, the end of another packet's
        whole = said[first.start() if first else len(said):said.rfind(b"\n") + 1].decode()
        return list(traced_by_nft(kernel, whole))

    def _following(self, kernel: Netfilter, shot: Shot, before: int) -> Shot | None:
        if shot.follow_up != "reply":
            return shot if shot.follow_up == "again" else None
        self._settle()
        walked = [one.path for one in self.walked(kernel, self.output[before:])]
        after = next((walk.after for walk in walked if walk.packet.sport == shot.sport and walk.end.startswith(
            "goes out of eth")), None)
        if not after or None in (after.sport, after.dport):
            return None
        return Shot(after.destination, after.source, after.protocol, after.dport, after.sport, after.out_interface,
                    "is one")


def drawn(chance: random.Random, family: str) -> list[str]:
    """Random tables, in IPv4 now and then with those of iptables somewhere between them."""
    tables = ruleset(chance, family)
    if family == "ip" and chance.random() < 0.5:
        lines = [line for line in generated_rules.ruleset(chance) if "-j TRACE" not in line]
        tables.insert(chance.choice((1, len(tables))), "\n".join(lines) + "\n")
    return tables


def differ(node: Node, rules: list[str], packets: list[Shot]) -> TracedPath | None:
    """The first packet of which walk and kernel tell differently, tried a few times, for coins may hide it."""
    for _ in range(TRIES):
        try:
            found = next((one for one in node.compare(rules, packets) if one.differences), None)
        except RuntimeError:        # rules that do not load
            return None
        if found:
            return found
    return None


def show(node: Node, seed: int, rules: list[str], packets: list[Shot], found: TracedPath) -> None:
    """Print the smallest case of a difference."""
    packets = fewest(packets, lambda fewer: differ(node, rules, fewer))
    for at in range(1, len(rules)):
        def with_lines(lines: list[str], at: int = at, rules: list[str] = rules) -> list[str]:
            return [*rules[:at], "\n".join([*lines, ""]), *rules[at + 1:]]

        rules = with_lines(fewest(rules[at].splitlines(), lambda lines, changed=with_lines: differ(
            node, changed(lines), packets)))
    found = differ(node, rules, packets) or found
    print(f"\nDifference (seed {seed}):", *rules, *map(str, packets), found.path.packet, found.path.packet.states,
          found.path.end, *found.differences, sep="\n  ")
    for step, line in found.pairs:
        print(f"    walk {(step.table, step.chain, step.verdict, step.rule.text if step.rule else '') if step else ''}")
        print(f"  kernel {(line.table, line.chain, line.verdict, line.rule) if line else ''}")


def names(statement: dict) -> list[str]:
    """What is counted of a statement: its name, and what a match looks at."""
    name, body = next(iter(statement.items()))
    left = body.get("left", body.get("key")) if name in ("match", "vmap", "mangle") else None
    if not left:
        return [name]
    kind, what = next(iter(left.items()))
    detail = what.get("key") or what.get("field") or "" if isinstance(what, dict) else ""
    return [f"{name} {kind} {detail}".strip()]


def prove(wanted: int, seed: int, shrinks: bool = True) -> int:
    """Compare until enough pairs have been; the number of rulesets that showed a difference."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})      # so that packets are handled in the order of sending
    node, chance, counted, wrong, started = Node(), random.Random(seed), Counter(), 0, time.monotonic()
    while counted["pairs"] < wanted and wrong < MOST_SHOWN:
        family = ("ip", "ip6")[counted["rulesets"] % 2]
        rules = drawn(chance, family)
        packets = shots_of(chance, family, PACKETS_A_RULESET, 20000 + counted["rulesets"] * 40 % 40000)
        try:
            found = node.compare(rules, packets)
        except RuntimeError:        # nft refuses what was drawn: an address of IPv4 and one of IPv6 in a row
            counted.update({"refused": 1, "rulesets": 1})
            continue
        counted.update({"pairs": len(found), "rulesets": 1, f"packets of {family}": len(found),
                        "rulesets with iptables": any(table[0] == "*" for table in rules)})
        for one in found:
            counted.update({"rules": sum(bool(line.rule) for line in one.trace_lines),
                            "undecided": one.path.end == "is undecided", "certain": not one.path.assumptions,
                            "not the first": "NEW" not in one.path.packet.states})
            counted.update(name for step in one.path.matched if hasattr(step.rule, "statements")
                           for statement in step.rule.statements for name in names(statement))
        if bad := next((one for one in found if one.differences), None):
            wrong += 1
            if shrinks:
                show(node, seed, rules, packets, bad)
    node.monitor.kill()
    print(f"{counted['pairs']} (ruleset, packet) pairs of {counted['rulesets']} rulesets, "
          f"{counted['rules']} rules met, seed {seed}, {time.monotonic() - started:.1f} s: "
          f"{wrong} rulesets with a difference.")
    print("What matched:", ", ".join(f"{name} {count}" for name, count in sorted(counted.items())))
    return wrong


def main() -> int:
    """Go into namespaces of our own, and prove there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5_000, help="how many (ruleset, packet) pairs (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random rulesets and packets (%(default)s)")
    parser.add_argument("--wrong", default="", choices=["", *WRONG], help="break a rule of order: it must be noticed")
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        argv = ["unshare", *as_root(), "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                sys.executable, *sys.argv]
        os.execvpe(argv[0], argv, {**os.environ, INSIDE: "yes"})     # who kills this process kills all of it
    nft_compare.compare = up_to_where_it_is_undecided
    WRONG.get(arguments.wrong, lambda: None)()
    return 1 if prove(arguments.pairs, arguments.seed, not arguments.wrong) else 0


def up_to_where_it_is_undecided(path: PacketPath, lines: tuple[TraceLine, ...],
                                whole: Comparison = nft_compare.compare) -> TracedPath:
    """Compare a path with a trace; where the walk says that it does not know, it says nothing wrong."""
    said = len(nft_compare._reported(path, lines)) if path.end == "is undecided" else len(lines)
    return whole(path, lines[:said])


def oldest_first() -> None:
    """Let the oldest of equal priority come first."""
    right = nft.Ruleset.base_chains.func
    nft.Ruleset.base_chains = property(lambda self: right(self)[::-1])


def accept_ends_nat() -> None:
    """Let any accept end the group of nat chains."""
    nft_hooks._rewrites = lambda branch: branch.verdict == "ACCEPT"


def accept_ends_hook() -> None:
    """Let an accept by a rule end the whole hook."""
    through = simulation._through

    def ended(netfilter: Netfilter, left: tuple[nft_hooks.Stop, ...], path: PacketPath,
              connection: Connection | None) -> Iterator[PacketPath]:
        for last in path.hook_steps[-1:]:
            chain = netfilter.nft.chain(last.table, last.chain)
            if chain and left and chain.hook == left[0].hook and last.matched[-1].rule:
                left = ()
        return through(netfilter, left, path, connection)

    simulation._through = ended


def goto_is_jump() -> None:
    """Let a goto remember where it came from."""
    take = walk._take

    def taken(branch: Branch, ruleset: nft.Ruleset, rule: nft.Rule, way: Alternative) -> Branch:
        after = take(branch, ruleset, rule, way)
        return replace(after, stack=(*after.stack, (branch.chain, rule.number + 1))) \
            if way.verdict.startswith("GOTO") else after

    walk._take = taken


def nat_by_its_own_priority() -> None:
    """Let nat chains stand among the others by the priority that they name."""
    def ordered(netfilter: Netfilter, hook: str, packet: Packet) -> tuple[nft_hooks.Stop, ...]:
        families = nft_hooks.FAMILIES[6 if ":" in packet.source else 4]
        chains = [chain for chain in netfilter.nft.base_chains if chain.table.split()[0] in families]
        found = sorted((chain.priority, -age) for age, chain in enumerate(chains) if chain.hook == hook)
        return tuple(nft_hooks.Stop(hook, (chains[-age],), chains[-age].type == "nat") for _, age in found)

    nft_hooks.stops = ordered


WRONG = {wrong.__name__.replace("_", "-"): wrong for wrong in (
    oldest_first, accept_ends_nat, accept_ends_hook, goto_is_jump, nat_by_its_own_priority)}


if __name__ == "__main__":
    sys.exit(main())
