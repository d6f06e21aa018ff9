"""A lab that has ended is never entered again; a Python that was killed leaves nothing in a lab that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import pytest
from namespaces import REPO, as_ordinary_user, require_namespaces, require_root

import netns_lab
from kitlib.errors import KitError, PlaceGone
from kitlib.lab import Lab
from live_labs import shell
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import read
from netns_lab.holder import HOLDER, NamespaceHolder, find

NAME = f"ended-{os.getpid()}"
LISTENS = """
import sys, time
from kitlib.lab import Lab
from netns_lab import NetnsLab
from netns_lab.holder import find
lab = Lab(NetnsLab(find(sys.argv[1])))
with lab.capture(trace=True):
    lab.pod("my-nginx").dig("www.example.com")
    print("listening", flush=True)
    time.sleep(60)
"""
AS_NOBODY = f"""
import subprocess, sys, time
from netns_lab.build import up
from netns_lab.description import read
holder = up(read(), "nobodys")
python = subprocess.Popen([sys.executable, "-c", {LISTENS!r}, "nobodys"], stdout=subprocess.PIPE, text=True)
python.stdout.readline()
print(sum("tcpdump" in words for words in holder.commands()) > 10)
python.kill()
time.sleep(1)
print(sum("tcpdump" in words for words in holder.commands()))
holder.end()
"""

ASKS = """
from contextlib import nullcontext
from kitlib import open_lab
lab = open_lab()
while True:
    with {block}:
        lab.pod("my-nginx").dig("www.example.com")
"""
KILLED = {      # KITLIB_MODE, and how the victim is started
    "up": ("", "-m", "kitlib", "lab", "up"), "run": ("", "-c", ASKS.format(block="nullcontext()")),
    "capture": ("", "-c", ASKS.format(block="lab.capture()")),
    "rule trace": ("", "-c", ASKS.format(block="lab.capture(trace=True)")),
    "recorder": ("record", "-c", ASKS.format(block="lab.capture(trace=True)"))}
AFTER = """
from kitlib import open_lab
lab = open_lab()
print(lab.pod("my-nginx").dig("+short", "www.example.com").stdout.strip(),
      sum("TRACE" in node.run("iptables-save").stdout for node in lab.nodes))
"""
MOMENTS = 4
KILL = f"""
import os, random, subprocess, sys, time
from pathlib import Path
from kitlib.backends.recording import load
from netns_lab.holder import find

mode, *words = sys.argv[1:]
recording = Path(f"/tmp/killed-{{os.getpid()}}")
os.environ |= {{"KITLIB_LAB": "netns", "KITLIB_RECORDING": str(recording)}}

def python(*words):
    return subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True)

for moment in range({MOMENTS}):
    if "up" not in words:
        python("-m", "kitlib", "lab", "up")
    victim = subprocess.Popen([sys.executable, *words], stdout=sys.stderr, env=os.environ | {{"KITLIB_MODE": mode}})
    time.sleep(random.uniform(0.05, 2 if "up" in words else 6))
    victim.kill()
    victim.wait()
    up = python("-m", "kitlib", "lab", "up").returncode
    answer = python("-c", {AFTER!r}).stdout.strip()
    listening = sum("tcpdump" in words or "xtables-monitor" in words for words in find("shared").commands())
    print(up, answer, listening, flush=True)
    if (recording / "facts.jsonl").exists():
        load(recording)
    if "up" in words or moment % 3 == 0:
        python("-m", "kitlib", "lab", "down")
