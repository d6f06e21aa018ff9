"""The netns lab: up within a second, gone at once, and whatever ends it, this machine is as it was before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from namespaces import REPO, as_ordinary_user, on_this_machine, processes_of_labs, require_namespaces, require_root

from kitlib.errors import KitError
from kitlib.lab import Lab
from live_labs import shell
from live_labs.shell import Completed
from netns_lab import NetnsLab, needs
from netns_lab.build import up
from netns_lab.description import LAB, parse, read
from netns_lab.holder import find, holder_at

TIMES = 10            # up and down
PRIVATE = """
from kitlib import open_lab
lab = open_lab("netns")
print(lab.pod("my-nginx").dig("+short", "www.example.com").stdout, lab.backend.holder.pid, flush=True)
import time; time.sleep(60)
"""
BUSY = """
from kitlib import open_lab
lab = open_lab("netns")
while True:
    with lab.capture(trace=True) as seen:
        lab.pod("my-nginx").dig("www.example.com")
    seen.journeys()
"""
USERS = """
import os, time
from kitlib import open_lab
started = time.monotonic()
lab = open_lab("netns")
ready = time.monotonic() - started
pod = lab.pod("my-nginx")
with lab.capture(pod, lab.host) as seen:
    dig = pod.dig("+noall", "+answer", "www.example.com")
