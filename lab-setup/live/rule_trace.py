"""The kernel's own rule trace, live: rules for the question that is asked, taken out again whatever happens.

A query changes its addresses, ports and id on its way; the question in it stays, in CoreDNS's own query too. So the
rules look for the question: iptables-extensions(8), string. Where kube-proxy is in nftables mode they stand in a table
of their own: nft(8), RAW PAYLOAD EXPRESSION and `meta nftrace`.
"""

from __future__ import annotations

import os
import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from kitlib.backends import KUBE_PROXY, CaptureData, RuleTrace
from kitlib.errors import KitError
from kitlib.parsers import iptables_save
from kitlib.result import Result
from live_labs.shell import MOST_BYTES, background

MONITOR, NFT_MONITOR = ("xtables-monitor", "--trace"), ("nft", "-a", "monitor", "trace")
COMMENT = re.compile(r"kitlib-trace-(\w+)-(\d+)-(\d+)")    # of our rules: the machine, the process, when it was made
OWN_LINES = re.compile(r"^trace id \S+ inet kitlib-trace-.*\n", re.MULTILINE)
STALE_S = 600                             # no trace takes so long: whoever made the rule was killed
HEADERS, LONGEST = 20 + 8 + 12, 128       # bytes of IPv4, UDP and DNS before the question; what -m string can look for
DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")
PLAIN = re.compile(r"(?<!\S)[a-z0-9][a-z0-9_-]+(?!\S)")
RESOLVING = ("dig", "getent", "host", "nslookup", "curl", "wget", "ping")
ADDRESS = re.compile(r"[\d.]+")
QUESTION_AT = 8 * (8 + 12)                # bits of UDP and DNS before the question
CHUNK = 16                                # bytes that nft compares at once
NFT_TABLE = """table inet {name} {{
    chain questions {{
    }}
    chain prerouting {{
        type filter hook prerouting priority -350
        udp dport {{ {ports} }} jump questions
        udp sport {{ {ports} }} jump questions
    }}
    chain output {{
        type filter hook output priority -350
        udp dport {{ {ports} }} jump questions
        udp sport {{ {ports} }} jump questions
    }}
}}"""
START_S, LAST_WORDS_S = 0.2, 0.1          # xtables-monitor does not say when it listens, nor when it has said all


class LiveRunner(Protocol):
    """What a rule trace needs of a live lab."""

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Run argv at a place."""

    def reach(self, place: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argv that, run here, runs `argv` at the place."""

    def typed(self, place: str, argv: tuple[str, ...]) -> str:
        """Return the command line that one types for it."""


@contextmanager
def tracing(lab: LiveRunner, places: Sequence[str], data: CaptureData, ports: Sequence[int]
            ) -> Iterator[Callable[[Sequence[str]], None]]:
    """Trace at these nodes what is asked of these UDP ports while the block runs.

    Call the result with a command before it runs.

    `data` gets the traces and the rules as they stood. Raises KitError if a node's kernel cannot be traced.
    """
    among = ",".join(map(str, ports))
    with ExitStack() as stack:
        tables = {place: sweep(lab, place) for place in places}     # first what a killed session has left
        in_nftables = {place for place in places if KUBE_PROXY in tables[place]}
        commands = {place: NFT_MONITOR if place in in_nftables else MONITOR for place in places}
        monitors = {place: stack.enter_context(background(lab.reach(place, commands[place]))) for place in places}
        try:
            for place in in_nftables:
                _run(lab, place, "nft", NFT_TABLE.format(name=session_name(), ports=among))
            time.sleep(START_S)
            yield partial(_arm, lab, places, in_nftables, among, set())
            rules = {place: lab.run(place, ("iptables-save",)) for place in places}
        finally:
            for place in places:
                _sweep_tables(lab, place) if place in in_nftables else _sweep_rules(lab, place)
        native = {place: [lab.run(place, ("nft", option, "list", "ruleset")) for option in ("-j", "-a")]
                  for place in in_nftables}
        time.sleep(LAST_WORDS_S)
        for place, monitor in monitors.items():
            if monitor.is_full:
                raise KitError(f"The rule trace at {place} has over {MOST_BYTES // 2**20} MB: trace fewer queries.")
            if not monitor.is_running:
                raise KitError(f"The rule trace at {place} ended early. It said: {monitor.stderr.strip() or 'nothing'}")
            text = OWN_LINES.sub("", monitor.stop().decode(errors="replace"))
            words = Result(lab.typed(place, commands[place]), commands[place], 0, text, note="live")
            data.traces[place] = RuleTrace(words, rules[place], *native.get(place, ()))


