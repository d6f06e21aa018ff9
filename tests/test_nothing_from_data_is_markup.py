"""What a recording holds is shown as words: never as HTML, a link, a Mermaid statement or a control sequence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from IPython.core.formatters import DisplayFormatter
from ipywidgets import HTML
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

import kitlib
from conftest import captured_dig, part_of_the_recording
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.hooks import draw_hooks
from kitlib.drawings.ladder import moment
from kitlib.drawings.topology import draw_spot
from kitlib.errors import KitError, RecordingError
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.quiz import Quiz
from kitlib.result import Result
from kitlib.widgets.controls import WithFallback
from kitlib.widgets.rule_walk import CHOOSE

HOSTILE = ["<script>alert(1)</script>", "`<img src=x onerror=alert(1)>`", "``<svg onload=alert(1)>",
           "</code><iframe src=//x>", "<!--", "<?x",
           "[x](javascript:alert(1))", "![x](http://x/y.png)", "[x][y]",
           "**`<a href=x>`**", "\x1b]0;owned\x07\x1b[2J"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("words", ["It is **{}**.", "The rule `{}` decides.", "{}", "`a` and {} and `b`"])
def test_a_note_shows_values_as_words(value, words) -> None:
    from nbconvert.filters import markdown2html  # late: it is large, and every worker reads this file

    shown = kitlib.note(words.format(value))
    html = ElementTree.fromstring(f"<p>{markdown2html(shown._repr_markdown_()).replace('&nbsp;', ' ')}</p>")
    assert {part.tag for part in html.iter()} <= {"p", "strong", "code", "em"}
    assert "\x1b" not in shown._repr_markdown_() + repr(shown)


def test_a_note_without_markup_from_outside_is_as_it_was_written() -> None:
    words = "**10.96.0.10:53** → `-A INPUT -j DROP`, a < b, [note] (so)"
    assert kitlib.note(words)._repr_markdown_() == words


# One name for all that may go wrong; in make test-slow each vector goes alone through everything, too.
EVIL = ("br\x1b]0;owned\x07\u202e\ud800\n  click p1 href \"x\"\r\"'><script>alert(1)</script>"
        "<img src=x onerror=alert(1)>%%{init}%%")
MORE = ['"><script>alert(1)</script>', "' onload=alert(1) x='", "</title><script>", "</desc></svg><script>",
        "<![CDATA[<x>]]>", "]]><script>", "&lt;script&gt;", "&#60;script&#62;", "<img src=x onerror=alert(1)//",
        "<a href=javascript:alert(1)>", "<style>*{display:none}</style>", "<base href=//x>",
        "<meta http-equiv=refresh content=0>", "<math><mi//xlink:href=x>", "<object data=x>", "<embed src=x>",
        "<form action=x><input>", "<details open ontoggle=alert(1)>", "--><script>", "<!DOCTYPE x>",
        "\ufeff<script>", "\x00<script>", "\u2028<script>", "{{7*7}}<script>", "%%{init}%%", "click a href x",
        "\n  end\n  link p1: x @ javascript:alert(1)", "\ud800<script>", "\x9b31m<script>", "\u2066<script>"]
TAGS = {"div", "p", "span", "b", "strong", "em", "code", "pre", "br", "wbr", "table", "thead", "tbody", "tr", "th",
        "td", "caption", "details", "summary", "ul", "ol", "li", "img", "main"}
STATEMENT = re.compile(r"sequenceDiagram|  box transparent .+|    participant p\d+ as .+|  end|"
                       r"  Note over p\d+(?:,p\d+)?: .+|  p\d+-?->>p\d+: .+")

OUR_BUTTON = re.compile(r'<button type="button" title="[\w ]+: show its rules" onclick="'
                        rf'{re.escape(CHOOSE.format("N")).replace("N", "[0-9]+")}" [^>]*></button>')


class Tags(HTMLParser):
    """All in an HTML text that is no plain tag: another tag, a handler, a picture from elsewhere, a declaration."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.live: list[str] = []
        self.handle_decl = self.handle_pi = self.unknown_decl = self.live.append
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_ours = tag in TAGS and all(name[:2] != "on" and name != "href" for name, _ in attrs)
        if not is_ours or (tag == "img" and not dict(attrs)["src"].startswith("data:image/svg+xml;base64,")):
            self.live.append(f"{tag} {attrs}")


