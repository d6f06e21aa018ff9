"""The nouns of a ruleset: tables hold chains, chains hold rules, a rule has matches and a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


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
