"""The rule walk against this kernel: random rulesets loaded, random packets sent, the kernel's own trace compared.

Runs in network namespaces of its own. A difference is printed as the smallest ruleset that shows it; exit code 1 then.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from generated_rules import TRACKING, Shot, ruleset, shots
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from kitlib.netfilter.compare import TracedPath, traced_paths
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip, iptables_save
from kitlib.parsers.xtables_monitor import traces
from netns_lab.holder import as_root

PACKETS_A_RULESET = 25
MOST_SHOWN = 1
TRIES = 3
INSIDE = "KITLIB_INSIDE_NAMESPACES"
CLONE_NEWNET = 0x40000000
WORLD = """\
link add in0 type veth peer name eth0 address 02:00:00:00:00:01 netns node
link add in1 type veth peer name eth1 address 02:00:00:00:00:02 netns node
link set in0 up
link set in1 up
"""
NODE = """\
link set lo up
addr add 10.9.9.9/32 dev lo
addr add 10.1.0.1/24 brd + dev eth0
addr add 10.2.0.1/24 brd + dev eth1
link set eth0 up
link set eth1 up
route add default via 10.2.0.8
neigh add 10.1.0.7 lladdr 02:00:00:00:00:77 dev eth0
neigh add 10.1.0.8 lladdr 02:00:00:00:00:77 dev eth0
neigh add 10.2.0.7 lladdr 02:00:00:00:00:77 dev eth1
neigh add 10.2.0.8 lladdr 02:00:00:00:00:77 dev eth1
"""
SETTINGS = """\
net.ipv4.ip_forward = 1
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.eth0.rp_filter = 0
net.ipv4.conf.eth1.rp_filter = 0
net.ipv4.conf.all.route_localnet = 1
net.ipv4.conf.all.accept_local = 1
net.ipv4.conf.all.send_redirects = 0
net.ipv6.conf.all.disable_ipv6 = 1
net.netfilter.nf_conntrack_tcp_loose = 1
"""


def run(*argv: str, text: str = "") -> str:
    """What a program printed; an error if it failed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}\n{text}")
    return done.stdout


