"""A widget's output says the same without a kernel: as HTML and text it is complete and stable, and not too large."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from conftest import captured_dig, pictures
from kitlib.capture import Capture
from kitlib.errors import KitError
from kitlib.lab import open_lab
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.simulate import simulate
from kitlib.quiz import Quiz, predict
from kitlib.widgets.controls import VIEW, WithFallback
from kitlib.widgets.packet_view import MOST_LISTED, packet_view
from kitlib.widgets.playground import search_list_playground
from kitlib.widgets.rule_walk import rule_walk
from kitlib.widgets.stepper import stepper, topology_view
from kitlib.widgets.what_if import what_if

LAB = open_lab("recorded")
POD = LAB.pod("my-nginx")
KERNEL = POD.node.netfilter()
PACKET = Packet(POD.address, "10.96.0.10", sport=42438, in_interface=POD.veth.interface)
WIDGETS = {
    "playground": lambda seen: search_list_playground(POD.resolv_conf()),
    "packet view": lambda seen: packet_view(seen.sightings),
    "topology view": lambda seen: topology_view(LAB.topology, seen.journey()),
    "stepper": lambda seen: stepper(LAB.topology, seen.journey(), seen),
    "rule walk": lambda seen: rule_walk(simulate(KERNEL, PACKET)[0]),
    "what if": lambda seen: what_if(KERNEL, PACKET),
    "question": lambda seen: predict(Quiz("Which address?", "10.96.0.10", ("10.96.0.10", "10.244.0.2"))),
}
CONTENT = {
    "playground": ["8 queries", "www.example.com.default.svc.cluster.local.", "ndots:5"],
    "packet view": ["worker3 eth0", "10.96.0.10", "10.244.0.3", "header checksum"],
    "topology view": ["worker3", "172.20.0.4", "10.96.0.10:53 → 10.244.0.3:53", "TTL 64 → 63"],
    "stepper": ["3. worker3 eth0", "TTL 64 → 63", "destination rewritten (DNAT)", "query A www.example.com.",
                "docker exec kind-test1-worker3 tcpdump -i eth0", "Leg 2, because of leg 1"],
    "rule walk": ["nat at PREROUTING", "the rule wants", "10.244.0.2:53", "So do 50%"],
    "what if": ["What if it came from", "172.20.0.4:?"],
    "question": ["Which address?", "a) 10.96.0.10", "b) 10.244.0.2"],
}


@pytest.fixture(scope="module")
def seen() -> Capture:
    lab = open_lab("recorded")      # the first take, whoever has asked LAB before
    pod = lab.pod("my-nginx")
    return captured_dig(lab, pod, pod.veth, pod.node, *lab.coredns)


@pytest.fixture(params=WIDGETS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_one_output_holds_the_widget_its_html_and_its_text(kind: str, seen: Capture) -> None:
    output = WIDGETS[kind](seen)
    bundle = output._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", VIEW}
    assert bundle[VIEW]["model_id"] == output.widget.model_id
    assert "kit-widget" in output.widget._dom_classes


def test_html_and_text_hold_what_matters(kind: str, seen: Capture) -> None:
    output = WIDGETS[kind](seen)
    shown = re.sub("</?(wbr|span)[^>]*>", "", output.html) + "".join(pictures(output.html))
    assert not [words for words in CONTENT[kind] if words not in output.text or words not in shown]


def test_only_the_model_id_differs_from_run_to_run(kind: str, seen: Capture) -> None:
    one, two = (WIDGETS[kind](seen)._repr_mimebundle_() for _ in range(2))
    assert one.pop(VIEW) != two.pop(VIEW) and one == two
    assert "IPY_MODEL" not in str(one) and " at 0x" not in str(one)


def test_without_ipywidgets_there_are_html_and_text(kind: str, seen: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with_widget = WIDGETS[kind](seen)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert WIDGETS[kind](seen) == WithFallback(with_widget.html, with_widget.text)
    assert set(WIDGETS[kind](seen)._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_nothing_to_show_is_said(seen: Capture) -> None:
    with pytest.raises(KitError, match="no packet"):
        packet_view([])


def test_the_packets_of_a_long_capture_are_stored_in_part_and_all_live(seen: Capture) -> None:
    first, count = seen.sightings[0], 4096
    output = packet_view([replace(first, message=replace(first.message, id=number)) for number in range(count)])
    stored = json.dumps({"text/html": output.html, "text/plain": output.text}, ensure_ascii=False)
    assert len(stored.encode()) < 100_000
    for words in (output.html, output.text):
        assert f"… and {count - MOST_LISTED:,} more packets" in words
        assert f"{MOST_LISTED}. query at" in words and f"{MOST_LISTED + 1}. query at" not in words
    assert len(output.widget.children[0].options) == count
    assert "more packets" not in packet_view(seen.sightings).text, "a capture of one query is listed whole"


def test_ipywidgets_waits_until_a_widget_is_shown() -> None:
    code = """if True:
        import sys
        from kitlib import ladder, latency_budget, open_lab, packet_view, predict, stepper
        from kitlib.quiz import Quiz
        lab = open_lab("recorded")
        with lab.capture() as seen:
            lab.pod("my-nginx").dig("www.example.com")
        outputs = [ladder(seen.journey()), latency_budget([seen.journey()]), packet_view(seen.sightings),
                   stepper(lab.topology, seen.journey(), seen), predict(Quiz("How many?", "two"))]
        print(*sorted({"ipywidgets", "matplotlib", "resvg_py"} & set(sys.modules)))
        outputs[-1]._repr_mimebundle_()
        print("ipywidgets" in sys.modules)"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines() == ["", "True"]
