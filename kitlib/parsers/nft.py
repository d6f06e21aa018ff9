"""The rules of nftables, as `nft -j list ruleset` prints them.

Tables hold chains, sets and maps; chains hold rules, a rule is a row of statements. Statements stay as they came, so
that nothing is lost which nobody here understands: they are interpreted when a packet meets them. With ten thousand
Services these are 14 MB, of which a packet meets twenty rules: and a map is asked by a key, however many it holds.
Source: nft(8), libnftables-json(5).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from heapq import nsmallest
from ipaddress import ip_address
from typing import Any, NamedTuple

from kitlib.bulk import collection_paused
from kitlib.errors import ParseError, parse_context
from kitlib.parsers.json_text import parse, value_at
from kitlib.parsers.nft_text import rule_text
from kitlib.parsers.packets import PROTOCOLS

Part = str | int | tuple[int, int]          # of a key: a value, "eth*", or a range with both its ends
Key = tuple[Part, ...]
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
FAMILIES = ("ip", "ip6", "inet")
KNOWN_FLAGS = {"dormant", "owner", "persist"}       # of tables; nft 1.0.6 has other words for them in JSON, by mistake


class Rule(NamedTuple):
    """One rule; `number` counts from 1 in its chain, `table` is "ip kube-proxy", `statements` are as nft wrote them."""

    table: str
    chain: str
    number: int
    handle: int
    statements: tuple[dict[str, Any], ...]
    comment: str = ""

    @property
    def text(self) -> str:
        """The rule in nftables' language, without the state of its counters."""
        return rule_text(self.statements, self.comment)

    @property
    def target(self) -> str:
        """The chain that it jumps or goes to, else the name of its last statement as iptables writes it: "DNAT"."""
        name, body = next(iter(self.statements[-1].items())) if self.statements else ("", None)
        return body["target"] if name in ("jump", "goto") else name.upper()


