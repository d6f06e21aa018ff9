"""`follow` says where a query went and why it went no further, in a terminal and as one safe page of HTML."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace

import pytest
from namespaces import require_namespaces

from conftest import REPO
from follow import journeys, page, query, terminal
from kitlib import open_lab
from kitlib.__main__ import main
from kitlib.journey.join import join
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.sighting import LeftOut, Message, Question, Reason, Record, Sighting, Socket, VantagePoint
from live_labs import lab as live
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import read
from recorder.validate import validate
from workshop.faults import KEPT_PORT, LIVE
from workshop.live_faults import break_lab, fix_lab

FAULTS = sorted(path.name for path in (REPO / "kitlib/recordings/kind-test1/faults").iterdir())
ANSWERED = {"one-endpoint-dead", "route-wrong-node", "tcp-blocked"}       # not by each pod, way or protocol

ASKED = {"tcp-blocked": ["big.example.com", "TXT"], "tcp-answer-lost": ["big.example.com", "TXT"],
         "upstream-down": ["www.example.net"], "one-endpoint-dead": ["www.example.com", "--repeat", "6"],
         "resolv-conf-of-the-node": ["my-nginx.default.svc.cluster.local"],
         "stale-conntrack": ["www.example.com", "--port", str(KEPT_PORT)],
         "second-answer-lost": ["www.example.com.", "--search"]}
BY_CHAINS = ("no-endpoints", "service-rules-missing", "stale-conntrack")     # made in the chains of iptables mode
CAUSE = {"egress-names-the-clusterip": "forward-drop"}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; return its exit status, stdout and stderr."""
    for name in ("KITLIB_LAB", "KITLIB_RECORDING", "KITLIB_MODE", "KITLIB_POD"):
        monkeypatch.setenv(name, "")        # taken back at the end, whatever a command line makes of it

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kitlib", *words])
        return main(), *capsys.readouterr()
    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_each_recorded_fault_is_named_with_its_evidence(run, fault):
    name = "www.example.net" if fault == "upstream-down" else "www.example.com"
    code, out, _ = run("follow", name, "--fault", fault, "--repeat", "6", "--json")
    found = json.loads(out)
    assert found["causes"] == [fault]
    assert any("Evidence:" in sentence for sentence in found["findings"])
    assert code == (0 if found["answered"] else 1)
    assert found["answered"] or fault not in ANSWERED - {"one-endpoint-dead"}


@pytest.mark.parametrize("words", [("www.example.com",), ("www.example.com", "AAAA"), ("my-nginx", "--search"),
                                   ("www.example.com", "--tcp"), ("big.example.com", "TXT"),
                                   ("no-such-name.example.com",), ("www.example.com", "--trace"),
                                   ("www.example.com", "--from", "default/neighbour"),
                                   ("www.example.com", "--from", "default/host-client")])
def test_a_healthy_lab_has_no_cause_and_a_page_that_stands_alone(run, tmp_path, words):
    out = tmp_path / "page.html"
    code, text, _ = run("follow", *words, "--out", str(out))
    written = out.read_text()
    assert code == 0 and "Answered by" in text and "Cause:" not in text and "Not decided" not in text
    assert len(written.encode()) <= 500_000
    assert not re.findall(r"<script|<link|<iframe|url\(|(?:src|href)=\"(?!data:image/svg)", written)
    for section in ("Summary", "Map", "Ladder", "Rules", "Resolver settings", "Latency", "Commands", "Versions"):
        assert f"<h2>{section}" in written


@pytest.mark.parametrize("words", [("www.example.com",), ("www.example.com", "--trace")])
def test_a_cluster_in_nftables_mode_is_followed_too(run, monkeypatch, tmp_path, words):
    monkeypatch.setenv("KITLIB_RECORDING", "kind-test1-nftables")
    code, text, _ = run("follow", *words, "--out", str(tmp_path / "page.html"))
    assert code == 0 and "Answered by" in text and "Cause:" not in text
    assert "service-ETLUH4FB" in (written := (tmp_path / "page.html").read_text()) or "kube-proxy" in written
    assert "could not be walked" not in written


def test_several_queries_are_counted(run):
    _, text, _ = run("follow", "www.example.com", "--repeat", "5")
    assert "Latency of 5 answers: median" in text and "Endpoints chosen:" in text
    assert "truncated" in run("follow", "big.example.com", "TXT")[1]
    assert "8 queries in" in run("follow", "www.example.com", "--search")[1]


