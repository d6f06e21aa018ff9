"""Rules of ten thousand Services, read beside iptables-restore and nft, and walked; random rules beside the kernel."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from generated_services import (
    FIRST_NODE_PORT,
    NODE,
    NODE_PORTS,
    ROUTES,
    cluster_ip,
    iptables_save,
    nft_listing,
    nft_script,
)
from measure import Row, in_new_process, in_turn, missing, not_measured, run, show_progress, timed

from kitlib.netfilter.packet import Packet
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip, nft
from kitlib.parsers.iptables_save import parse

SERVICES = 10_000
KERNEL_S = 1800
PAIRS = 5000
MOST_TIMES, MOST_NFT_TIMES, MOST_MB, MOST_FIRST_MS, MOST_MS = 1.1, 3, 250, 30, 1
RESTORE = ("unshare", "--net", "iptables-restore", "--test")
CHECK = ("unshare", "--net", "nft", "-c", "-f", "-")
PACKETS = {"to a ClusterIP": Packet("10.9.2.3", cluster_ip(SERVICES - 1), "udp", 40000, 53, "veth1"),
           "to a node port": Packet("10.9.2.3", NODE, "udp", 40000, FIRST_NODE_PORT + NODE_PORTS - 1, "veth1"),
           "in nftables mode": Packet("10.9.2.3", cluster_ip(SERVICES - 1), "udp", 40000, 5353, "veth1")}


def rows(rounds: int, _folder: Path) -> Iterator[Row]:
    """Yield the rows about rules."""
    yield from _reading(rounds)
    yield _reading_nft(rounds)
    costs = in_turn(rounds, {f"walk {where}": lambda where=where: in_new_process(walk, where) for where in PACKETS})
    for where, cost in zip(PACKETS, costs.values(), strict=True):
        first, later = cost.result
        yield Row(f"first walk after reading {SERVICES:,} Services, {where}", f"at most {MOST_FIRST_MS} ms",
                  f"{first:.1f} ms", first <= MOST_FIRST_MS)
        yield Row(f"walk {where}, {SERVICES:,} Services", f"at most {MOST_MS} ms", f"{later:.2f} ms", later <= MOST_MS)
    yield from (_beside_the_kernel(script) for script in ("walk_against_kernel.py", "nft_against_kernel.py"))


def _reading(rounds: int) -> Iterator[Row]:
    text = iptables_save(SERVICES)
    works = {"kitlib reads rules": lambda: in_new_process(read, SERVICES)}
    cannot = missing("unshare", "iptables-restore") or ("only root may" if os.geteuid() else "")
    if not cannot:
        works["iptables-restore"] = lambda: run(RESTORE, text)
    costs = in_turn(rounds, works)
    cost = costs["kitlib reads rules"]
    what, bar = f"reading the rules of {SERVICES:,} Services", f"at most {MOST_TIMES} times iptables-restore --test"
    if cannot:
        yield not_measured(what, bar, cannot)
    else:
        theirs = costs["iptables-restore"].seconds
        yield Row(what, bar, f"{cost.result:.2f} s, iptables-restore {theirs:.2f} s: {cost.result / theirs:.2f} times",
                  cost.result <= MOST_TIMES * theirs)
    yield Row(f"{what}, memory", f"at most {MOST_MB} MB", f"{cost.megabytes:.0f} MB", cost.megabytes <= MOST_MB)


def _reading_nft(rounds: int) -> Row:
    what, bar = f"reading {SERVICES:,} Services of nft -j", f"at most {MOST_NFT_TIMES} times nft -c -f"
    if cannot := missing("unshare", "nft") or ("only root may" if os.geteuid() else ""):
        return not_measured(what, bar, cannot)
    script = nft_script(nft_listing(SERVICES))
    ours, theirs = in_turn(rounds, {"kitlib reads nft -j": lambda: in_new_process(read_nft, SERVICES),
                                    "nft -c -f": lambda: run(CHECK, script)}).values()
    return Row(what, bar, f"{ours.result:.2f} s, nft {theirs.seconds:.2f} s: {ours.result / theirs.seconds:.2f} times",
               ours.result <= MOST_NFT_TIMES * theirs.seconds)


def _beside_the_kernel(name: str) -> Row:
    """Walk random packets through random rules and ask the kernel for the same; what differs is printed."""
    show_progress(f"{PAIRS:,} packets beside the kernel")
    script = Path(__file__).with_name(name)
    done = subprocess.run([sys.executable, script, "--pairs", str(PAIRS)], capture_output=True, text=True,
                          timeout=KERNEL_S, check=False)
    summary = next((line for line in done.stdout.splitlines() if "with a difference" in line), "")
    rules = "nftables" if name.startswith("nft") else "iptables"
    what, bar = f"rule walk through {rules} beside this kernel's own trace", "no difference"
    if not summary:
        return not_measured(what, bar, (done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    if done.returncode:
        print(done.stdout)
    return Row(what, bar, summary.rstrip("."), done.returncode == 0)


def read(services: int) -> float:
    """Return the seconds that it takes to parse the rules of so many Services."""
    text = iptables_save(services)
    return timed(lambda: parse(text))[0]


def read_nft(services: int) -> float:
    """Return the seconds that it takes to parse so many Services of nftables."""
    text = nft_listing(services)
    return timed(lambda: nft.ruleset(text))[0]


def walk(where: str) -> tuple[float, float]:
    """Return the milliseconds of the first walk after the rules were read, and the median of those after it."""
    native = nft.ruleset(nft_listing(SERVICES)) if where == "in nftables mode" else None
    netfilter = Netfilter(parse("" if native else iptables_save(SERVICES)), ip.routes(ROUTES), nft=native)
    first, *later = (timed(lambda: simulate(netfilter, PACKETS[where]))[0] * 1000 for _ in range(50))
    return first, statistics.median(later)