class Node:
    """A network namespace with two cables; rules are loaded into it, packets sent through it, its trace is read."""

    def __init__(self) -> None:
        run("mount", "-t", "tmpfs", "run", "/run")
        run("ip", "netns", "add", "node")
        run("ip", "-batch", "-", text=WORLD)
        self.inside("ip", "-batch", "-", text=NODE)
        self.inside("sysctl", "-e", "-q", "-p", "-", text=SETTINGS)
        self.cables = {f"eth{number}": self._cable(f"in{number}") for number in (0, 1)}
        self.made_here = self._raw_socket_inside()
        argv = ["ip", "netns", "exec", "node", "xtables-monitor", "--trace"]
        self.monitor = subprocess.Popen(argv, stdout=subprocess.PIPE)
        os.set_blocking(self.monitor.stdout.fileno(), False)
        self.output = b""
        self.rules: list[str] = []
        time.sleep(0.3)

    def inside(self, *argv: str, text: str = "") -> str:
        """Run a program in the node."""
        return run("ip", "netns", "exec", "node", *argv, text=text)

    @staticmethod
    def _cable(name: str) -> socket.socket:
        cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        cable.bind((name, 0))
        return cable

    @staticmethod
    def _raw_socket_inside(family: int = socket.AF_INET) -> socket.socket:
        """A socket belongs to the namespace that it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/self/ns/net").open() as home, Path("/run/netns/node").open() as node:
            for where in (node, home):
                if libc.setns(where.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                if where is node:
                    made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        return made

    def load(self, rules: list[str]) -> Netfilter:
        """Put these rules in place of all others and forget all connections; the kernel as the walk sees it."""
        self.inside("iptables-restore", text="\n".join(rules) + "\n")
        self.inside("conntrack", "-F")
        self.rules = rules
        return Netfilter(iptables_save.parse(self.inside("iptables-save")),
                      ip.routes(self.inside("ip", "route", "show", "table", "all")),
                      ip.interfaces(self.inside("ip", "addr")), settings=self.settings)

    def filter_reverse_paths(self, mode: int) -> None:
        """Set rp_filter: 0 nowhere, 1 strictly, 2 loosely."""
        self.inside("sysctl", "-q", f"net.ipv4.conf.all.rp_filter={mode}")
        self.settings = {f"net.ipv4.conf.{at}.{name}": value for at in ("all", "eth0", "eth1") for name, value in (
            ("rp_filter", mode), ("route_localnet", 1), ("accept_local", 1))}

    def send(self, shot: Shot) -> None:
        """Send one packet and wait until the kernel begins to tell of it."""
        layer = UDP(sport=shot.sport, dport=shot.dport) if shot.protocol == "udp" else \
            TCP(sport=shot.sport, dport=shot.dport, flags="SA" if shot.follow_up == "is one" else "S")
        packet = IP(src=shot.source, dst=shot.destination) / layer
        before = self.output.count(b"PACKET: ")
        try:
            if shot.interface:
                mac = f"02:00:00:00:00:0{1 + int(shot.interface[3:])}"
                self.cables[shot.interface].send(bytes(Ether(src="02:00:00:00:00:77", dst=mac) / packet))
            else:
                self.made_here.sendto(bytes(packet), (shot.destination, 0))
        except PermissionError:     # what OUTPUT drops is refused to the sender
            pass
        self._read_until(lambda: self.output.count(b"PACKET: ") > before)

    def _read_until(self, is_there) -> None:
        deadline = time.monotonic() + 1
        while not is_there() and time.monotonic() < deadline:
            self.output += self.monitor.stdout.read() or b""
            time.sleep(0.0002)

    def compare(self, rules: list[str], packets: list[Shot], blind_to: str = "") -> list[TracedPath]:
        """Load, send, trace, walk. `blind_to`: the walk is not shown the rules that hold this."""
        netfilter = self.load(rules)
        self.output = b""
        for shot in packets:
            if shot.follow_up == "reply":
                self._settle()
            self.send(shot)
            if following := self._following(netfilter, shot):
                self.send(following)
        self._settle()
        if blind_to:
            shown = [line for line in self.inside("iptables-save").splitlines() if blind_to not in line]
            netfilter = replace(netfilter, ruleset=iptables_save.parse("\n".join(shown)))
        return list(traced_paths(netfilter, traces(self.output.decode())))

    def _following(self, netfilter: Netfilter, shot: Shot) -> Shot | None:
        """The same packet again, or the answer to it as the other side would send it, if it went anywhere."""
        if shot.follow_up != "reply":
            return shot if shot.follow_up == "again" else None
        self._settle()
        mine = {name: lines for name, lines in traces(self.output.decode()).items()
                if lines[0].packet.get("SPORT") == str(shot.sport)}
        gone = next((one.path for one in traced_paths(netfilter, mine)), None)
        after = gone.after if gone else None
        if not gone or not gone.end.startswith("goes out of eth") or None in (after.sport, after.dport):
            return None
        return Shot(after.destination, after.source, after.protocol, after.dport, after.sport, after.out_interface,
                    "is one")

    def _settle(self) -> None:
        """Wait until the monitor has nothing more to tell."""
        size = -1
        while size != len(self.output):
            size = len(self.output)
            time.sleep(0.003)
            self.output += self.monitor.stdout.read() or b""


def differ(node: Node, rules: list[str], packets: list[Shot], blind_to: str) -> TracedPath | None:
    """The first packet of which walk and kernel tell differently, tried a few times, for coins may hide it."""
    for _ in range(TRIES):
        try:
            found = next((one for one in node.compare(rules, packets, blind_to) if one.differences), None)
        except RuntimeError:        # rules that do not load
            return None
        if found:
            return found
    return None


def smallest(node: Node, rules: list[str], packets: list[Shot], blind_to: str) -> tuple[list[str], list[Shot]]:
    """Take away packets and rules, many at a time and then one at a time, as long as a difference remains."""
    packets = fewest(packets, lambda fewer: differ(node, rules, fewer, blind_to))
    given = [line for line in rules if line[0] != "-" or "-j TRACE" in line or line in TRACKING]
    kept = fewest([line for line in rules if line not in given], lambda fewer: differ(
        node, [line for line in rules if line in given or line in fewer], packets, blind_to))
    rules = [line for line in rules if line in given or line in kept]
    used = {word for line in rules if line[0] == "-" for word in line.split()}      # chains that still matter
    return [line for line in rules if line[0] != ":" or " - " not in line or line.split()[0][1:] in used], packets


def fewest(things: list, shows_it: Callable[[list], object]) -> list:
    """The fewest of these that still show it, as found by leaving out ever smaller stretches."""
    size = len(things)
    while size:
        at = 0
        while at < len(things):
            fewer = things[:at] + things[at + size:]
            if fewer != things and shows_it(fewer):
                things = fewer
            else:
                at += size
        size //= 2
    return things


def show(node: Node, seed: int, rules: list[str], packets: list[Shot], blind_to: str, found: TracedPath) -> None:
    """Print the smallest case of a difference."""
    rules, packets = smallest(node, rules, packets, blind_to)
    found = differ(node, rules, packets, blind_to) or found
    print(f"\nDifference (seed {seed}):", *rules, *map(str, packets), *found.differences, sep="\n  ")
    for step, line in found.pairs:
        print(f"    walk {(step.table, step.chain, step.verdict, step.rule.text if step.rule else '') if step else ''}")
        print(f"  kernel {(line.table, line.chain, line.verdict, line.rule) if line else ''}")


def prove(wanted: int, seed: int, blind_to: str) -> int:
    """Compare until enough pairs have been; the number of rulesets that showed a difference."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})      # so that packets are handled in the order of sending
    node, chance, counted, rulesets, wrong, started = Node(), random.Random(seed), Counter(), 0, 0, time.monotonic()
    while counted["pairs"] < wanted and wrong < MOST_SHOWN:
        first_port = 20000 + rulesets * 40 % 40000
        rules, packets = ruleset(chance), shots(chance, PACKETS_A_RULESET, first_port)
        node.filter_reverse_paths(rulesets % 3)
        rulesets += 1
        traced = node.compare(rules, packets, blind_to)
        counted["pairs"] += len(traced)
        counted["rules"] += sum(bool(line.rule) for one in traced for line in one.trace_lines)
        matched = [step.rule for one in traced for step in one.path.matched if step.rule]
        counted.update(option.name if match.module == "" else f"-m {match.module}"
                       for rule in matched for match in rule.parts.matches for option in match.options)
        counted.update(f"-j {rule.target}" for rule in matched if "-" not in rule.target)
        if found := next((one for one in traced if one.differences), None):
            wrong += 1
            show(node, seed, rules, packets, blind_to, found)
    node.monitor.kill()
    seconds = time.monotonic() - started
    print(f"{counted['pairs']} (ruleset, packet) pairs of {rulesets} rulesets, {counted['rules']} rules met, "
          f"seed {seed}, {seconds:.1f} s: {wrong} rulesets with a difference.")
    print("What matched:", ", ".join(f"{name} {count}" for name, count in sorted(counted.items()) if name[0] == "-"))
    return wrong


def main() -> int:
    """Go into namespaces of our own, and prove there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000, help="how many (ruleset, packet) pairs (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random rulesets and packets (%(default)s)")
    parser.add_argument("--blind-to", default="", help="hide rules that hold this from the walk: it must be noticed")
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        argv = ["unshare", *as_root(), "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                sys.executable, *sys.argv]
        os.execvpe(argv[0], argv, {**os.environ, INSIDE: "yes"})     # who kills this process kills all of it
    return 1 if prove(arguments.pairs, arguments.seed, arguments.blind_to) else 0


if __name__ == "__main__":
    sys.exit(main())
