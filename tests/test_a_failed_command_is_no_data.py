"""A failed command is no data: nothing parses what it printed; one error names it, its exit code and what it said."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
from test_house_rules import OURS, name_of

from kitlib.cluster import Cluster, differences
from kitlib.errors import CommandFailed, TimedOut
from kitlib.lab import open_lab
from kitlib.place import Node
from kitlib.result import Result

RUNNING = {"run", "dig"}


def answering(**changes) -> SimpleNamespace:
    """A lab that gives every command the same answer."""
    return SimpleNamespace(name="live", live=True,
                           run=lambda place, argv: Result(" ".join(argv), argv, **{"rc": 0, "stdout": "", **changes}))


def node(**changes) -> Node:
    return Node("node:n", "n", "node", "n", "10.0.0.1", answering(**changes))


@pytest.mark.parametrize("ask", [
    Node.resolv_conf, Node.interfaces, Node.routes, Node.netfilter, Node.nft_tables,
    lambda node: node.netfilter(Result("iptables-save", (), 1, "*filter\nCOMMIT\n", "stopped")),
    lambda node: Cluster(node.runner).nodes, lambda node: Cluster(node.runner).every_pod,
    lambda node: Cluster(node.runner).services, lambda node: Cluster(node.runner).network])
def test_what_a_failed_command_printed_is_not_read(ask):
    failed = node(rc=127, stdout="127.0.0.0/8 dev lo\n", stderr="sh: no such program\n")
    with pytest.raises(CommandFailed, match=r"(?s)command failed.*Exit code (127: sh: no such program|1: stopped)"):
        ask(failed)


@pytest.mark.parametrize("argv", [("nft", "list", "tables"), ("ip", "rule"), ("sysctl", "-a", "-r", "rp_filter")])
def test_a_command_that_hangs_has_failed_and_costs_no_other(argv):
    lab = open_lab()
    run = lab.backend.run

    def hangs(place, asked):
        if asked == argv:
            raise TimedOut(f"{' '.join(argv)} was stopped after 60 s: it had not ended.")
        return run(place, asked)

    lab.backend.run = hangs
    told = differences(lab)
    assert "sysctl" in argv or [words for words in told if "not known. " in words and "stopped after 60 s" in words]
    assert lab.client.node.netfilter().ruleset.tables


def test_what_cannot_be_read_costs_no_other_difference():
    lab = open_lab()
    run = lab.backend.run
    lab.backend.run = lambda place, argv: Result("ip rule", argv, 0, "half a li") if argv == ("ip", "rule") else \
        run(place, argv)
    told, = differences(lab)
    assert "not known. ip rule (line 1): expected PRIORITY: from" in told


def test_no_output_of_a_command_that_succeeded_is_a_fact():
    assert node().routes() == () and node().nft_tables() == []


def test_the_error_says_what_was_printed_where_nothing_was_said():
    with pytest.raises(CommandFailed, match=r"    ip route\nExit code 2: half an answer"):
        _ = Result("ip route", (), 2, "half an answer\n").text
    with pytest.raises(CommandFailed, match="Exit code 2: not a word"):
        _ = Result("ip route", (), 2, "").text


def unguarded(file) -> list[str]:
    """Every place where stdout is taken of a command as it runs, or is handed to one of our parsers."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    parsers = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
               and node.module.startswith("kitlib.parsers") for alias in node.names}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    parsed = [argument for call in calls if ast.unparse(call.func).split(".")[0] in parsers for argument in call.args]
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "stdout"]
    return [ast.unparse(node) for node in read
            if any(node in ast.walk(argument) for argument in parsed)
            or (isinstance(node.value, ast.Call) and ast.unparse(node.value.func).split(".")[-1] in RUNNING)]


def test_nobody_reads_stdout_without_asking_whether_the_command_failed():
    found = {name_of(file): places for file in OURS if (places := unguarded(file))}
    assert not found, "use .text, which raises CommandFailed"


def test_the_guard_sees_a_breach(tmp_path):
    breach = tmp_path / "breach.py"
    breach.write_text("from kitlib.parsers import ip\nip.routes(result.stdout)\nlines = node.run('x').stdout.split()\n")
    assert unguarded(breach) == ["result.stdout", "node.run('x').stdout"]
