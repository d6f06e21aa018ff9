"""The walk through nftables and this kernel agree on random tables and packets; a wrong rule of order is noticed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from namespaces import REPO, require_namespaces, require_programs

PAIRS, SEED = 800, 2        # five thousand, and other seeds: make benchmark
# What must have matched at least once, so that agreeing means something.
KINDS = ["match payload saddr", "match payload daddr", "match payload dport", "match meta l4proto", "match meta mark",
         "match ct state", "match ct status", "match fib", "match numgen", "match concat", "vmap concat", "vmap numgen",
         "vmap payload dport", "vmap ct state", "vmap meta iifname", "vmap fib", "mangle ct mark",
         "mangle meta mark", "dnat", "snat", "masquerade", "redirect", "jump", "goto", "return",
         "accept", "drop", "reject", "set", "not the first", "packets of ip", "packets of ip6",
         "rulesets with iptables"]


def prove(*arguments: str) -> subprocess.CompletedProcess:
    require_namespaces()
    require_programs("nft", "conntrack")
    command = [sys.executable, "benchmarks/nft_against_kernel.py", "--seed", str(SEED), *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=100, check=False)


def test_hundreds_of_packets_of_both_families_pass_the_same_rules(capsys: pytest.CaptureFixture) -> None:
    done = prove("--pairs", str(PAIRS))
    assert done.returncode == 0, done.stdout + done.stderr
    pairs, different = map(int, re.search(r"(\d+) \(ruleset.* s: (\d+) rulesets with", done.stdout).groups())
    assert pairs >= PAIRS and different == 0
    counted = dict(re.findall(r"([a-z][a-z\d ]*?) (\d+)(?:, |$)", done.stdout.partition("What matched: ")[2]))
    assert [kind for kind in KINDS if counted.get(kind, "0") == "0"] == []
    assert int(counted["certain"]) > pairs * 0.6 and int(counted["undecided"]) < pairs * 0.05
    with capsys.disabled():
        print("\n" + done.stdout.splitlines()[0])


@pytest.mark.parametrize("wrong", ["oldest-first", *(pytest.param(wrong, marks=pytest.mark.slow) for wrong in (
    "accept-ends-nat", "accept-ends-hook", "goto-is-jump", "nat-by-its-own-priority"))])
def test_a_wrong_rule_of_order_is_noticed(wrong: str) -> None:
    done = prove("--pairs", "400", "--wrong", wrong)
    assert done.returncode == 1 and "1 rulesets with a difference" in done.stdout, done.stdout + done.stderr