def _arm(lab: LiveRunner, places: Sequence[str], in_nftables: set[str], ports: str, armed: set[bytes],
         argv: Sequence[str]) -> None:
    """Let the packets be traced that carry the questions this command will ask, and no others."""
    for question in dict.fromkeys(questions(argv)):
        if question in armed:
            continue
        armed.add(question)
        for place in places:
            if place in in_nftables:
                _run(lab, place, "nft", "add", "rule", "inet", session_name(), "questions", *_nft_rule(question))
                continue
            for chain in ("PREROUTING", "OUTPUT"):
                _iptables(lab, place, "-I", chain, *_trace_rule(question, ports))


def questions(argv: Sequence[str]) -> list[bytes]:
    """Return the names in a command as queries begin with them (RFC 1035, 3.1), but open for a search list's domain.

    Names are its words with a dot; without any, in a program that resolves, those of small letters. Of an address also
    the name that `dig -x` asks for.
    """
    text = " ".join(argv[1:])
    names = DOTTED.findall(text) or (PLAIN.findall(text) if argv[0] in RESOLVING else [])
    names += [".".join([*reversed(name.split(".")), "in-addr.arpa"]) for name in names if ADDRESS.fullmatch(name)]
    return [_wire_format(name) for name in names]


def _wire_format(name: str) -> bytes:
    labels = [label.encode()[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels)[:LONGEST]


def _trace_rule(question: bytes, ports: str) -> tuple[str, ...]:
    """Return the rule that traces packets whose DNS question begins with these bytes, queries and responses."""
    return ("-p", "udp", "-m", "multiport", "--ports", ports, "-m", "string", "--algo", "kmp",
            "--from", str(HEADERS), "--to", str(HEADERS + len(question)), "--hex-string", f"|{question.hex()}|",
            "-m", "comment", "--comment", session_name(), "-j", "TRACE")


def _nft_rule(question: bytes) -> Iterator[str]:
    """Yield the words of the rule of nftables that traces packets whose DNS question begins with these bytes."""
    for start in range(0, len(question), CHUNK):
        part = question[start:start + CHUNK]
        yield from (f"@th,{QUESTION_AT + 8 * start},{8 * len(part)}", f"0x{part.hex()}")
    yield from ("meta", "nftrace", "set", "1")


@cache
def session_name() -> str:
    """Return what our rules and tables are called: by whom and when they were made."""
    return f"kitlib-trace-{_machine()}-{os.getpid()}-{int(time.time())}"


def sweep(lab: LiveRunner, place: str) -> list[str]:
    """Take our TRACE rules out, and what a killed session has left, never those of one that is at work.

    Return the tables of nftables there.
    """
    _sweep_rules(lab, place)
    return _sweep_tables(lab, place)


def _sweep_rules(lab: LiveRunner, place: str) -> None:
    saved = iptables_save.parse(lab.run(place, ("iptables-save", "-t", "raw")).text)
    for chain in saved.tables.get("raw", {}).values():
        for rule in chain.rules:
            if (comment := COMMENT.fullmatch(rule.comment or "")) and _is_over(*comment.groups()):
                _iptables(lab, place, "-D", *shlex.split(rule.text)[1:])


def _sweep_tables(lab: LiveRunner, place: str) -> list[str]:
    """Do so with tables of nftables; list what is there: "table ip kube-proxy", and nothing where there is no nft."""
    listed = lab.run(place, ("nft", "list", "tables"))
    tables = [] if listed.rc else listed.stdout.splitlines()
    for table in tables:
        name = table.rpartition(" ")[2]
        if (ours := COMMENT.fullmatch(name)) and _is_over(*ours.groups()):
            _run(lab, place, "nft", "delete", "table", "inet", name)
    return tables


def _is_over(machine: str, process: str, made: str) -> bool:
    """Say whether who made a rule is this Python, or dead. On another machine, only the rule's age can tell."""
    if machine == _machine():
        return int(process) == os.getpid() or not Path("/proc", process).exists()
    return int(made) < time.time() - STALE_S


@cache
def _machine() -> str:
    """Return what tells machines apart whose processes are not ours to look up: the boot, and the pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:         # no Linux: of no other session can be told that it is dead
        return uuid.uuid4().hex


def _iptables(lab: LiveRunner, place: str, *words: str) -> None:
    _run(lab, place, "iptables", "-w", "-t", "raw", *words)


def _run(lab: LiveRunner, place: str, *argv: str) -> None:
    outcome = lab.run(place, argv)
    if outcome.rc:
        raise KitError(f"The kernel's rule trace cannot be had at {place}: {outcome.stderr.strip()}")
