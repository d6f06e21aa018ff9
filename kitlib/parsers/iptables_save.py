"""The nouns of a ruleset: tables hold chains, chains hold rules, a rule has matches and a target.

The text of iptables-save: tables, chains, rules, each rule's matches and target.

What a rule says is split into options, not interpreted: a match or target that nobody here knows is kept with its
words, and the rule's own text verbatim. Source: iptables-save(8), iptables(8), iptables/xshared.c (save_rule).
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kitlib.errors import ParseError


class Option(NamedTuple):
    """One option of a match or target: `! --mark 0x4000/0x4000`."""

    name: str
    values: tuple[str, ...]
    negated: bool


class Match(NamedTuple):
    """What one match module checks; `module` is "" for the rule's own conditions: addresses, interfaces, protocol."""

    module: str
    options: tuple[Option, ...]


class Rule(NamedTuple):
    """One rule; `number` counts from 1 in its chain, `text` is its line as iptables-save wrote it, without counters."""

    table: str
    chain: str
    number: int
    matches: tuple[Match, ...]
    target: str                        # "" if the rule only counts
    target_options: tuple[Option, ...]
    is_goto: bool
    text: str
    packets: int | None = None
    bytes: int | None = None

    @property
    def comment(self) -> str:
        """What `-m comment` says, "" if nothing."""
        return next((option.values[0] for match in self.matches if match.module == "comment"
                     for option in match.options), "")


@dataclass(frozen=True)
class Chain:
    """A chain; `policy` is "" for a user-defined one."""

    table: str
    name: str
    policy: str
    rules: tuple[Rule, ...] = ()

    @cached_property
    def by_destination(self) -> dict[str, list[Rule]]:
        """The rules that can match only one destination address, by it; all others under ""."""
        found: dict[str, list[Rule]] = {"": []}
        for rule in self.rules:
            found.setdefault(_only_destination(rule), []).append(rule)
        return found


@dataclass(frozen=True)
class Ruleset:
    """All tables: chains by table and name."""

    tables: dict[str, dict[str, Chain]]

    def chain(self, table: str, name: str) -> Chain | None:
        """A chain, or None if this ruleset has none of that name."""
        return self.tables.get(table, {}).get(name)


def _only_destination(rule: Rule) -> str:
    for option in rule.matches[0].options if rule.matches and not rule.matches[0].module else ():
        if option.name == "-d" and not option.negated and option.values[0].endswith("/32"):
            return option.values[0][:-3]
    return ""


CHAIN = re.compile(r":(\S+) (\S+)(?: \[(\d+):(\d+)\])?$")
COUNTERS = re.compile(r"\[(\d+):(\d+)\] ")
QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"|(\S+)')
TARGETS = ("-j", "-g")


def parse(text: str) -> Ruleset:
    """The ruleset in the output of `iptables-save` (one table or all, with -c or without), of 1.8.9 to 1.8.11.

    ParseError, with the line's number, for a line that is none of: a comment, `*TABLE`, `:CHAIN POLICY`, `-A CHAIN …`,
    `COMMIT`; for a rule of a chain that was not declared; and if the last table has no COMMIT.
    """
    collecting = gc.isenabled()
    gc.disable()      # half a million small tuples, none of them garbage: looking for some would take twice as long
    try:
        return Ruleset(_tables(text))
    finally:
        if collecting:
            gc.enable()


def _tables(text: str) -> dict[str, dict[str, Chain]]:
    tables: dict[str, dict[str, Chain]] = {}
    rules: dict[str, list[Rule]] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line[0] == "#":
            continue
        if line[0] == "*" and not table:
            table, rules = line[1:], {}
            tables[table] = {}
        elif table and line[0] == ":" and (chain := CHAIN.match(line)):
            policy = "" if chain[2] == "-" else chain[2]
            tables[table][chain[1]], rules[chain[1]] = Chain(table, chain[1], policy), []
        elif table and line[0] in "-[":
            rule = _rule(line, table, number, rules)
            rules[rule.chain].append(rule)
        elif table and line == "COMMIT":
            tables[table] = {name: Chain(table, name, chain.policy, tuple(rules[name]))
                             for name, chain in tables[table].items()}
            table = ""
        else:
            raise ParseError("iptables-save", "*TABLE, :CHAIN POLICY, -A CHAIN … or COMMIT", line, f"line {number}")
    if table:
        raise ParseError("iptables-save", f"COMMIT at the end of table {table}", "the end of the text")
    return tables


def _rule(line: str, table: str, number: int, rules: dict[str, list[Rule]]) -> Rule:
    counters = COUNTERS.match(line) if line[0] == "[" else None
    text = line[counters.end():] if counters else line
    words = _words(text)
    if len(words) < 2 or words[0] != "-A" or words[1] not in rules:
        raise ParseError("iptables-save", "-A and a chain that was declared above", line, f"line {number}")
    try:
        matches, target, options, is_goto = _parts(words[2:])
    except IndexError:
        raise ParseError("iptables-save", "options that begin with a dash, -m, -j and -g with a name", line,
                         f"line {number}") from None
    return Rule(table, words[1], len(rules[words[1]]) + 1, matches, target, options, is_goto, text,
                *(map(int, counters.groups()) if counters else ()))


def _words(text: str) -> list[str]:
    """The words of a rule; a quoted one is marked by a leading quote, so that it is never taken for an option."""
    if '"' not in text:
        return text.split()
    return [plain or '"' + (re.sub(r"\\(.)", r"\1", quoted) if "\\" in quoted else quoted)
            for quoted, plain in QUOTED.findall(text)]


def _parts(words: list[str]) -> tuple[tuple[Match, ...], str, tuple[Option, ...], bool]:
    """The matches, the target, its options, and whether it is a goto."""
    own: list[Option] = []
    modules: list[tuple[str, list[Option]]] = []
    target, is_goto, target_options = "", False, []
    for option in _options(words):
        if option.name == "-m":
            modules.append((option.values[0], []))
        elif option.name in TARGETS:
            target, is_goto = option.values[0], option.name == "-g"
        elif target:
            target_options.append(option)
        elif modules and option.name.startswith("--"):
            modules[-1][1].append(option)
        else:
            own.append(option)
    first = [Match("", tuple(own))] if own else []
    return (*first, *(Match(name, tuple(options)) for name, options in modules)), target, tuple(target_options), is_goto


def _options(words: Iterable[str]) -> Iterator[Option]:
    name, values, negated, next_negated = "", [], False, False
    for word in words:
        if not name and word[0] not in "-!":
            raise IndexError
        if word == "!":
            next_negated = True
        elif word[0] == "-" and word[1:2] not in "0123456789":
            if name:
                yield Option(name, tuple(values), negated)
            name, values, negated, next_negated = word, [], next_negated, False
        else:
            values.append(word.removeprefix('"'))
    if name:
        yield Option(name, tuple(values), negated)
