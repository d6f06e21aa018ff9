"""What a rule of nftables makes of a packet, and why: its statements from left to right, in words.

A row of statements ends at the first that does not hold, and at a verdict; what it has rewritten until then stays.
Sources: nft(8), net/netfilter/nft_*.c.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from operator import ge, gt, le, lt
from typing import Any

from kitlib.netfilter.branch import both_ways
from kitlib.netfilter.matches import DEPENDS, reason
from kitlib.netfilter.nft_values import NAMES, Breaks, Context, Draws, key_of, look_up, value_of
from kitlib.netfilter.packet import Alternative, Packet, RuleOutcome, Unknown
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.targets import Effect, from_source, redirect, to_destination, untracked
from kitlib.parsers.nft import Key, Rule, fits, number, part_of
from kitlib.parsers.nft_text import expression, flags, key_text, kind_of, rule_text

ORDER = {"<": lt, ">": gt, "<=": le, ">=": ge}
VERDICTS = {"accept": "ACCEPT", "drop": "DROP", "continue": "CONTINUE", "return": "RETURN", "jump": "JUMP",
            "goto": "GOTO"}
KNOWN_FLAGS = {"dnat", "snat"}                                      # of ct status
ONLY_GO_ON = {"counter", "log", "comment", "last", "ct helper", "ct timeout", "ct expectation"}
STATEFUL = {"limit", "quota", "ct count", "meter"}      # they look at more than this packet: they may hold or not
HOPS = ("ttl", "hoplimit")
NOT_READ_HERE = {"meta": {"nftrace", "priority", "pkttype"}, "ct": {"mark", "label", "event", "secmark"},
                 "payload": {"dscp", "ecn", "ttl", "hoplimit", "flowlabel", "checksum"}}    # may be rewritten
MOST_DRAWN = 1 << 16                                                  # sides of a coin that are looked at one by one


def alternatives(rule: Rule, context: Context) -> list[Alternative]:
    """Find every way in which a rule may come out for a packet; their probabilities add up to 1."""
    try:
        return _run(rule, context)
    except Draws as coin:
        expression_id, sides = coin.args
    if sides > MOST_DRAWN:
        return [Alternative(RuleOutcome.UNDECIDED, f"a coin with {sides} sides", "UNDECIDED", context.packet)]
    found: dict[tuple, Alternative] = {}
    for side in range(sides):
        for one in alternatives(rule, context._replace(drawn={**context.drawn, expression_id: side})):
            key = (one.outcome, one.verdict, one.packet, one.assumption)
            same = found.setdefault(key, one._replace(probability=0))
            found[key] = same._replace(probability=same.probability + one.probability / sides)
    return list(found.values())


def explain_skipped(rule: Rule, packet: Packet, netfilter: Netfilter) -> Alternative:
    """Say why a rule does not match a packet; of a key that is missing in a set or map, which are the nearest."""
    return alternatives(rule, Context(packet, netfilter, netfilter.nft.tables[rule.table], "", explains=True))[0]


def _run(rule: Rule, context: Context) -> list[Alternative]:
    """Take a packet through the statements of a rule."""
    before, holding, unknown = context.packet, [], []
    for statement in rule.statements:
        name, body = next(iter(statement.items()))
        try:
            effect = _effect(name, body, context)
        except Breaks as error:
            return [Alternative(RuleOutcome.SKIPPED, str(error), "", context.packet)]
        except Unknown as error:
            return [Alternative(RuleOutcome.UNDECIDED, "; ".join([*unknown, str(error)]), "UNDECIDED", before)]
        except (KeyError, TypeError, ValueError, AttributeError):
            why = f"unknown here: {rule_text((statement,))}"
            return [Alternative(RuleOutcome.UNDECIDED, why, "UNDECIDED", before)]
        context = context._replace(packet=effect.packet)
        holding += [effect.why] if effect.why else []
        unknown += [effect.unknown] if effect.unknown else []
        if effect.verdict:
            break
    verdict = (effect.verdict if rule.statements else "") or "CONTINUE"
    if unknown:
        why = "; ".join(unknown)
        return both_ways(rule, before, why, Alternative(RuleOutcome.UNDECIDED, why, verdict, context.packet))
    return [Alternative(RuleOutcome.MATCHED, ", ".join(holding) or "it has no condition", verdict, context.packet)]


def _effect(name: str, body: Any, context: Context) -> Effect:
    if name == "match":
        return _match(body, context)
    if name in VERDICTS:
        return Effect(_verdict({name: body}), context.packet)
    if name in STATEMENTS:
        return STATEMENTS[name](body, context)
    if name in STATEFUL or name in ONLY_GO_ON:
        parts = body if isinstance(body, dict) else {}      # a key may say which counter, of those in a map
        unknown = _whether_it_breaks(parts.get("key", parts if "map" in parts else None), context)
        return Effect("", context.packet, unknown=unknown or (
            DEPENDS.format(name) if name in STATEFUL else ""))
    if (name, body) == ("xt", {"type": "match", "name": "comment"}):
        return Effect("", context.packet)
    if name == "xt" and body.get("type") == "match":
        return Effect("", context.packet, unknown=f"unknown here: {body.get('name')} of iptables")
    raise Unknown(f"unknown here: {rule_text(({name: body},))}")


def _verdict(value: dict[str, Any]) -> str:
    name, body = next(iter(value.items()))
    return f"{VERDICTS[name]}:{body['target']}" if name in ("jump", "goto") else VERDICTS[name]


def _match(body: dict[str, Any], context: Context) -> Effect:
    """Compare a property of the packet with what the rule wants."""
    left, op, right = body["left"], body["op"], body["right"]
    try:
        value = value_of(left, context)
        holds = _compare(value, op, right, context)
    except Unknown as error:
        return Effect("", context.packet, unknown=str(error))
    if op == "==" and not holds and isinstance(right, str) and right.startswith("@"):
        raise Breaks(_missing(value, right, context, False))
    wanted = f"{f'{op} ' if op in ORDER else ''}{expression(right, kind_of(left))}"
    words = reason(_name(left), _shown(value, left), wanted, holds, op in ("!=", "!"))
    if not holds:
        raise Breaks(words)
    return Effect("", context.packet, words)


def _compare(value: Any, op: str, right: Any, context: Context) -> bool:
    if op in ORDER:
        return ORDER[op](number(value), number(part_of(right)))
    if op in ("in", "!"):
        return _is_one_of(value, [right] if isinstance(right, str) else right) != (op == "!")
    if op not in ("==", "!=") or isinstance(value, frozenset):
        raise Unknown(f"unknown here: {op} {expression(right)}")
    return _is(value, right, context) != (op == "!=")


def _is_one_of(value: Any, words: list[str]) -> bool:
    """Tell whether a value is one of these words, or has one of these flags."""
    if not isinstance(value, frozenset):
        return value in words
    if not KNOWN_FLAGS.issuperset(words):
        raise Unknown(f"unknown here: {expression(words)}")
    return not value.isdisjoint(words)


def _is(value: Any, right: Any, context: Context) -> bool:
    """Tell whether a value is what stands on the right side: the same, a member of a set, in a range."""
    if (isinstance(right, str) and right.startswith("@")) or (isinstance(right, dict) and "set" in right):
        return look_up(value, right, context, False) is not None
    if isinstance(right, bool):             # of an interface: exists, missing
        return (value != "0") == right
    if isinstance(right, dict) and "concat" in right:
        return all(map(fits, map(part_of, right["concat"]), value))
    try:
        part = part_of(right)
    except ValueError:
        raise Unknown(f"unknown here: {expression(right)}") from None
    if isinstance(value, int) and isinstance(part, str):
        part = number(part)                     # an address, of which a mask has left some bits
    return fits(part, value)


def _vmap(body: dict[str, Any], context: Context) -> Effect:
    """Look up the verdict of a key; a key that is not there ends the rule."""
    value = value_of(body["key"], context)
    found = look_up(value, body["data"], context, True)
    if found is None:
        raise Breaks(_missing(value, body["data"], context, True))
    if "numgen" in body["key"]:
        sides = body["key"]["numgen"]["mod"]
        return Effect(_verdict(found), context.packet,
                      "it is the only one" if sides == 1 else f"a coin decides: 1 of {sides} packets goes this way")
    where = body["data"] if isinstance(body["data"], str) else "the map"
    return Effect(_verdict(found), context.packet, f"{key_text(key_of(value))} is in {where}")


def _missing(value: Any, data: Any, context: Context, is_map: bool) -> str:
    """Say that a key is not there; where that is to be explained, which ones come nearest and in what they differ."""
    key, found = key_of(value), context.table.set(data, is_map)
    where = data if isinstance(data, str) else "the map"
    if not found.elements:
        return f"{where} is empty{f' ({found.comment})' if found.comment else ''}"
    near = [_near(key, *one) for one in (found.nearest(key) if context.explains else ())]
    return f"{key_text(key)} is not in {where}{'; nearest: ' if near else ''}{', '.join(near)}"


def _near(key: Key, known: Key, differing: list[int]) -> str:
    """A key that is there, and in which of its parts it is not the one that was looked for."""
    words = key_text(tuple(map(_part_text, known)))
    if len(key) == 1:
        return words
    return f"{words} (has {' and '.join(f'{_part_text(known[at])}, not {key[at]}' for at in differing)})"


def _part_text(part: Any) -> str:
    if not isinstance(part, tuple):
        return str(part)
    low, high = (str(ip_address(end)) if end > 0xFFFF else str(end) for end in part)
    return f"{low}-{high}"


def _name(left: Any) -> str:
    """What an expression is called in a sentence."""
    name, body = next(iter(left.items()))
    if name == "fib":
        return f"the {NAMES.get(body['flags'][0], '')}'s {body['result']}"
    word = body.get("field") or body.get("key") if isinstance(body, dict) else None
    return NAMES.get(word, word) if isinstance(word, str) else expression(left)


def _shown(value: Any, left: Any) -> str:
    if isinstance(value, frozenset):
        return " and ".join(sorted(value)) or "none"
    if isinstance(value, tuple):
        return key_text(value)
    return expression(value, "mark") if kind_of(left) == "mark" else str(value) or "none"


def _mangle(body: dict[str, Any], context: Context) -> Effect:
    """Rewrite the mark; what no rule and no route here reads may be rewritten too."""
    name, what = next(iter(body["key"].items()))
    if (name, what.get("key")) == ("meta", "mark"):
        return Effect("", context.packet._replace(mark=number(value_of(body["value"], context)) & 0xFFFFFFFF))
    if what.get("key", what.get("field")) in NOT_READ_HERE.get(name, ()):
        if name == "payload":
            with suppress(Unknown):         # what it is need not be known, but the packet must have it
                value_of(body["key"], context)
            if what["field"] in HOPS and context.hook == "PREROUTING" and body["value"] in (0, 1):
                raise Unknown("whether it has enough hops left to be forwarded is not known here")
        return Effect("", context.packet, unknown=_whether_it_breaks(body["value"], context))
    if name == "tcp option":
        if context.packet.protocol != "tcp":
            raise Breaks(f"protocol is {context.packet.protocol}, the rule wants tcp")
        return Effect("", context.packet, unknown=_whether_it_breaks(body["value"], context))
    raise Unknown(f"unknown here: {expression(body['key'])} set")


def _whether_it_breaks(value: Any, context: Context) -> str:
    """Break where an expression does whose value does not matter; say why, if that is not known."""
    try:
        value_of(value, context)
    except Unknown as error:
        return str(error)
    return ""


def _reject(body: dict[str, Any] | None, context: Context) -> Effect:
    """Drop the packet and tell the sender, in the protocol that the rule names; another's packets it does not match."""
    kind, packet = (body or {}).get("type", ""), context.packet
    if kind in ("icmp", "icmpv6") and (kind == "icmpv6") != (":" in packet.source):
        raise Breaks(f"the rule answers by {kind} only")
    if kind == "tcp reset" and packet.protocol != "tcp":
        raise Breaks(f"protocol is {packet.protocol}, the rule wants tcp")
    return Effect("DROP", packet)