@dataclass(frozen=True)
class Chain:
    """A chain. A base chain has a hook, a type, a priority and a policy ("ACCEPT"); others are jumped to."""

    table: str
    name: str
    type: str = ""
    hook: str = ""
    priority: int = 0
    policy: str = ""
    lines: tuple[dict[str, Any], ...] = field(default=(), repr=False)       # its rules, as JSON

    def rule(self, number: int) -> Rule:
        """Return the rule of this number."""
        return self.rules[number - 1]

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in order."""
        return tuple(Rule(self.table, self.name, number, line.get("handle", 0),
                          tuple({one: None} if isinstance(one, str) else one for one in line.get("expr", ())),
                          line.get("comment", "")) for number, line in enumerate(self.lines, 1))


@dataclass(frozen=True)
class Set:
    """A set, or a map: then each element has a value. `has_limits`: a limit for each element decides about packets."""

    name: str
    elements: list[Any] = field(repr=False)
    is_map: bool = False
    comment: str = ""
    is_changed_by_packets: bool = False
    has_limits: bool = False

    @cached_property
    def keys(self) -> tuple[dict[Key, Any], list[tuple[Key, Any]], list[Any]]:
        """The elements as (those of one value, those with ranges, what stands for all others)."""
        exact, ranges, others = {}, [], []
        for element in self.elements:
            raw, value = element if self.is_map else (element, True)
            key = _key(raw)
            if key == ("*",):
                others.append(value)
            elif any(type(part) is tuple or (type(part) is str and part[-1:] == "*") for part in key):
                ranges.append((key, value))
            else:
                exact[key] = value
        return exact, ranges, others

    def find(self, key: Key) -> Any:
        """Return the value of a key (True in a set), None if it is not there; as fast in a large set as in a small."""
        exact, ranges, others = self.keys
        for known in (key, tuple(PROTOCOLS.get(part, part) for part in key)):
            if known in exact:
                return exact[known]
        fitting = (value for known, value in ranges if len(known) == len(key) and all(map(fits, known, key)))
        return next(fitting, others[0] if others else None)

    def nearest(self, key: Key, most: int = 2) -> list[tuple[Key, list[int]]]:
        """Return the keys that are most like this one, and which parts differ; the first part counts most."""
        exact, ranges, _ = self.keys
        keys = [(known, [place for place, pair in enumerate(zip(known, key, strict=False)) if not fits(*pair)])
                for known in (*exact, *(known for known, _ in ranges))]
        return nsmallest(most, keys, key=lambda found: (len(found[1]), 0 in found[1], _distance(*found, key)))


def _distance(known: Key, differing: list[int], key: Key) -> int:
    """How far apart two keys are in the first part in which they differ, if these are numbers or addresses."""
    try:
        return abs(number(known[differing[0]]) - number(key[differing[0]])) if differing else 0
    except (ValueError, TypeError):
        return 0


@lru_cache(maxsize=1 << 14)
def number(value: str | int) -> int:
    """Return an address or a protocol as a number; a number as it is. ValueError if it is none of them."""
    return value if isinstance(value, int) else PROTOCOLS[value] if value in PROTOCOLS else int(ip_address(value))


def fits(part: Part, value: str | int) -> bool:
    """Tell whether a value is this part of a key, or in its range; "eth*" fits every name that begins so."""
    if isinstance(part, tuple):
        return part[0] <= number(value) <= part[1]
    if isinstance(part, str) and part.endswith("*"):
        return str(value).startswith(part[:-1])
    return part in (value, PROTOCOLS.get(value))


def part_of(raw: Any) -> Part:
    """Read one value, prefix or range. ValueError for anything else."""
    if type(raw) is str or type(raw) is int:
        return raw
    if isinstance(raw, dict) and "elem" in raw:
        return part_of(raw["elem"]["val"])
    if isinstance(raw, dict) and "range" in raw:
        low, high = raw["range"]
        return number(low), number(high)
    if isinstance(raw, dict) and "prefix" in raw:
        address = ip_address(raw["prefix"]["addr"])
        rest = address.max_prefixlen - raw["prefix"]["len"]
        return int(address) >> rest << rest, int(address) | (1 << rest) - 1
    raise ValueError(raw)


def _key(raw: Any) -> Key:
    if isinstance(raw, dict) and "elem" in raw:
        return _key(raw["elem"]["val"])
    if isinstance(raw, dict) and "concat" in raw:
        return tuple(map(part_of, raw["concat"]))
    return (part_of(raw),)


@dataclass(frozen=True)
class Table:
    """A table of one family: ip, ip6, inet (both); netdev, bridge and arp are others."""

    family: str
    name: str
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    _anonymous: dict[int, Set] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.family} {self.name}"

    def set(self, data: Any, is_map: bool) -> Set | None:
        """Return a set or map by its name ("@service-ips") or from the elements that stand in the rule itself."""
        if isinstance(data, str):
            return self.sets.get(data.removeprefix("@"))
        if not isinstance(data, dict) or not isinstance(data.get("set"), list):
            return None
        elements = data["set"]          # part of this ruleset: its id stays its own
        return self._anonymous.setdefault(id(elements), Set("", elements, is_map))


@dataclass(frozen=True)
class Ruleset:
    """All tables, by "ip kube-proxy". `others` is what has no meaning here: flowtables, quotas, helpers, as JSON."""

    tables: dict[str, Table]
    others: tuple[dict[str, Any], ...] = ()

    def chain(self, table: str, name: str) -> Chain | None:
        """Return a chain, or None if there is none of that name."""
        return self.tables[table].chains.get(name) if table in self.tables else None

    @cached_property
    def base_chains(self) -> tuple[Chain, ...]:
        """The chains that the kernel itself calls, in the order of the listing: the oldest first."""
        return tuple(chain for table in self.tables.values() if "dormant" not in table.flags
                     for chain in table.chains.values() if chain.hook)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """What decides about packets before or beside the hooks of IP, in words."""
        chains = [f"the rules of table {chain.table} at {chain.hook}" for chain in self.base_chains
                  if (chain.hook not in HOOKS or chain.table.partition(" ")[0] not in FAMILIES)
                  and not chain.table.startswith("arp ") and (chain.lines or chain.policy != "ACCEPT")]
        flags = [f"table {table}, which may be dormant: nft says of its flags {', '.join(table.flags)}"
                 for table in self.tables.values() if not KNOWN_FLAGS.issuperset(table.flags)]
        flowtables = [f"flowtable {item['flowtable']['name']}, by which packets pass the rules by"
                      for item in self.others if "flowtable" in item]
        return (*chains, *flags, *flowtables)


@parse_context("nft -j list ruleset")
@collection_paused()
def ruleset(text: str) -> Ruleset:
    """Parse the output of `nft -j list ruleset`, 1.0.6 to 1.1. Raises ParseError."""
    tables: dict[str, Table] = {}
    rules: dict[tuple[str, str], list[dict[str, Any]]] = {}
    chains: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    changed: list[tuple[str, str, bool]] = []
    try:
        for item in value_at(parse(text), "nftables", list):
            (kind, value), = item.items()
            if kind == "rule":
                table = f"{value['family']} {value['table']}"
                rules.setdefault((table, value["chain"]), []).append(value)
                changed += [(table, *_change(one)) for one in value.get("expr", ()) if not _is_plain(one)]
            elif kind == "chain":
                chains.append(value)
            elif kind == "table":
                tables[f"{value['family']} {value['name']}"] = Table(value["family"], value["name"],
                                                                     flags=_flags(value))
            elif kind in ("set", "map"):
                found = tables[f"{value['family']} {value['table']}"].sets[value["name"]] = _set(kind, value)
                _ = found.keys      # now, so that the first packet need not wait
            elif kind != "metainfo":
                others.append(item)
        for value in chains:
            table = f"{value['family']} {value['table']}"
            tables[table].chains[value["name"]] = _chain(table, value, rules.pop((table, value["name"]), ()))
        for table, name, has_limits in changed:
            found = tables[table].sets[name]
            tables[table].sets[name] = replace(found, is_changed_by_packets=True,
                                               has_limits=found.has_limits or has_limits)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ParseError("JSON", "tables, chains, rules, sets and maps as nft writes them", repr(error)) from None
    if rules:
        raise ParseError("JSON", "every rule in a chain that is listed too", f"rules of {next(iter(rules))}")
    found = Ruleset(tables, tuple(others))
    _ = found.base_chains
    return found


def _chain(table: str, value: dict[str, Any], rules: Any) -> Chain:
    if type(priority := value.get("prio", 0)) is not int:
        raise ValueError(priority)
    return Chain(table, value["name"], value.get("type", ""), value.get("hook", ""), priority,
                 value.get("policy", "").upper(), tuple(rules))


def _set(kind: str, value: dict[str, Any]) -> Set:
    limits = _limits(value)
    return Set(value["name"], value.get("elem", []), kind == "map", value.get("comment", ""),
               limits or bool({"dynamic", "timeout"} & {*_flags(value)}), limits)


def _limits(value: dict[str, Any]) -> bool:
    """Tell whether what is done for each element may end a rule; a counter does not."""
    return any({"limit", "quota", "ct count"} & each.keys() for each in value.get("stmt", ()))


def _flags(value: dict[str, Any]) -> tuple[str, ...]:
    flags = value.get("flags", ())
    return (flags,) if isinstance(flags, str) else tuple(flags)


def _is_plain(statement: Any) -> bool:
    """Tell whether a statement changes no set."""
    return type(statement) is dict and "set" not in statement and "map" not in statement


def _change(statement: Any) -> tuple[str, bool]:
    """Return the set or map that a statement changes, and whether it has limits.

    Of what changes a map nft 1.0.6 has the text only: "add @m { ip saddr : 1 }".
    """
    if isinstance(statement, str):
        return statement.partition("@")[2].partition(" ")[0], "limit" in statement
    kind = "set" if "set" in statement else "map"
    return statement[kind][kind].removeprefix("@"), _limits(statement[kind])
