"""Files of your own show what the lab shows, and say what they leave undecided; a bad one gets one clear error."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conftest import captured_dig, judged_with_its_own_hints
from follow.own_files import read_files, read_folder
from follow.own_findings import findings, journeys_of, walk
from follow.own_page import PRIVATE, bring_your_own, report
from kitlib import ladder, open_lab
from kitlib.drawings.rule_walk import outcome
from kitlib.errors import KitError, NotFound, ParseError
from kitlib.netfilter.simulate import simulate
from kitlib.parsers import pcap
from lessons import own_files as questions


@pytest.fixture(scope="module", params=["kind-test1", "kind-test1-nftables"])
def lab(request):
    return open_lab(recording=request.param)


@pytest.fixture(scope="module")
def seen(lab):
    return captured_dig(lab)


@pytest.fixture(scope="module")
def files(lab, seen):
    return questions.example_files(lab, seen)


def test_the_ladder_is_the_labs(seen, files):
    [mine], labs = journeys_of(read_files(files)), seen.journey()
    assert [(hop.sighting.source, hop.sighting.destination, hop.rewrites) for hop in mine.hops] == [
        (hop.sighting.source, hop.sighting.destination, hop.rewrites) for hop in labs.hops]
    assert len(mine.legs) == 3 and not mine.ambiguous
    assert "the clocks of worker3 and control-plane agree within" in ladder(mine).text


def test_the_walk_is_the_labs(lab, files):
    own = read_files(files)
    [journey] = journeys_of(own)
    path = walk(own, lab.client.node.title, journey)
    assert path.packet.in_interface == lab.client.veth.interface
    assert in_words(path) in map(in_words, simulate(lab.client.node.netfilter(), path.packet))
    assert path.after.destination == journey.client_leg.endpoint.address


def in_words(path):
    return outcome(path), [(step.rule and step.rule.text, step.why, step.verdict) for step in path.steps]


def test_findings_name_the_answer_and_the_rules(files):
    answered, walked = findings(read_files(files))
    assert answered.startswith("Answered by 10.244.0.") and walked.startswith("By the rules of worker3: The packet 10.")


@pytest.mark.parametrize(("lacking", "words"), [
    ("rules", "what rules make of the query"), ("routes", "Add the output of `ip route show table all`"),
    ("addresses", "give `ip addr`"), ("resolv", "no resolv.conf is among the files"), ("pcap", None)])
def test_what_is_lacking_is_said(files, lacking, words):
    fewer = questions.without(files, lacking)
    own = read_files(questions.without(fewer, "nft.json") if lacking == "rules" else fewer)
    if words is None:
        with pytest.raises(NotFound, match="no capture among these files"):
            findings(own)
        assert "search list: svc.cluster.local" in report(questions.without(files, lacking)).text
    else:
        assert words in "\n".join(findings(own))


def test_a_query_that_was_lost_is_the_one_that_is_looked_at():
    lab = open_lab(fault="forward-drop")
    with lab.capture() as seen:
        lab.client.run("dig", "+tries=1", "+timeout=3", "www.example.com")
    answered, *_, walked = findings(read_files(questions.example_files(lab, seen)))
    assert answered.startswith("Not answered: the query was last seen at worker3 veth")
    assert "is dropped" in walked


def test_captures_by_clocks_that_differ_are_put_on_one(files):
    late = {name: pcap.write_pcapng(replace(frame, time_ns=frame.time_ns + 10**9) for frame in pcap.frames(data))
            for name, data in files.items() if "worker3" in name and "pcap" in name}
    [journey] = journeys_of(read_files(files | late))
    assert "worker3's clock is 1,000.0 ms ahead of control-plane's" in journey.note and journey.came_back
    assert [hop.rewrites for hop in journey.hops] == [hop.rewrites for hop in journeys_of(read_files(files))[0].hops]


def test_one_pcapng_may_hold_several_interfaces_and_other_names_are_read_too(files):
    names = [name for name in files if name.startswith("worker3_") and name.endswith("pcapng")]
    frames = [replace(frame, interface=name.partition("_")[2].removesuffix(".pcapng"))
              for name in names for frame in pcap.frames(files[name])]
    own = read_files(questions.without(files, names[0]) | {"all.pcapng": pcap.write_pcapng(frames)})
    assert {one.interface for one in own.files if one.name == "all.pcapng"} == {
        name.partition("_")[2].removesuffix(".pcapng") for name in names}


@pytest.mark.parametrize("cut", [1, 40])
def test_a_capture_that_was_cut_is_read_as_far_as_it_goes_and_that_is_said(files, cut):
    [name, *_] = (name for name in files if name.startswith("worker3_veth") and name.endswith("pcapng"))
    whole, own = read_files(files), read_files(files | {name: files[name][:-cut]})
    assert len(own.seen.sightings) == len(whole.seen.sightings) - 1
    assert f"{name}" in own.table.text and own.table.text.count("capture, damaged") == 1
    assert any(line.startswith(f"Not decided: what {name} holds after its whole frames") and "the file was cut" in line
               for line in findings(own))


def test_a_name_chooses_the_queries(files):
    assert len(journeys_of(read_files(files), "www.example.com")) == 1
    with pytest.raises(NotFound, match=r"Nobody asked for no\.such\.name .* www\.example\.com"):
        journeys_of(read_files(files), "no.such.name")


@pytest.mark.parametrize(("name", "data", "words"), [
    ("a_eth0.pcap", b"\xd4\xc3\xb2\xa1\x02\x00", "the file was cut"), ("a_x.txt", b"\xff\xfe\x00", "ff fe 00"),
    ("a_notes.txt", b"Dear diary", "Dear diary"), ("a_empty.txt", b"", "nothing"),
    ("a_rules.txt", b"*nat\n-A\n", "iptables"), ("a_nft.json", b'{"nftables": [', "nft")])
def test_a_bad_file_gets_one_clear_error_that_names_it(name, data, words):
    with pytest.raises(ParseError) as error:
        read_files({name: data})
    assert name in str(error.value) and words in str(error.value) and "expected" in str(error.value)
    assert report({name: data}).text == str(error.value)


def test_a_folder_is_read_as_its_files_are(files, tmp_path):
    with pytest.raises(KitError, match="empty folder"):
        read_folder(tmp_path)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert read_folder(tmp_path) == read_files(files)
    with pytest.raises(KitError, match="expected a folder"):
        read_folder(tmp_path / "nowhere")


def test_the_widget_takes_files_and_sends_nothing(files, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    shown = bring_your_own(files)
    _, upload, _, name, output, _ = shown.widget.children
    assert PRIVATE in shown.text and PRIVATE in shown.html and "By the rules of worker3" in output.value
    upload.value = tuple({"name": name, "type": "", "size": len(data), "last_modified": datetime.now(UTC),
                          "content": memoryview(data)}
                         for name, data in questions.captures_at(files, "my-nginx").items())
    assert "Not decided: what rules make of the query" in output.value
    name.value = "other.example"
    assert "Nobody asked for other.example" in output.value


def test_nothing_in_a_file_is_markup():
    assert "<b>" not in report({"<b>_x.txt": b"nameserver 10.0.0.1\nsearch <b>\n"}).html


def test_the_questions_have_hints_of_their_own(files):
    [journey] = journeys_of(read_files(files))
    leg, upstream = journey.client_leg, journey.upstream_legs[0]
    judged_with_its_own_hints(questions.who_answers_as_the_client_sees_it(journey), str(leg.server),
                              {str(leg.endpoint): "farthest", str(upstream.server): "not by the pod"}, ["x"])
    judged_with_its_own_hints(questions.whose_rules(journey), "worker3",
                              {"host": "seen on host first", "control-plane": "seen on control-plane first"}, ["x"])