def test_what_else_was_asked_meanwhile_is_not_what_was_asked_for(run):
    code, text, _ = run("follow", "www.example.net", "--fault", "upstream-down")      # and my-nginx, in the same take
    assert code == 1 and "Answered wrongly: SERVFAIL, from 10.244" in text and "queries in" not in text
    assert "asked 12 times, not 30" in run("follow", "www.example.com", "--repeat", "30")[1]


CLIENT, SERVICE, COREDNS = Socket("10.244.1.2", 40000), Socket("10.96.0.10", 53), Socket("10.244.1.9", 53)
POD = VantagePoint("pod:default/a", "eth0", "worker", "pod", "a eth0")


def asked(name: str, *answers: str, protocol: str = "UDP", server: Socket = SERVICE, by: Socket = SERVICE,
          left_out: tuple[LeftOut, ...] = ()) -> Journey:
    """A query at the pod, and its answers, of each the flags and records."""
    def seen(at_ms: int, source: Socket, destination: Socket, words: str = "") -> Sighting:
        flags, _, data = words.partition(" ")
        records = (Record(name, "A", 30, data),) if data else ()
        message = Message(1, tuple(filter(None, flags.split(","))), "QUERY", "NOERROR", (Question(name, "A"),), records)
        return Sighting(POD, at_ms * 10**6, protocol, source, destination, 64, at_ms, message)

    later = (seen(number * 100, by, CLIENT, words) for number, words in enumerate(answers, 1))
    journey, = join([seen(0, CLIENT, server), *later])
    return replace(journey, left_out=left_out)


def test_a_truncated_answer_is_none_until_the_whole_one_came_over_tcp():
    truncated, whole = asked("big.", "qr,tc"), asked("big.", "qr 1.2.3.4", protocol="TCP")
    assert journeys.unanswered([truncated]) == [truncated] == [journeys.to_look_at([truncated, asked("a.", "qr")])]
    assert journeys.unanswered([truncated, asked("other.", "qr", protocol="TCP")]) == [truncated]
    assert not journeys.unanswered([truncated, whole])
    assert "NOERROR, truncated, in 100.0 ms" in journeys.answer(truncated)
    assert journeys.sentences_of([truncated]) == ["The answer over UDP was truncated, and no query over TCP was seen."]
    assert "asked for again over TCP" in journeys.sentences_of([truncated, whole])[0]


def test_an_answer_is_only_said_to_be_missing_as_far_as_could_be_read():
    cut = LeftOut(POD, 2, Reason.CUT, "an answer")
    assert journeys.answer(asked("a.")).startswith("Not answered: the query was last seen at a eth0")
    assert journeys.answer(asked("a.", left_out=(cut,))).startswith("No answer that could be read: the query was last")
    assert "10.96.0.10:53 was asked, but 10.244.1.9:53 answered" in journeys.answer(asked("a.", "qr", by=COREDNS))


def test_the_client_waits_for_the_answer_that_it_takes_and_no_longer():
    assert journeys.milliseconds(asked("a.", "qr", "qr")) == 100


def test_of_a_response_without_its_query_no_latency_is_told():
    answered = asked("a.", "qr")
    leg = replace(answered.client_leg, hops=answered.client_leg.responses)
    assert journeys.answer(alone := Journey((leg,))) == "Only the response was captured: NOERROR, from 10.96.0.10:53."
    assert journeys.latencies([alone, answered]) == [100]


def test_a_search_list_ends_with_the_first_name_that_has_an_address():
    two = [asked("www.example.com.", "qr 1.2.3.4"), asked("www.example.com.au.", "qr 1.2.3.5")]
    searched = [asked("www.example.com.svc.", "qr"), asked("www.example.com.", "qr 1.2.3.4")]
    assert not any("search list" in words for words in journeys.sentences_of(two))
    assert any("the search list made www.example.com.svc." in words for words in journeys.sentences_of(searched))


def test_a_service_that_was_not_seen_to_be_rewritten_is_no_endpoint():
    assert "Servers asked: 10.96.0.10:53 2 of 2." in journeys.sentences_of([asked("a.", "qr"), asked("a.", "qr")])


def test_what_others_in_the_pod_ask_for_by_the_same_name_is_not_ours():
    lab = open_lab()
    with lab.capture() as seen:
        ours, _ = (lab.client.dig("www.example.com") for _ in range(2))
    found = query.only_asked_by((ours,), seen.journeys())
    assert len(seen.journeys()) == 2 and f"id: {found[0].client_leg.hops[0].sighting.message.id}\n" in ours.stdout
    assert len(found) == 1 and len(query.only_asked_by((ours, replace(ours, stdout="")), seen.journeys())) == 2


