"""What a recording holds is shown as words: never as HTML, a link, a Mermaid statement or a control sequence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from nbconvert.filters import markdown2html

from conftest import REPO
from kitlib import draw_topology, ladder, latency_budget, note
from kitlib.errors import KitError, RecordingError
from kitlib.lab import open_lab
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.result import Result

HOSTILE = ["<script>alert(1)</script>", "`<img src=x onerror=alert(1)>`", "``<svg onload=alert(1)>",
           "</code><iframe src=//x>", "<!--", "<?x",
           "[x](javascript:alert(1))", "![x](http://x/y.png)", "[x][y]",
           "**`<a href=x>`**", "\x1b]0;owned\x07\x1b[2J"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("words", ["It is **{}**.", "The rule `{}` decides.", "{}", "`a` and {} and `b`"])
def test_a_note_shows_values_as_words(value, words) -> None:
    shown = note(words.format(value))
    html = ElementTree.fromstring(f"<p>{markdown2html(shown._repr_markdown_()).replace('&nbsp;', ' ')}</p>")
    assert {part.tag for part in html.iter()} <= {"p", "strong", "code", "em"}
    assert "\x1b" not in shown._repr_markdown_() + repr(shown)


def test_a_note_without_markup_from_outside_is_as_it_was_written() -> None:
    words = "**10.96.0.10:53** → `-A INPUT -j DROP`, a < b, [note] (so)"
    assert note(words)._repr_markdown_() == words


EVIL = "br\x1b]0;owned\x07\u202e<img src=x>%%{init}%%"


def renamed(value: object, old: str, new: str) -> object:
    """A JSON value with a word replaced in every text of it, and in texts that are JSON themselves."""
    if isinstance(value, str) and value[:1] in "[{" and old in value:
        return json.dumps(renamed(json.loads(value), old, new))
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [renamed(inner, old, new) for inner in value]
    return {key: renamed(inner, old, new) for key, inner in value.items()} if isinstance(value, dict) else value


MORE = ['"><script>alert(1)</script>', "' onload=alert(1) x='", "</title><script>", "</desc></svg><script>",
        "<![CDATA[<x>]]>", "]]><script>", "&lt;script&gt;", "&#60;script&#62;", "<img src=x onerror=alert(1)//",
        "<a href=javascript:alert(1)>", "<style>*{display:none}</style>", "<base href=//x>",
        "<meta http-equiv=refresh content=0>", "<math><mi//xlink:href=x>", "<object data=x>", "<embed src=x>",
        "<form action=x><input>", "<details open ontoggle=alert(1)>", "--><script>", "<!DOCTYPE x>",
        "\ufeff<script>", "\x00<script>", "\u2028<script>", "{{7*7}}<script>", "%%{init}%%", "click a href x"]


@pytest.fixture(params=[EVIL, *(pytest.param(f"br{value}", marks=pytest.mark.slow) for value in HOSTILE + MORE)])
def evil(request) -> str:
    """What the bridge is called: one name for all that may go wrong, and in make test-slow each vector alone."""
    return request.param


@pytest.fixture
def hostile(tmp_path, evil):
    """A recording in which the bridge's name carries control characters and markup."""
    folder = shutil.copytree(REPO / "tests/fixtures/recorded-by-the-kit", tmp_path / "copy")
    facts = [json.loads(line) for line in (folder / "facts.jsonl").read_text().splitlines()]
    network, = json.loads(next(fact["stdout"] for fact in facts if fact["argv"][:2] == ["docker", "network"]))
    old = f"br-{network['Id'][:12]}"
    for file in folder.rglob("*.jsonl"):
        entries = [renamed(json.loads(line), old, evil) for line in file.read_text().splitlines()]
        for entry in entries:
            if entry.get("argv", [])[:2] == ["docker", "network"]:
                network["Options"] = {"com.docker.network.bridge.name": evil}
                entry["stdout"] = json.dumps([network])
        file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for file in folder.rglob("*.pcapng"):
        found = frames(file.read_bytes())
        file.write_bytes(write_pcapng([replace(one, interface=one.interface.replace(old, evil)) for one in found]))
    return folder


def unseen(text: str) -> set[str]:
    return set(text) & set("\x1b\x07\u202e")


def test_pictures_and_their_words_stay_well_formed(hostile) -> None:
    lab = open_lab(recording=hostile)
    with lab.capture() as seen:
        lab.pod("my-nginx").dig("www.example.com")
    for drawing in (draw_topology(lab.topology), ladder(seen.journey()), latency_budget([seen.journey()])):
        ElementTree.fromstring(drawing.svg)
        exported = ElementTree.fromstring(drawing.html)
        assert [part.tag for part in exported.iter()] == ["div", "img"] and "onload" not in exported[0].attrib
        assert not unseen(repr(drawing) + drawing._repr_mimebundle_()["text/plain"] + drawing.svg)
        assert not re.search("<(?!br/>)|%%", drawing.mermaid) and not unseen(drawing.mermaid)


def test_the_hostile_name_was_in_them(hostile, evil) -> None:
    lab = open_lab(recording=hostile)
    assert lab.topology.bridge == evil and "br" in draw_topology(lab.topology).svg


def test_results_and_errors_show_control_characters_as_escapes() -> None:
    for hostile in ("a\x1b]0;owned\x07\tb", "\u202e", "\u2066", "\x9b31m", "\ud800", "\x00", "\uffff", "ä\xa0…"):
        for shown in (repr(Result("dig", ("dig",), 0, hostile)), str(KitError(hostile))):
            assert shown.replace("\n", "").replace("\t", "").replace("\xa0", "").isprintable()
            assert hostile in shown or repr(hostile)[1:-1].replace("\\t", "\t") in shown


def test_validate_prints_no_control_sequence(hostile) -> None:
    facts = hostile / "facts.jsonl"
    lines = [json.loads(line) for line in facts.read_text().splitlines()]
    for line in lines:
        if line["argv"][:2] == ["docker", "network"]:
            line["stdout"] = "\x1b]0;owned\x07\x1b[2J"
    facts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run([sys.executable, "-m", "kitlib", "validate", str(hostile)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and not unseen(done.stdout + done.stderr)
    with pytest.raises(RecordingError, match=r"\\x1b"):
        open_lab(recording=hostile / "a\x1b[2J")