def hostile_recording(folder: Path, evil: str) -> Path:
    """A recording whose bridge, whose rules' comments, whose note and which itself are called so."""
    evil = evil.encode(errors="replace").decode()       # JSON with half a surrogate pair is refused
    index = json.loads((part_of_the_recording(folder, scenes=("trace-pod-dig",)) / "recording.json").read_text())
    scene, = index["scenes"]
    (folder / "recording.json").write_text(json.dumps(index | {"name": evil, "scenes": [scene | {"note": evil}]}))
    text = (folder / "facts.jsonl").read_text()
    old, = set(re.findall(r"\bbr-[0-9a-f]{12}\b", text))
    comment = json.dumps(re.sub(r"[\r\n\u2028]", "", evil).replace("\\", r"\\").replace('"', r'\"'))[1:-1]
    for name in ("facts.jsonl", "traced-rules.jsonl", *(f"{take[:-6]}.jsonl" for take in scene["takes"])):
        text = (folder / name).read_text().replace("kubernetes service portals", comment)
        entries = [json.loads(line) for line in text.splitlines()]
        for entry in entries:
            if entry.get("argv", [])[:2] == ["docker", "network"]:
                network, = json.loads(entry["stdout"])
                entry["stdout"] = json.dumps([network | {"Options": {"com.docker.network.bridge.name": evil}}])
            if entry.get("point", {}).get("interface") == old:
                entry["point"]["interface"] = evil
        (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for file in folder.rglob("*.pcapng"):
        file.write_bytes(write_pcapng([replace(one, interface=one.interface.replace(old, evil))
                                       for one in frames(file.read_bytes())]))
    return folder


@pytest.fixture(scope="module", params=[EVIL, *(pytest.param(f"br{value}", marks=pytest.mark.slow)
                                                for value in HOSTILE + MORE)])
def evil(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def shown(evil, tmp_path_factory) -> dict[str, object]:
    """Everything that a notebook can show of a hostile recording, and of a hostile name."""
    lab = kitlib.open_lab(recording=hostile_recording(tmp_path_factory.mktemp("hostile"), evil))
    pod, node = lab.pod("my-nginx"), lab.node("worker3")
    seen = captured_dig(lab, trace=True)
    journey, traced = seen.journey(), seen.traced_query(node)
    path, budget = traced.path, kitlib.latency_budget([journey])
    conf = replace(pod.resolv_conf(), search=(evil,))
    rows = [{"a": evil, evil: [evil]}]
    quiz = Quiz(evil, "b", choices=(evil, "b"), hint=evil, more=evil, solution=evil)
    return {
        "topology": kitlib.draw_topology(lab.topology),
        "lit": kitlib.draw_topology(lab.topology, [journey.hops[1].sighting.point]),
        "spot": draw_spot(lab.topology, lab.host.default_point, evil, 540),
        "ladder": kitlib.ladder(journey, kitlib.gaps(lab, journey)), "moment": moment(journey, 2, 540),
        "latency": budget, "spans": budget.folded, "hooks": draw_hooks(path),
        "search list": kitlib.draw_search_list(kitlib.search_candidates("www.example.com", conf), evil),
        "queries": kitlib.queries_table([journey], evil), "table": kitlib.table(rows, title=evil),
        "rule walk": kitlib.rule_walk(traced), "rules at": kitlib.rules_at(path, "PREROUTING"),
        "what if": kitlib.what_if(node.netfilter(), path.packet),
        "stepper": kitlib.stepper(lab.topology, journey, seen), "map": kitlib.topology_view(lab.topology, journey),
        "packets": kitlib.packet_view(seen.sightings), "playground": kitlib.search_list_playground(conf),
        "predict": kitlib.predict(quiz), "right": kitlib.check(quiz, "b"), "wrong": kitlib.check(quiz, "a"),
        "error": kitlib.check(quiz, evil), "hint": kitlib.hint(quiz), "second": kitlib.hint(quiz),
        "solution": kitlib.hint(quiz), "note": kitlib.note(evil), "lab": lab, "capture": seen,
        "result": Result(evil, (evil,), 1, evil, evil, evil), "files": WithFallback(evil.replace("<", "&lt;"), evil)}


def test_everything_shown_is_words_in_the_notebook_and_on_a_page(shown, evil) -> None:
    formats = DisplayFormatter()
    bundles = {name: formats.format(one)[0] for name, one in shown.items()}
    cells = [new_code_cell("", outputs=[new_output("display_data", {
        kind: text for kind, text in bundle.items() if kind.startswith("text/")})]) for bundle in bundles.values()]
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(new_notebook(cells=cells))
    assert Tags(page).live == [] and not hidden(page)
    assert [name for name, bundle in bundles.items() if hidden("".join(map(str, bundle.values())))] == []
    assert evil[:2] in page and "br" in shown["topology"].svg


def test_pictures_stay_well_formed_and_mermaid_keeps_its_statements(shown, evil) -> None:
    drawings = [one for one in shown.values() if isinstance(one, Drawing)]
    assert len(drawings) == 8
    for drawing in drawings:
        ElementTree.fromstring(drawing.svg)
        assert not hidden(drawing.svg + drawing.html + drawing.text + drawing.alt + drawing.mermaid)
    mermaid = shown["ladder"].mermaid
    assert all(STATEMENT.fullmatch(line) for line in mermaid.split("\n"))
    assert not re.search(r"<(?!br/>)|%|;(?<!#\d\d;)", mermaid)


def test_widgets_show_words(shown) -> None:
    widgets = [part for one in shown.values() if isinstance(one, WithFallback) and one.widget
               for part in parts_of(one.widget)]
    assert len(widgets) > 50
    for widget in widgets:
        state = widget.get_state()
        value = state.get("value") if isinstance(widget, HTML) else ""
        assert value.startswith("<style onload=") or Tags(OUR_BUTTON.sub("", value)).live == []
        assert not hidden("".join([value, state.get("description", ""), state.get("tooltip") or "",
                                   *state.get("_options_labels", ())]))


def parts_of(widget):
    yield widget
    for part in getattr(widget, "children", ()):
        yield from parts_of(part)


def hidden(text: str) -> set[str]:
    """The characters in a text that steer or have no picture; a note may hold spaces of no width, the kit's own."""
    return {one for one in text if not one.isprintable()} - set("\n\t\xa0\u200b")


def test_results_and_errors_show_control_characters_as_escapes() -> None:
    for hostile in ("a\x1b]0;owned\x07\tb", "\u202e", "\u2066", "\x9b31m", "\ud800", "\x00", "\uffff", "ä\xa0…"):
        for shown in (repr(Result("dig", ("dig",), 0, hostile)), str(KitError(hostile))):
            assert shown.replace("\n", "").replace("\t", "").replace("\xa0", "").isprintable()
            assert hostile in shown or repr(hostile)[1:-1].replace("\\t", "\t") in shown


def test_validate_prints_no_control_sequence(tmp_path) -> None:
    hostile = hostile_recording(tmp_path, EVIL)
    facts = hostile / "facts.jsonl"
    lines = [json.loads(line) for line in facts.read_text().splitlines()]
    for line in lines:
        if line["argv"][:2] == ["docker", "network"]:
            line["stdout"] = "\x1b]0;owned\x07\x1b[2J"
    facts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run([sys.executable, "-m", "kitlib", "validate", str(hostile)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and not hidden(done.stdout + done.stderr)
    with pytest.raises(RecordingError, match=r"\\x1b"):
        kitlib.open_lab(recording=hostile / "a\x1b[2J")
