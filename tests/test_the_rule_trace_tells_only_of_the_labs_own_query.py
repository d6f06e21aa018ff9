"""The kernel's rule trace: rules only while it is asked for, only for the question that the lab asks."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from namespaces import require_namespaces, traced_at

from kitlib.errors import KitError
from kitlib.lab import open_lab
from live_labs import rule_trace
from live_labs.rule_trace import questions

OTHERS = "for n in 1 2 3 4 5 6 7 8; do dig no-such-name.example.com; dig www.example.org; sleep 0.05; done"


@pytest.mark.parametrize(("command", "asked"), [
    ("dig www.example.com", [b"\3www\7example\3com"]),
    ("dig +noall www.example.com. AAAA", [b"\3www\7example\3com"]),
    ("getent ahosts my-nginx.default", [b"\x08my-nginx\7default"]),     # the search list adds the rest
    ("dig kubernetes +search A", [b"\x0akubernetes"]),
    ("dig -x 10.0.0.1", [b"\00210\0010\0010\0011", b"\0011\0010\0010\00210\7in-addr\4arpa"]),
    ("curl http://www.example.com:80/index", [b"\3www\7example\3com"]),
    ("ip -d link", []),
    ("dig", []),
])
def test_the_questions_of_a_command_are_its_names_as_a_query_has_them(command, asked):
    assert questions(command.split()) == asked


def test_a_long_name_is_looked_for_as_far_as_the_kernel_can():
    assert len(questions(["dig", ".".join(["abcdefghi"] * 20)])[0]) == 128


@pytest.fixture(scope="module")
def lab():
    require_namespaces()
    return open_lab("netns")


def test_what_others_ask_meanwhile_is_not_traced(lab):
    pod, other = lab.pod("my-nginx"), lab.pod("neighbour")
    with lab.capture(pod, other, trace=True) as seen:
        busy = subprocess.Popen(lab.backend.reach(other.id, ("sh", "-c", OTHERS)), stdout=subprocess.DEVNULL)
        pod.dig("www.example.com")
        busy.wait(timeout=30)
    asked = {sighting.message.question.name for sighting in seen.sightings}
    assert "www.example.org." in asked          # it was heard, and was not traced:
    traced = [one for node in lab.nodes for one in seen.traced_paths(node)]
    ends = {(one.trace_lines[0].packet["SRC"], one.trace_lines[0].packet["DST"]) for one in traced}
    assert len(traced) >= 4 and (pod.address, lab.topology.dns_service) in ends
    assert not any(other.address in pair for pair in ends)
    assert [one.differences for one in traced if one.differences] == []


def test_only_the_rules_of_this_session_and_of_dead_ones_are_swept(lab):
    node, here, now = lab.nodes[0], rule_trace._machine(), int(time.time())
    alive, elsewhere = f"kitlib-trace-{here}-1-0", f"kitlib-trace-0123-1-{now}"
    over = f"kitlib-trace-{here}-{os.getpid()}-{now}", f"kitlib-trace-{here}-4194305-{now}", "kitlib-trace-0123-1-0"

    def iptables(action, comment):
        rule = ("-m", "comment", "--comment", comment, "-j", "TRACE")
        return node.run("iptables", "-t", "raw", action, "PREROUTING", *rule)

    for comment in (alive, elsewhere, *over):
        assert iptables("-A", comment).rc == 0
    rule_trace.sweep(lab.backend, node.id)
    left = node.run("iptables-save", "-t", "raw").text
    assert [comment in left for comment in (alive, elsewhere, *over)] == [True, True, False, False, False]
    for comment in (alive, elsewhere):
        iptables("-D", comment)


def test_a_trace_that_ended_early_is_not_taken_for_one_without_rules(lab, monkeypatch):
    monkeypatch.setattr(rule_trace, "MONITOR", ("sh", "-c", "echo cannot open >&2; exit 1"))
    with pytest.raises(KitError, match=r"ended early\. It said: cannot open"), traced_at(lab, lab.nodes[0], lab.host):
        pass


def test_outside_a_traced_block_no_rule_is_in(lab):
    def inside():
        return [lab.run(node.id, ("iptables-save", "-t", "raw")).stdout.count("kitlib-trace") for node in lab.nodes]

    with lab.capture(lab.host, trace=True):
        assert set(inside()) == {0}             # nothing has been asked yet
        lab.pod("my-nginx").dig("www.example.com")
        assert set(inside()) == {2}
    assert set(inside()) == {0}


def test_a_connection_that_is_older_than_the_trace_is_known_for_one(lab):
    pod, port = lab.pod("my-nginx"), "0.0.0.0#40053"
    pod.dig("www.example.org", "-b", port)
    with traced_at(lab, pod.node, pod) as seen:
        pod.dig("www.example.com", "-b", port)
    first = seen.traced_paths(pod.node)[0]
    assert first.trace_lines[0].packet["SPORT"] == "40053" and first.differences == ()
    assert "nat" not in {line.table for line in first.trace_lines}
    assert first.path.after.states >= {"ESTABLISHED", "DNAT"}
