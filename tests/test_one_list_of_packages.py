"""The netns lab's Debian packages are one list: README, CI, devcontainer and doctor all have it from there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPO
from netns_lab import needs


def test_the_readme_names_the_packages() -> None:
    said = re.search(r"apt install (.*)", (REPO / "README.md").read_text())[1]
    assert said.split() == list(needs.packages())


def test_ci_installs_the_packages_from_the_lists() -> None:
    script = (REPO / ".ci" / "run").read_text()
    reading = re.search(r"packages=\$\((.*)\)", script)[1]
    read = subprocess.run(["sh", "-c", reading], cwd=REPO, capture_output=True, text=True, timeout=10, check=True)
    assert read.stdout.split() == list(needs.packages())
    assert "apt-get -q install --yes --no-install-recommends $packages" in script


def test_the_devcontainer_installs_the_packages_from_the_list() -> None:
    container = json.loads((REPO / ".devcontainer" / "devcontainer.json").read_text())
    reading = re.search(r"install --yes --no-install-recommends \$\((.*?)\)", container["postCreateCommand"])[1]
    read = subprocess.run(["sh", "-c", reading], cwd=REPO, capture_output=True, text=True, timeout=10, check=True)
    assert read.stdout.split() == list(needs.packages())
    assert container["privileged"]      # else its root may not make namespaces


def test_binder_installs_the_packages_of_the_list_and_asks_the_doctor() -> None:
    assert (REPO / "apt.txt").read_text().split() == list(needs.packages())
    script = REPO / "postBuild"
    assert script.stat().st_mode & 0o111 and "python -m kitlib doctor" in script.read_text()
    subprocess.run(["sh", "-n", script], check=True, timeout=10)


def test_the_doctor_names_each_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(needs, "TRIALS", ())
    monkeypatch.setattr(needs, "has", lambda program: False)
    fixes = {fix for _, problem, fix in needs.problems() if problem.startswith("missing")}
    assert fixes == {f"Debian, Ubuntu: apt install {package}" for package in needs.packages()}


def test_every_program_that_the_lab_runs_is_in_the_list() -> None:
    sources = [*(REPO / "lab-setup/netns").glob("*.py"), *(REPO / "lab-setup/netns").glob("*.sh")]
    programs = {program for found in needs.packages().values() for program in found}
    text = "\n".join(source.read_text() for source in sources)
    started = set(re.findall(r'"(nsenter|unshare|mount|ip|sysctl|iptables-restore|dnsmasq|conntrack|hostname)"', text))
    started |= set(re.findall(r"&& (hostname) ", text))
    assert started <= programs and len(started) == 9


def test_a_bare_machine_has_python_and_make_but_none_of_the_optional_programs() -> None:
    programs = [*(name for found in needs.packages().values() for name in found), "nft", "iptables", "iptables-save",
                "ip6tables", "docker", "kubectl", "kind", "tshark", "chromium"]
    asked = f"for name in python3 make sh {' '.join(programs)}; do command -v $name; done; python3 -c 'print(6 * 7)'"
    said = subprocess.run(["sh", ".ci/without-programs", "sh", "-c", asked], cwd=REPO, capture_output=True, text=True,
                          timeout=60, check=True)
    *found, answer = said.stdout.split()
    assert [Path(path).name for path in found] == ["python3", "make", "sh"] and answer == "42"
    assert not Path(found[0]).parent.exists()
