"""The text of iptables-save and ip6tables-save: tables hold chains, chains hold rules, a rule has matches and a target.

What a rule says is split into options, not interpreted: a match or target that nobody here knows is kept with its
words, and the rule's own text verbatim. A node has a hundred thousand rules, of which a packet meets thirty: every line
is checked when the text is read, and taken apart when somebody looks at the rule.
Source: iptables-save(8), iptables(8), iptables/xshared.c (save_rule).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import merge
from typing import NamedTuple

from kitlib.errors import ParseError

CHAIN = re.compile(r":(\S+) (\S+)(?: \[\d+:\d+\])?$")
VALUE = r' +(?:"[^"\\]*(?:\\.[^"\\]*)*"|(?!-\D|! |")\S+)'
# One value an option, but for those that take two (extensions/libxt_tcp.c, libxt_set.c, libxt_SET.c).
PAIR = rf"--(?:tcp-flags|match-set|(?:add|del|map)-set){VALUE}{VALUE}"
OPTION = rf" +(?:! )?(?:-[dgijmops]{VALUE}|-[abcefhklnqrt-z]|{PAIR}|--[a-z][\w-]*(?:{VALUE})?)"
RULE = re.compile(rf"(?:\[(\d{{1,20}}):(\d{{1,20}})\] )?(-A (\S+)(?:{OPTION})*) *$")
WORD = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"|(\S+)')
DESTINATION = re.compile(r"(?:\[\d+:\d+\] )?-A \S+ (?:(?:! )?-[sio] \S+ )*-d ([^\s/]+)(?:/32|/128)(?= |$)")
PORT = re.compile(r"(?:\[\d+:\d+\] )?-A \S+ (?:(?:! )?-[sdio] \S+ )*-p (\w+) "
                  r"(?:-m comment --comment (?:\"[^\"\\]*\"|[^\s\"]+) )?"
                  r"-m \1 --dport (\d+)(?= |$)")
INCOMPLETE = re.compile(r"# (?:Warning: )?(.*tables present.*|Table .* is incompatible.*)")
PARTS_KEPT = 1 << 14


class Option(NamedTuple):
    """One option of a match or target: `! --mark 0x4000/0x4000`."""

    name: str
    values: tuple[str, ...]
    negated: bool


class Match(NamedTuple):
    """What one match module checks; `module` is "" for the rule's own conditions: addresses, interfaces, protocol."""

    module: str
    options: tuple[Option, ...]


class Parts(NamedTuple):
    """A rule taken apart; `target` is "" if the rule only counts, `is_goto` tells -g from -j."""

    matches: tuple[Match, ...]
    target: str
    target_options: tuple[Option, ...]
    is_goto: bool


class Rule(NamedTuple):
    """One rule; `number` counts from 1 in its chain, `text` is its line as iptables-save wrote it, without counters."""

    table: str
    chain: str
    number: int
    text: str
    packets: int | None = None
    bytes: int | None = None

    @property
    def parts(self) -> Parts:
        """The rule taken apart."""
        return _parts(self.text)

    @property
    def target(self) -> str:
        """The target, or the chain that it jumps or goes to."""
        return _parts(self.text).target

    @property
    def comment(self) -> str:
        """What `-m comment` says, "" if nothing."""
        return next((value for match in self.parts.matches if match.module == "comment"
                     for option in match.options for value in option.values), "")