python("-m", "kitlib", "lab", "down")
"""


@pytest.fixture
def holder() -> Iterator[NamespaceHolder]:
    require_namespaces()
    holder = up(read(), NAME)
    yield holder
    holder.end()


def listeners(holder: NamespaceHolder) -> int:
    return sum(program in words for words in holder.commands() for program in ("tcpdump", "xtables-monitor"))


def test_every_use_of_a_lab_that_ended_is_one_error(holder) -> None:
    lab = Lab(NetnsLab(holder))
    pod, again = lab.pod("my-nginx"), Lab(NetnsLab(holder))
    assert pod.run("true").rc == 0 and again.nodes
    holder.end()
    for use in (lambda: pod.run("true"), lambda: lab.host.run("kubectl", "get", "pods"),
                lambda: again.nodes[0].routes(), lambda: lab.capture(pod).__enter__()):
        with pytest.raises(PlaceGone, match=r"has ended\. Open it again"):
            use()


@pytest.mark.parametrize("stranger", [["sleep", "60"], ["sh", HOLDER, NAME]], ids=["another program", "another lab"])
def test_a_process_that_got_the_same_id_is_neither_entered_nor_killed(holder, stranger) -> None:
    process = subprocess.Popen(stranger, stdin=subprocess.PIPE)
    try:
        taken = replace(holder, pid=process.pid)
        with pytest.raises(PlaceGone):
            taken.reach("host", ("true",))
        taken.end()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_place_whose_process_was_killed_is_said(holder) -> None:
    node = Lab(NetnsLab(holder)).node("worker")
    subprocess.run([*holder.enter, "kill", "-9", holder.pids[node.id]], check=True, timeout=20)
    time.sleep(0.2)
    with pytest.raises(PlaceGone, match=r"stood in node:kind-test1-worker has ended.*lab up"):
        node.run("true")


def test_captures_end_with_a_python_that_is_killed_and_its_rules_are_swept(holder, monkeypatch) -> None:
    python = subprocess.Popen([sys.executable, "-c", LISTENS, NAME], cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert python.stdout.readline() == "listening\n" and listeners(holder) > 10
    monkeypatch.setattr(netns_lab, "find", lambda name: holder)
    node = Lab(NetnsLab(holder)).node("worker3")
    netns_lab.open_backend()
    assert "TRACE" in node.run("iptables-save", "-t", "raw").stdout           # it is at work
    python.kill()
    python.wait(10)
    time.sleep(0.5)
    assert listeners(holder) == 0
    netns_lab.open_backend()
    assert "TRACE" not in node.run("iptables-save", "-t", "raw").stdout


def test_so_they_do_for_an_ordinary_user() -> None:
    require_root()
    done = as_ordinary_user(sys.executable, "-c", AS_NOBODY)
    assert done.stdout == "True\n0\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("what", KILLED)
def test_kill_9_at_any_moment_leaves_nothing_in_a_lab_that_goes_on(what) -> None:
    """Whatever is killed: the next `lab up` brings up or finds a lab that answers, and nobody listens in it."""
    require_root()
    done = as_ordinary_user(sys.executable, "-c", KILL, *KILLED[what], timeout=900)
    assert done.stdout == "0 93.184.216.34 0 0\n" * MOMENTS, done.stderr


def test_a_capture_that_is_too_large_says_so_and_keeps_its_beginning(holder, monkeypatch) -> None:
    lab = Lab(NetnsLab(holder))
    pod = lab.pod("my-nginx")
    monkeypatch.setattr(shell, "MOST_BYTES", 1000)
    with lab.capture(pod) as seen:
        for _ in range(9):
            pod.dig("+short", "www.example.com")
    assert "was left out" in seen.note and 2 < len(seen.frames(pod)) < 18


def test_a_dns_server_that_ended_is_said(holder) -> None:
    lab = Lab(NetnsLab(holder))
    assert "has ended" not in repr(lab)
    subprocess.run([*holder.enter, "pkill", "-9", "-f", "upstream-dns/dnsmasq.conf"], check=True, timeout=20)
    time.sleep(0.2)
    assert "The DNS server of container:upstream-dns has ended" in repr(lab)


def test_a_holder_that_is_killed_while_it_is_built_is_noticed_at_once() -> None:
    require_namespaces()

    def kill() -> None:
        while (holder := find(NAME)) is None or not holder.file("place.sh").exists():
            time.sleep(0.001)
        os.kill(holder.pid, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    started = time.monotonic()
    with pytest.raises(KitError):
        up(read(), NAME)
    killer.join()
    assert time.monotonic() - started < 10