@pytest.mark.parametrize(("words", "message"), [
    (("www.example.org",), "What can be asked there: www.example.com"),
    (("www.example.com", "--from", "shop/web"), "There is no pod 'shop/web'"),
    (("www.example.com", "--from", "shop/neighbour"), "There is no pod 'shop/neighbour'. There are:"),
    (("www.example.com", "--lab", "moon"), "There is no lab 'moon'"),
    (("www.example.com", "--repeat", "0"), "expected 1 or more"),
    (("+short",), "options of dig"),
    (("www.example.com", "--scrub", "--repeat", "2"), "one query at a time"),
    (("www.example.com", "--out", "/no/such/folder/page.html"), "No such file")])
def test_what_cannot_be_looked_at_is_exit_status_2_and_one_message(run, words, message):
    code, _, error = run("follow", *words)
    assert code == 2 and message in error and "Traceback" not in error


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[2J", "\u202e"])
def test_nothing_from_data_is_markup(text):
    written = page.html_page(text, [("Summary", page.paragraphs([text]))])
    assert text not in written and "<img" not in written


@pytest.mark.parametrize("words", [("www.example.com", "--trace"), ("my-nginx", "--search"),
                                   ("www.example.com", "--fault", "forward-drop")])
def test_what_is_recorded_is_followed_again_without_the_lab(run, tmp_path, words):
    mine, page_of = str(tmp_path / "mine"), tmp_path / "page.html"
    code, out, _ = run("follow", *words, "--record", mine, "--json")
    os.environ["KITLIB_RECORDING"] = mine
    words = [word for word in words if word not in ("--fault", "forward-drop")]
    again, replayed, _ = run("follow", *words, "--out", str(page_of), "--json")
    known, found = json.loads(out), json.loads(replayed)
    assert (again, found["causes"], found["hops"]) == (code, known["causes"], known["hops"])
    assert "could not be" not in page_of.read_text() and not validate(tmp_path / "mine")


def test_scrubbing_reaches_the_terminal_the_page_and_the_recording(run, tmp_path):
    page_of, mine = tmp_path / "page.html", tmp_path / "mine"
    words = ("follow", "www.example.com", "--out", str(page_of), "--record", str(mine), "--scrub", "--trace")
    code, out, told = run(*words)
    assert code == 0 and "Answered by" in out and "It may still tell:" in told and validate(mine) == []
    node = open_lab().nodes[0].name
    assert node.endswith("-control-plane") and node not in out + page_of.read_text()
    assert not [path for path in mine.rglob("*") if path.is_file() and node.encode() in path.read_bytes()]
    again, _, error = run(*words)
    assert again == 2 and "is there already" in error


def test_kubectl_finds_it_by_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kubectl-follow_dns", "www.example.com", "--lab", "recorded"])
    assert terminal.kubectl_plugin() == 0 and "Answered by" in capsys.readouterr().out
    assert 'kubectl-follow_dns = "follow.terminal:kubectl_plugin"' in (REPO / "pyproject.toml").read_text()


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=() if fault == "forward-drop" else pytest.mark.slow)
                                   for fault in LIVE])
def test_a_live_fault_is_named(run, monkeypatch, fault):
    require_namespaces()
    assert CAUSE.get(fault, fault) in causes_found(run, monkeypatch, open_lab("netns"), fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [fault for fault in LIVE if fault not in BY_CHAINS])
def test_a_live_fault_is_named_in_nftables_mode(run, monkeypatch, fault):
    require_namespaces()
    holder = up(read(mode="nftables"), f"follow-{os.getpid()}")
    try:
        assert CAUSE.get(fault, fault) in causes_found(run, monkeypatch, Lab(NetnsLab(holder)), fault)
    finally:
        holder.end()


def causes_found(run, monkeypatch, lab: Lab, fault: str) -> list[str]:
    monkeypatch.setattr(live, "PATIENCE_S", 0.2)
    monkeypatch.setattr("follow.query.open_lab", lambda name, **_: lab)
    pod = lab.pod("my-nginx")
    break_lab(lab, pod, fault)
    try:
        return json.loads(run("follow", *ASKED.get(fault, ["www.example.com"]), "--json")[1])["causes"]
    finally:
        fix_lab(lab, pod, fault)


def test_the_readme_shows_what_it_prints(run):
    last = run("follow", "www.example.com")[1].splitlines()[-1]
    assert f"    {last}\n" in (REPO / "README.md").read_text()