print(os.getuid(), len(seen.at(pod)), len(seen.at(lab.host)), dig.stdout.split()[-1], round(ready, 2))
"""


NAME = f"test-{os.getpid():07}"     # other tests run beside this one; no name begins another


def left() -> list[str]:
    """The processes of this test's labs that are still there after a second."""
    deadline = time.monotonic() + 1
    while (mine := [line for line in processes_of_labs() if NAME in line]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return mine


def test_up_and_down_time_and_again_leave_nothing() -> None:
    require_namespaces()
    ups, downs = [], []
    for _ in range(TIMES):
        started = time.monotonic()
        holder = up(read(), NAME)
        ups.append(time.monotonic() - started)
        started = time.monotonic()
        holder.end()
        downs.append(time.monotonic() - started)
        assert not left() and not find(NAME)
    assert not on_this_machine()
    assert min(ups) < 1 and min(downs) < 0.5, (ups, downs)


@pytest.mark.parametrize("victim", ["process 1", "its parent"])
def test_kill_9_of_the_holder_leaves_nothing(victim: str) -> None:
    require_namespaces()
    holder = up(read(), NAME)
    assert not on_this_machine()                                # not even while it is up
    inside = subprocess.run([*holder.enter, "ps", "-eo", "pid"], capture_output=True, text=True, check=True, timeout=20)
    assert len(inside.stdout.split()) > 20                      # places, servers
    parent = int(Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(holder.pid if victim == "process 1" else parent, signal.SIGKILL)
    gone_within(2, holder.pid)
    assert not left() and not on_this_machine()


def gone_within(seconds: float, pid: int) -> None:
    deadline = time.monotonic() + seconds
    while holder_at(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there after {seconds} s"
        time.sleep(0.01)


def test_a_private_lab_ends_with_its_python_even_by_kill_9() -> None:
    require_namespaces()
    python = subprocess.Popen([sys.executable, "-c", PRIVATE], cwd=REPO, stdout=subprocess.PIPE, text=True)
    answer, _, pid = (python.stdout.readline() + python.stdout.readline()).partition("\n")
    assert answer == "93.184.216.34"
    python.kill()
    python.wait(10)
    gone_within(2, int(pid))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(12))
def test_kill_9_at_any_moment_leaves_nothing(moment: int) -> None:
    """While it builds, listens with a rule trace, runs commands or joins journeys."""
    require_namespaces()
    python = subprocess.Popen([sys.executable, "-c", BUSY], cwd=REPO, stdout=subprocess.DEVNULL)
    time.sleep(0.1 + moment * 0.25)
    mine = {int(pid) for pid in processes_below(python.pid)}
    python.kill()
    python.wait(10)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in mine):
        assert time.monotonic() < deadline, mine
        time.sleep(0.05)
    assert not on_this_machine()


def processes_below(pid: int) -> list[int]:
    """The processes that this one has started, and those that they have."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False, timeout=20).stdout
    return [below for child in map(int, found.split()) for below in (child, *processes_below(child))]


def test_a_build_that_fails_says_what_failed_and_leaves_nothing() -> None:
    require_namespaces()
    twice = LAB.read_text().replace('podIP = "10.244.0.4"', 'podIP = "10.244.0.2"')
    with pytest.raises(KitError, match=r"(?s)failed: nsenter .* ip -batch /run/lab/.*File exists"):
        up(parse(twice), NAME)
    assert not left() and not on_this_machine()


def test_two_labs_at_once_do_not_meet() -> None:
    require_namespaces()
    holders = [up(read(), f"{NAME}-{number}") for number in (1, 2)]
    try:
        one, other = (Lab(NetnsLab(holder)) for holder in holders)
        with other.capture() as elsewhere, one.capture() as here:
            one.pod("my-nginx").dig("www.example.com")
        assert len(here.sightings) > 10 and not elsewhere.sightings
        assert other.pod("my-nginx").dig("+short", "www.example.com").stdout == "93.184.216.34\n"
    finally:
        for holder in holders:
            holder.end()
    assert not left()


def test_an_ordinary_user_needs_no_root() -> None:
    require_root()
    said = as_ordinary_user(sys.executable, "-c", USERS)
    assert said.returncode == 0, said.stderr
    uid, at_pod, at_bridge, answer, ready = said.stdout.split()
    assert (uid, at_pod, at_bridge, answer) == ("65534", "2", "4", "93.184.216.34")    # the bridge sees upstream too
    assert float(ready) < 3
    assert not on_this_machine()


def test_the_terminal_brings_it_up_shows_it_and_takes_it_down() -> None:
    require_root()          # as nobody, so that no lab of this machine's learner is touched
    kitlib = f"{sys.executable} -m kitlib lab"
    lines = [f"cd {REPO}", f"{kitlib} status; echo $?", f"{kitlib} up", f"{kitlib} up", f"{kitlib} status",
             f"{kitlib} shell my-nginx dig +noall +answer www.example.com",
             f"{kitlib} shell worker3 ls /nowhere; echo $?", f"{kitlib} shell moon", f"{kitlib} down", f"{kitlib} down"]
    said = as_ordinary_user("sh", "-c", "\n".join(lines))
    assert "No netns lab is up. To bring one up: python -m kitlib lab up\n1\n" in said.stdout
    assert "The netns lab is up: 14 places after " in said.stdout and "The netns lab is up already." in said.stdout
    assert "shared: process " in said.stdout and "www.example.com.\t30\tIN\tA\t93.184.216.34\n2\n" in said.stdout
    assert said.stdout.endswith("The netns lab is gone, with all that was in it.\nNo netns lab is up.\n")
    assert "No single place is called 'moon'. There are: host, " in said.stderr


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(needs, "TRIALS", ())
    monkeypatch.setattr(needs, "has", lambda program: program not in ("dnsmasq", "conntrack"))
    with pytest.raises(KitError, match="apt install conntrack dnsmasq-base"):
        needs.require()
    assert ("netns lab: dnsmasq", "missing: dnsmasq", "Debian, Ubuntu: apt install dnsmasq-base") in needs.problems()


def test_what_the_kernel_refuses_is_named_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(needs, "TRIALS", (("namespaces", ("mount",), needs.ALLOW),))
    monkeypatch.setattr(shell, "run", lambda argv, timeout: Completed(1, "", ""))
    what, problem, fix = list(needs.problems())[-1]
    assert (what, problem) == ("netns lab: namespaces", "exit code 1") and "unprivileged_userns_clone" in fix
