"""The rule walk and this kernel agree on every packet through rulesets drawn at random; what they did not, is shown."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from namespaces import REPO, require_namespaces

PAIRS, SEED = 600, 3        # thousands: make benchmark
# What must have matched at least once, so that agreeing means something.
KINDS = ["-s", "-d", "-i", "-o", "-p", "-m udp", "-m tcp", "-m multiport", "-m mark", "-m conntrack", "-m state",
         "-m addrtype", "-m comment", "-m rpfilter", "-m iprange",
         "-m physdev", "-m statistic", "-j ACCEPT", "-j DROP", "-j RETURN", "-j REJECT",
         "-j DNAT", "-j REDIRECT", "-j SNAT", "-j MASQUERADE", "-j MARK", "-j LOG", "-j NOTRACK", "-j CT", "-j TRACE"]


def prove(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "benchmarks/walk_against_kernel.py", "--seed", str(SEED), *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=100, check=False)


def test_hundreds_of_packets_pass_the_same_rules(capsys: pytest.CaptureFixture) -> None:
    require_namespaces()
    said = prove("--pairs", str(PAIRS))
    assert said.returncode == 0, said.stdout + said.stderr
    pairs, rulesets, different = map(int, re.search(r"(\d+) \(ruleset.* of (\d+) rulesets.*: (\d+) rulesets with",
                                                    said.stdout).groups())
    assert pairs >= PAIRS and rulesets >= 10 and different == 0
    matched = dict(re.findall(r"(-\w+(?: \w+)?) (\d+)", said.stdout.partition("What matched:")[2]))
    assert [kind for kind in KINDS if kind not in matched] == []
    with capsys.disabled():
        print("\n" + said.stdout.splitlines()[0])


@pytest.mark.parametrize("hidden", ["-j MARK", pytest.param("-m conntrack", marks=pytest.mark.slow)])
def test_a_rule_that_the_walk_overlooks_is_found_and_shown_by_the_smallest_ruleset(hidden: str) -> None:
    require_namespaces()
    said = prove("--pairs", "200", "--blind-to", hidden)
    assert said.returncode == 1, said.stderr
    first = said.stdout.split("\nDifference")[1]
    rules = [line for line in first.splitlines() if line.startswith("  -A") and "-j TRACE" not in line]
    assert any(hidden in line for line in rules) and len(rules) < 15 and "the walk says" in first