@dataclass(frozen=True)
class Chain:
    """A chain; `policy` is "" for a user-defined one, `lines` are its rules as they were written."""

    table: str
    name: str
    policy: str
    lines: tuple[str, ...] = ()

    def rule(self, number: int) -> Rule:
        """Return the rule of this number."""
        packets, octets, text, _ = RULE.match(self.lines[number - 1]).groups()
        return Rule(self.table, self.name, number, text, *((int(packets), int(octets)) if packets else ()))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in order."""
        return tuple(map(self.rule, range(1, len(self.lines) + 1)))

    @cached_property
    def _index(self) -> dict[str | tuple[str, str], list[int]]:
        """The rules that can match one destination only, by it; one protocol and port, by these; all others by ""."""
        index: dict[str | tuple[str, str], list[int]] = {}
        for number, line in enumerate(self.lines, 1):
            if only := DESTINATION.match(line):
                index.setdefault(only[1], []).append(number)
            else:
                only = PORT.match(line)
                index.setdefault(only.groups() if only else "", []).append(number)
        return index

    def candidates(self, destination: str, protocol: str, dport: int | None) -> Iterator[Rule]:
        """Yield in order the rules that are not ruled out by destination and port alone."""
        if dport is None:
            return iter(self.rules)
        keys = (destination, (protocol, str(dport)), "")
        return map(self.rule, merge(*(self._index.get(key, ()) for key in keys)))


@dataclass(frozen=True)
class Ruleset:
    """All tables: chains by table and name. `unknown`: what is in the kernel but not in this text, in words."""

    tables: dict[str, dict[str, Chain]]
    unknown: tuple[str, ...] = ()

    def chain(self, table: str, name: str) -> Chain | None:
        """Return a chain, or None if this ruleset has none of that name."""
        return self.tables.get(table, {}).get(name)


def parse(text: str, stderr: str = "") -> Ruleset:
    """Parse the output of `iptables-save` or `ip6tables-save` (one table or all, with -c or without), 1.8.9 to 1.8.11.

    What it warned of, in a comment or on `stderr`, makes the ruleset incomplete (`unknown`), and so does a table that
    comes twice. ParseError, with the line's number, for a line that is none of: a comment, `*TABLE`, `:CHAIN POLICY`,
    `-A CHAIN …`, `COMMIT`; for a rule of a chain that was not declared; and if the last table has no COMMIT.
    """
    tables: dict[str, dict[str, Chain]] = {}
    unknown = [f"iptables-save warned: {line}" for line in stderr.splitlines() if line.strip()]
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if line[:1] == "*":
            name, chains = line[1:], _table(line[1:], lines)
            if tables.setdefault(name, chains) is not chains:
                unknown.append(f"table {name} stands twice in the text (two dumps?), and only the first was read")
        elif warning := INCOMPLETE.match(line):
            unknown.append(f"iptables-save warned: {warning[1]}")
        elif line and line[0] != "#":
            raise ParseError("iptables-save", "*TABLE", line, f"line {number}")
    return Ruleset(tables, tuple(unknown))


def _table(table: str, lines: Iterator[tuple[int, str]]) -> dict[str, Chain]:
    policies: dict[str, str] = {}
    rules: dict[str, list[str]] = {}
    for number, line in lines:
        if line == "COMMIT":
            return {name: Chain(table, name, policy, tuple(rules[name])) for name, policy in policies.items()}
        if rule := RULE.match(line):
            if rule[4] not in rules:
                raise ParseError("iptables-save", "a chain that was declared above", line, f"line {number}")
            rules[rule[4]].append(line)
        elif chain := CHAIN.match(line):
            policies[chain[1]], rules[chain[1]] = "" if chain[2] == "-" else chain[2], []
        elif line and line[0] != "#":
            expected = ":CHAIN POLICY, COMMIT, or -A CHAIN and options, each with the values that it takes"
            raise ParseError("iptables-save", expected, line, f"line {number}")
    raise ParseError("iptables-save", f"COMMIT at the end of table {table}", "the end of the text")


@lru_cache(maxsize=PARTS_KEPT)
def _parts(text: str) -> Parts:
    """Take apart a rule that RULE has matched."""
    own: list[Option] = []
    modules: list[tuple[str, list[Option]]] = []
    target, is_goto, target_options = "", False, []
    for option in _options(text):
        if option.name in ("-m", "-j", "-g", "-p") and not option.values:
            raise ParseError("iptables-save", f"a value of {option.name}", text)
        if option.name == "-m":
            modules.append((option.values[0], []))
        elif option.name in ("-j", "-g"):
            target, is_goto = option.values[0], option.name == "-g"
        elif target:
            target_options.append(option)
        elif option.name.startswith("--") and (modules := modules or _implied(own)):
            modules[-1][1].append(option)
        else:
            own.append(option)
    first = [Match("", tuple(own))] if own else []
    matches = (*first, *(Match(name, tuple(options)) for name, options in modules))
    return Parts(matches, target, tuple(target_options), is_goto)


def _implied(own: list[Option]) -> list[tuple[str, list[Option]]]:
    """Return the match that a hand-written rule loads by its protocol alone: `-p udp --dport 53` (iptables(8))."""
    return [(option.values[0], []) for option in own if option.name == "-p"]


def _options(text: str) -> Iterator[Option]:
    """Yield the options of a rule behind its -A CHAIN."""
    name, values, negated, next_negated = "", [], False, False
    for quoted, plain in WORD.findall(text, len("-A ")):
        if plain == "!":
            next_negated = True
        elif plain[:1] == "-" and plain[1:2] not in "0123456789":
            if name:
                yield Option(name, tuple(values), negated)
            name, values, negated, next_negated = plain, [], next_negated, False
        else:
            values.append(plain or re.sub(r"\\(.)", r"\1", quoted))
    if name:
        yield Option(name, tuple(values), negated)