def _update(body: dict[str, Any], context: Context) -> Effect:
    """Remember a key in a set, for packets to come; if the set has a limit for each key, that may hold or not."""
    unknown = _whether_it_breaks(body["elem"]["elem"]["val"] if "elem" in body["elem"] else body["elem"], context)
    limit = DEPENDS.format(f"the limit in {body['set']}") if context.table.set(body["set"], False).has_limits else ""
    return Effect("", context.packet, unknown=unknown or limit)


Rewrite = Callable[[Packet, str, str, dict[str, str], Context], Effect]


def _nat(rewrite: Rewrite) -> Callable[[Any, Context], Effect]:
    """Make a statement that rewrites an address, given how it does."""
    def statement(body: dict[str, Any] | None, context: Context) -> Effect:
        body = body or {}
        if body.get("family", "") and (body["family"] == "ip6") != (":" in context.packet.source):
            return Effect("", context.packet)
        random = {"--random": ""} if {"random", "fully-random"} & {*flags(body)} else {}
        to = (_drawn(body.get(what, ""), context) for what in ("addr", "port"))
        return rewrite(context.packet, *to, random, context)

    return statement


def _drawn(value: Any, context: Context) -> str:
    """An address or a port; of a range ("1-2") the kernel draws one."""
    if isinstance(value, dict) and "range" in value:
        return "-".join(map(str, value["range"]))
    return str(value_of(value, context))


STATEMENTS: dict[str, Callable[[Any, Context], Effect]] = {
    "vmap": _vmap, "mangle": _mangle, "set": _update, "reject": _reject,
    "notrack": lambda _, context: Effect("", untracked(context.packet)),
    "dnat": _nat(lambda packet, address, port, *_: to_destination(packet, address, port)),
    "snat": _nat(lambda packet, address, port, random, _: from_source(packet, address, port, random)),
    "redirect": _nat(lambda packet, _, port, __, context: redirect(packet, context.hook, port, context.netfilter)),
    "masquerade": _nat(lambda packet, _, port, random, context: from_source(
        packet, context.netfilter.masquerade_address(packet.out_interface, packet.destination), port, random)),
}
