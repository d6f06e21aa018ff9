"""What `iptables` would change, applied to the text of `iptables-save`. See iptables(8)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kitlib.errors import ParseError
from kitlib.exercises.answers import WHAT
from kitlib.exercises.mending import Answers, node_only

if TYPE_CHECKING:
    from kitlib.lab import Lab

SAVED = ("iptables-save",)
SHORT = {"--append": "-A", "--insert": "-I", "--delete": "-D", "--flush": "-F", "--policy": "-P", "--protocol": "-p",
         "--jump": "-j", "--source": "-s", "--destination": "-d", "--table": "-t", "--destination-port": "--dport"}


def iptables(lab: Lab, place: str, words: list[str]) -> Answers:
    """`iptables [-t TABLE] -P|-A|-I|-D|-F CHAIN …`: the node's `iptables-save` afterwards."""
    node_only(place, ["iptables", *words])
    words = [SHORT.get(word, word) for word in words if word not in ("-w", "--wait")]
    table = "filter"
    if "-t" in words[:-1]:
        at = words.index("-t")
        table, words = words[at + 1], words[:at] + words[at + 2:]
    tables = tables_of(lab.run(place, SAVED).stdout)
    if len(words) < 2 or table not in tables or not any(line.startswith(f":{words[1]} ") for line in tables[table]):
        raise ParseError(WHAT, "iptables, a command such as -A, and a chain that is there in its table (-t)",
                         shlex.join(["iptables", "-t", table, *words]))
    tables[table] = _changed(tables[table], *words)
    return {(place, SAVED): text_of(tables)}


def tables_of(text: str) -> dict[str, list[str]]:
    """The lines of each table: its chains, then its rules."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            found[line[1:]] = current = []
        elif line.startswith((":", "-A")):
            current.append(line)
    return found


def text_of(tables: dict[str, list[str]]) -> str:
    """The text of iptables-save again."""
    return "".join("\n".join([f"*{table}", *lines, "COMMIT", ""]) for table, lines in tables.items())


def _changed(lines: list[str], command: str, chain: str, *words: str) -> list[str]:
    rules = [line for line in lines if line.startswith(f"-A {chain} ")]
    others = [line for line in lines if line not in rules]
    match command:
        case "-P":
            return [f":{chain} {words[0]} [0:0]" if line.startswith(f":{chain} ") else line for line in lines]
        case "-F":
            return others
        case "-A":
            return [*lines, _rule(chain, words)]
        case "-I":
            number, words = (int(words[0]), words[1:]) if words and words[0].isdigit() else (1, words)
            return [*others, *rules[:number - 1], _rule(chain, words), *rules[number - 1:]]
        case "-D":
            return [line for line in lines if line != _named(rules, words)]
    raise ParseError(WHAT, "one of -P, -A, -I, -D, -F", command)


def _rule(chain: str, words: tuple[str, ...]) -> str:
    """The rule as iptables-save writes it: a port needs the protocol's own match."""
    protocol = words[words.index("-p") + 1] if "-p" in words[:-1] else ""
    given = list(words)
    if protocol and f"-m {protocol}" not in " ".join(words):
        at = given.index("-p") + 2
        given[at:at] = ["-m", protocol]
    return f"-A {chain} {shlex.join(given)}"


def _named(rules: list[str], words: tuple[str, ...]) -> str:
    """The rule that -D means: by its number, or by what it says."""
    if len(words) == 1 and words[0].isdigit() and 0 < int(words[0]) <= len(rules):
        return rules[int(words[0]) - 1]
    found = [rule for rule in rules if sorted(_options(shlex.split(rule)[2:])) == sorted(_options(list(words)))]
    if not found:
        raise ParseError(WHAT, "a rule that is there, as iptables-save shows it", shlex.join(words))
    return found[0]


def _options(words: list[str]) -> Iterator[tuple[str, ...]]:
    """A rule's options, each with its values; without what iptables adds by itself."""
    option: list[str] = []
    for word in [*words, "--end"]:
        if word.startswith("-") and option and option[-1] != "!":
            if option[:2] not in (["-m", "tcp"], ["-m", "udp"], ["-m", "comment"]) and option[0] != "--comment":
                yield tuple(word.removesuffix("/32") for word in option)
            option = []
        option.append(word)
