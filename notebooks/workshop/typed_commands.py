"""Read the commands that a learner types as on the host: what each runs, and at which place of the lab."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator

from kitlib.errors import ParseError
from kitlib.lab import Lab
from kitlib.place import Place, Pod
from kitlib.quiz import WHAT
from kitlib.result import typed_on_host

SEPARATORS = {";", "&&", "||", "|", "&"}
SYSCTL_FILES = "/proc/sys/"


def typed_on_host_or_in_cell(lab: Lab, pod: Pod, typed: str) -> str:
    """Rewrite each line such as `node.run("iptables", …)` as it is typed on the host; leave all others.

    Raises ParseError for a place that is none, NotFound for one that this lab does not have.
    """
    return "\n".join(_from_cell(lab, pod, line) if ".run(" in line else line for line in typed.splitlines())


def _from_cell(lab: Lab, pod: Pod, line: str) -> str:
    try:
        call = ast.parse(line.strip(), mode="eval").body
        words = tuple(str(ast.literal_eval(word)) for word in call.args)
        return typed_on_host(_place(lab, pod, call.func.value).id, words)
    except (SyntaxError, ValueError, AttributeError):
        raise ParseError(WHAT, 'a call such as node.run("ip", "route")', line.strip()) from None


def _place(lab: Lab, pod: Pod, expression: ast.expr) -> Place:
    """Return the place that `node`, `pod`, `lab.host` or `lab.node("worker3")` means in a cell of the workshop."""
    match expression:
        case ast.Call(func=ast.Attribute(attr="node" | "pod" | "container" as kind), args=[ast.Constant(value=name)]):
            return getattr(lab, kind)(name)
    named = {"node": pod.node, "pod": pod, "lab.host": lab.host, "lab.control_plane": lab.control_plane}
    if ast.unparse(expression) not in named:
        raise ParseError(WHAT, f"one of {', '.join(named)} or lab.node(NAME) before .run", ast.unparse(expression))
    return named[ast.unparse(expression)]


def parse_commands(typed: str) -> list[tuple[str, list[str]]]:
    """Return the id of the place and the words of each command, one a line or with ; && | between.

    The place is the host, or what `docker exec` and `kubectl exec` name. Quotes, `sudo`, `sh -c` and writing to a
    file under /proc/sys are understood. Raises ParseError for an open quote, or if there is no command at all.
    """
    found = []
    for line in typed.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            found += list(_split(list(lexer)))
        except ValueError as error:
            raise ParseError(WHAT, "a command line", f"{line} ({error})") from None
    if not found:
        raise ParseError(WHAT, "a command, as you would type it on the host", typed)
    return found


def _split(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    command: list[str] = []
    piped = ""
    for word in [*words, ";"]:
        if word not in SEPARATORS:
            command.append(word)
        elif command[:1] == ["echo"] and word == "|":       # echo 1 | … tee FILE
            piped, command = " ".join(command[1:]), []
        elif command:
            yield from _placed("host", command, piped)
            command, piped = [], ""


def _placed(place: str, words: list[str], piped: str) -> Iterator[tuple[str, list[str]]]:
    words = words[1:] if words[0] == "sudo" else words
    match words:
        case ["docker", "exec", *rest]:
            rest = _without_flags(rest)
            yield from _placed(f"node:{rest[0]}", rest[1:], piped) if len(rest) > 1 else ()
        case ["kubectl", *_] if "exec" in words and "--" in words:
            at = words.index("exec")
            yield f"pod:{_without_flags(words[at + 1:])[0]}", words[words.index("--") + 1:]
        case ["sh" | "bash", "-c", script]:
            for _, inner in parse_commands(script):
                yield place, inner
        case ["tee", file] if file.startswith(SYSCTL_FILES):
            yield place, ["sysctl", "-w", f"{file.removeprefix(SYSCTL_FILES)}={piped}"]
        case ["echo", value, ">", file]:
            yield from _placed(place, ["tee", file], value)
        case _:
            yield place, words


def _without_flags(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[1:]
    return words
