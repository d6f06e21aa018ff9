"""Rules in nftables' own language, from the JSON in which `nft -j` prints them: nft(8), libnftables-json(5).

What has no wording here is shown as the JSON that it came in.
"""

from __future__ import annotations

import json
from typing import Any

HEX = {"mark"}                              # metadata that nft prints as 0x00004000
QUOTED = {"iifname", "oifname", "iif", "oif"}
DEFAULT_REJECT = ("icmp", "icmpv6", "icmpx")        # with port-unreachable, which nft does not print
BITWISE = ("&", "|", "^", "<<", ">>")


def rule_text(statements: tuple[dict[str, Any], ...], comment: str = "") -> str:
    """Return a rule as `nft -s list ruleset` prints it: without the state of its counters."""
    words = [_statement(name, body) for statement in statements for name, body in statement.items()]
    return " ".join([*words, *([f'comment "{comment}"'] if comment else [])])


def expression(value: Any, kind: str = "") -> str:
    """Return an expression; `kind` is what it is compared with ("mark": numbers are written in hexadecimal)."""
    if isinstance(value, list):
        return ",".join(expression(item, kind) for item in value)
    if not isinstance(value, dict):
        return f"0x{value:08x}" if kind in HEX and isinstance(value, int) else \
            f'"{value}"' if kind in QUOTED and not str(value).startswith("@") else str(value)
    name, body = next(iter(value.items()))
    if name in EXPRESSIONS:
        return EXPRESSIONS[name](body, kind)
    if name in BITWISE:
        return f" {name} ".join(expression(side, kind_of(body[0])) for side in body)
    return json.dumps(value)


def key_text(parts: tuple[Any, ...]) -> str:
    """Return a key of a set or a map: "10.96.0.10 . udp . 53"."""
    return " . ".join(map(str, parts))


def kind_of(value: Any) -> str:
    """Return what an expression is about, where nft writes values of it in a way of its own."""
    if isinstance(value, dict):
        name, body = next(iter(value.items()))
        return kind_of(body[0]) if name in BITWISE else body.get("key", "") if name == "meta" else ""
    return ""


def flags(body: dict[str, Any]) -> list[str]:
    """Return flags as a list: nft writes several so, and a single one as a word."""
    found = body.get("flags", [])
    return [found] if isinstance(found, str) else found


def _element(item: Any, kind: str) -> str:
    if isinstance(item, list):
        key, value = item
        words = _statement(*next(iter(value.items()))) if isinstance(value, dict) and _is_verdict(value) \
            else expression(value)
        return f"{expression(key, kind)} : {words}"
    return expression(item, kind)


def _is_verdict(value: dict[str, Any]) -> bool:
    return next(iter(value)) in ("accept", "drop", "continue", "return", "jump", "goto")


def _numgen(body: dict[str, Any], _: str) -> str:
    offset = f" offset {body['offset']}" if body.get("offset") else ""
    return f"numgen {body['mode']} mod {body['mod']}{offset}"


EXPRESSIONS = {
    "payload": lambda body, _: f"{body['protocol']} {body['field']}" if "field" in body else json.dumps(body),
    "meta": lambda body, _: body["key"] if body["key"] in QUOTED else f"meta {body['key']}",
    "ct": lambda body, _: f"ct {body['dir']} {body['key']}" if "dir" in body else f"ct {body['key']}",
    "fib": lambda body, _: f"fib {' . '.join(flags(body))} {body['result']}",
    "numgen": _numgen,
    "concat": lambda body, _: " . ".join(map(expression, body)),
    "prefix": lambda body, _: f"{body['addr']}/{body['len']}",
    "range": lambda body, kind: "-".join(expression(end, kind) for end in body),
    "set": lambda items, kind: f"{{ {', '.join(_element(item, kind) for item in items)} }}",
    "elem": lambda body, kind: expression(body["val"], kind),
    "map": lambda body, _: f"{expression(body['key'])} map {expression(body['data'], kind_of(body['key']))}",
}


def _statement(name: str, body: Any) -> str:
    try:
        if name in STATEMENTS:
            return STATEMENTS[name](body)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration):     # parts that nobody here has seen
        return json.dumps({name: body})
    return name if body is None else json.dumps({name: body})


def _match(body: dict[str, Any]) -> str:
    left, op, right = body["left"], body["op"], body["right"]
    is_plain = op == "in" or (op == "==" and next(iter(left)) not in BITWISE)
    return f"{expression(left)}{' ' if is_plain else f' {op} '}{expression(right, kind_of(left))}"


def _nat(name: str, body: dict[str, Any] | None) -> str:
    body = body or {}
    address, port = expression(body.get("addr", "")), body.get("port")
    to = f"{f'[{address}]' if ':' in address and port is not None else address}" \
         f"{'' if port is None else f':{expression(port)}'}"
    return " ".join(filter(None, (name, body.get("family", ""), to and f"to {to}", ",".join(flags(body)))))


def _reject(body: dict[str, Any] | None) -> str:
    kind, what = (body or {}).get("type", "icmp"), (body or {}).get("expr", "port-unreachable")
    if kind == "tcp reset":
        return "reject with tcp reset"
    return "reject" if kind in DEFAULT_REJECT and what == "port-unreachable" else f"reject with {kind} {what}"


STATEMENTS = {
    "match": _match, "reject": _reject,
    "vmap": lambda body: f"{expression(body['key'])} vmap {expression(body['data'], kind_of(body['key']))}",
    "mangle": lambda body: f"{expression(body['key'])} set {expression(body['value'], kind_of(body['key']))}",
    "set": lambda body: f"{body['op']} {body['set']} {{ {expression(body['elem'])} }}",
    "log": lambda body: f'log prefix "{body["prefix"]}"' if body and "prefix" in body else "log",
    "counter": lambda _: "counter",
    "jump": lambda body: f"jump {body['target']}",
    "goto": lambda body: f"goto {body['target']}",
    "limit": lambda body: f"limit rate {body['rate']}/{body['per']}" if body else "limit",
    "xt": lambda body: f"xt {body['type']} {body['name']}",
    **{name: (lambda body, name=name: _nat(name, body)) for name in ("dnat", "snat", "masquerade", "redirect")},
}
