"""The ladder shows each hop of a journey in order, each rewrite and no other, and every word fits on the page."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.drawings.ladder import ladder, moment
from kitlib.drawings.ladder_words import rows
from kitlib.drawings.svg import ACCENT, FOCUS, width
from kitlib.errors import KitError
from kitlib.journey.model import Hop, Journey, Leg, Rewrite
from kitlib.lab import open_lab
from kitlib.sighting import Message, Question, Record, Sighting, Socket, VantagePoint

LAB = open_lab("recorded")
POD, COREDNS = LAB.pod("my-nginx"), LAB.coredns[1]
POINTS = {"pod": POD.eth0, "veth": POD.veth, "eth0": POD.node.eth0, "bridge": LAB.host.bridge,
          "cp-eth0": COREDNS.node.eth0, "cp-veth": COREDNS.veth, "coredns": COREDNS.eth0}

# A recorded `dig www.example.com`: leg, µs since the first packet, vantage point, source, destination, TTL, DNS id.
TAKE = """
0 0    pod     10.244.2.3:43966  10.96.0.10:53     64 61144
0 10   veth    10.244.2.3:43966  10.96.0.10:53     64 61144
0 60   eth0    10.244.2.3:43966  10.244.0.3:53     63 61144
0 92   bridge  10.244.2.3:43966  10.244.0.3:53     63 61144
0 96   cp-eth0 10.244.2.3:43966  10.244.0.3:53     63 61144
0 124  cp-veth 10.244.2.3:43966  10.244.0.3:53     62 61144
0 129  coredns 10.244.2.3:43966  10.244.0.3:53     62 61144
1 665  coredns 10.244.0.3:41619  172.20.0.1:53     64 61061
1 670  cp-veth 10.244.0.3:41619  172.20.0.1:53     64 61061
2 1112 cp-eth0 172.20.0.2:34926  172.20.0.53:53    64 61061
2 1139 bridge  172.20.0.2:34926  172.20.0.53:53    64 61061
2 1900 bridge  172.20.0.53:53    172.20.0.2:34926  64 61061
2 1904 cp-eth0 172.20.0.53:53    172.20.0.2:34926  64 61061
1 3956 cp-veth 172.20.0.1:53     10.244.0.3:41619  64 61061
1 3967 coredns 172.20.0.1:53     10.244.0.3:41619  64 61061
0 4283 coredns 10.244.0.3:53     10.244.2.3:43966  64 61144
0 4291 cp-veth 10.244.0.3:53     10.244.2.3:43966  64 61144
0 4311 cp-eth0 10.244.0.3:53     10.244.2.3:43966  63 61144
0 4331 bridge  10.244.0.3:53     10.244.2.3:43966  63 61144
0 4337 eth0    10.244.0.3:53     10.244.2.3:43966  63 61144
0 4358 veth    10.96.0.10:53     10.244.2.3:43966  62 61144
0 4363 pod     10.96.0.10:53     10.244.2.3:43966  62 61144
"""


def socket(words: str) -> Socket:
    address, _, port = words.rpartition(":")
    return Socket(address, int(port))


def journey(take: str = TAKE, points: dict[str, VantagePoint] = POINTS, name: str = "www.example.com.",
            ambiguous: tuple[str, ...] = ()) -> Journey:
    """The journey of a table like TAKE; a rewrite is an end that differs from the row before of leg and direction."""
    legs: dict[int, list[Hop]] = {}
    before: dict[tuple, Sighting] = {}
    previous = None
    asked, answer = Question(name, "A"), Record(name, "A", 30, "93.184.216.34")
    attempts: dict[tuple, int] = {}
    for row in take.strip().splitlines():
        leg, at, place, source, destination, ttl, dns_id = row.split()
        back = source.endswith(":53")
        message = Message(int(dns_id), ("qr", "rd", "ra") if back else ("rd",), "QUERY", "NOERROR", (asked,),
                          (answer,) if back else ())
        seen = Sighting(points[place], 1_763_889_385_421_828_000 + int(at) * 1000, "UDP", socket(source),
                        socket(destination), int(ttl), 1, message)
        attempts[leg, back, place] = attempt = attempts.get((leg, back, place), 0) + 1
        last = before.get((leg, back, attempt), seen)
        pairs = (("source", last.source, seen.source), ("destination", last.destination, seen.destination))
        rewrites = tuple(Rewrite(*pair) for pair in pairs if pair[1] != pair[2])
        gap = None if previous is None else seen.time_ns - previous
        legs.setdefault(int(leg), []).append(Hop(seen, rewrites, gap, attempt))
        before[leg, back, attempt], previous = seen, seen.time_ns
    return Journey(tuple(Leg(tuple(hops), None if i == 0 else i - 1) for i, hops in sorted(legs.items())), ambiguous)


WORD = st.text(st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x24F), min_size=1, max_size=30)


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """Any number of lanes, long names, a rewrite somewhere, a second attempt, an upstream leg, answered or not."""
    count = draw(st.integers(1, 12))
    machines = sorted(draw(st.lists(WORD, min_size=1, max_size=3)))
    points = {}
    for i in range(count):
        interface = draw(st.sampled_from(("eth0", "veth4b6923b0", "br-13ebef48a9f1")))
        machine = machines[i * len(machines) // count]
        kind = draw(st.sampled_from(("pod", "node", "host", "coredns", "upstream", "container")))
        points[f"p{i}"] = VantagePoint(f"place:{i}", interface, machine, kind, f"{draw(WORD)} {interface}")
    labels, at = list(points), 0
    change, reach = draw(st.integers(0, count)), draw(st.integers(1, count))
    lines = []

    def pass_by(leg: int, names: list[str], back: bool, client: str, dns_id: int) -> None:
        nonlocal at
        for name in names:
            at += draw(st.integers(0, 4_000_000))
            server = f"10.96.0.{10 if labels.index(name) < change else 11}:53"
            ends = (server, client) if back else (client, server)
            lines.append(f"{leg} {at} {name} {ends[0]} {ends[1]} {draw(st.integers(1, 255))} {dns_id}")

    for _ in range(draw(st.integers(1, 2))):
        pass_by(0, labels[:reach], False, "10.244.2.3:43966", 61144)
    if draw(st.booleans()):
        pass_by(1, labels[reach - 1:], False, "10.244.0.3:41619", 61061)
        if draw(st.booleans()):
            pass_by(1, labels[reach - 1:][::-1], True, "10.244.0.3:41619", 61061)
    if draw(st.booleans()):
        pass_by(0, labels[draw(st.integers(0, reach - 1)):reach][::-1], True, "10.244.2.3:43966", 61144)
    name = ".".join(draw(st.lists(WORD, min_size=1, max_size=7))) + "."
    return journey("\n".join(lines), points, name, tuple(draw(st.lists(WORD, max_size=2))))


def words_in(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Each text of the picture with its box: words, left, top, right, bottom."""
    found = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        size = float(element.get("font-size"))
        wide = width(element.text, size, element.get("font-weight") == "bold")
        x = float(element.get("x", 0)) - wide * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        y = float(element.get("y"))
        found.append((element.text, x, y - 0.76 * size, x + wide, y + 0.24 * size))
    return found


def assert_fits(svg: str) -> None:
    """Well-formed, nothing off the page, no text on text, none hidden by what is drawn after it, none too small."""
    root = ElementTree.fromstring(svg)
    wide, high = (float(root.get(side)) for side in ("width", "height"))
    words = words_in(svg)
    assert words and all(x >= 0 and y >= 0 and r <= wide and b <= high for _, x, y, r, b in words)
    assert all(float(size) >= 12 for size in re.findall(r'font-size="([\d.]+)"', svg))
    for one, other in combinations(words, 2):
        assert not _meet(one[1:], other[1:]), f"{one} lies on {other}"
    drawn = list(root)
    texts = [(i, box) for i, box in zip((i for i, e in enumerate(drawn) if e.tag.endswith("text")), words, strict=True)]
    for i, element in enumerate(drawn):
        if element.tag.endswith("rect"):
            x, y, w, h = (float(element.get(side, 0)) for side in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and x + w <= wide and y + h <= high
            hidden = [box[0] for before, box in texts if before < i and _meet(box[1:], (x, y, x + w, y + h))]
            assert not hidden, f"{hidden} hidden by {element.attrib}"


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    slack = 0.2      # coordinates are written with one decimal
    return (one[0] < other[2] - slack and other[0] < one[2] - slack and one[1] < other[3] - slack
            and other[1] < one[3] - slack)


@settings(max_examples=60)
@given(journeys())
def test_any_ladder_fits_its_page(generated: Journey) -> None:
    drawn = ladder(generated)
    assert_fits(drawn.svg)
    assert drawn.svg.count("<polygon") == drawn.mermaid.count(">>"), "as many arrows in the picture as in Mermaid"
    assert drawn.svg.count(ACCENT) == sum(bool(hop.rewrites) for leg in generated.legs for hop in leg.hops)


@settings(max_examples=30)
@given(journeys(), st.data())
def test_any_moment_of_any_ladder_fits_its_page_and_frames_one_row(generated: Journey, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(generated.hops) - 1))
    drawn = moment(generated, index, 540)
    assert_fits(drawn.svg)
    assert drawn.svg.count(f'stroke="{FOCUS}"') == 1
    window = rows(generated)[max(0, index - 1):index + 1]
    assert drawn.svg.count(ACCENT) == sum(bool(row.hop.rewrites) for row in window)
    assert drawn.title.startswith(f"Step {index + 1} of {len(generated.hops)}: ") and f"{index + 1}. " in drawn.alt


def test_the_recorded_ladder_fits_a_page_of_760_px() -> None:
    drawn = ladder(journey())
    assert_fits(drawn.svg)
    assert 'width="760"' in drawn.svg
    eight = {**POINTS, "upstream": VantagePoint("container:upstream", "eth0", "upstream", "upstream", "upstream eth0")}
    more = TAKE.replace("2 1900", "2 1500 upstream 172.20.0.2:34926 172.20.0.53:53 64 61061\n2 1900")
    assert ">veth4b6923b0<" in ladder(journey(more, eight)).svg, "a page of more lanes is wider: it breaks no name"
    assert_fits(ladder(journey(more, eight)).svg)


def test_text_lists_every_hop_in_order_of_time() -> None:
    seen = [line.split()[0] for line in ladder(journey()).text.splitlines() if re.match(r" *[\d,]+  ", line)]
    assert [int(at.replace(",", "")) for at in seen] == [int(row.split()[1]) for row in TAKE.strip().splitlines()]


def test_lanes_stand_in_the_order_of_the_query_under_their_machines() -> None:
    drawn = ladder(journey())
    participants = re.findall(r"participant p\d+ as (.+)", drawn.mermaid)
    assert participants == [POINTS[label].title for label in POINTS]
    x = {words: (left + right) / 2 for words, left, _, right, _ in words_in(drawn.svg)}
    assert x["my-nginx"] < x["veth4b6923b0"] < x[COREDNS.veth.interface] < x["coredns"]
    assert x["my-nginx"] < x["control-plane"]


def test_arrows_go_from_lane_to_lane_and_back_dashed() -> None:
    svg = ladder(journey()).svg
    lanes = [POINTS[label] for label in POINTS]
    columns = sorted({float(x) for x in re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="\1" y2="[\d.]+" '
                                                   r'stroke="#9AA3AF"', svg)})
    assert len(columns) == len(lanes)
    tips = [float(x) for x in re.findall(r'<polygon points="([\d.]+),', svg)]
    ways = [row.split()[2] for row in TAKE.strip().splitlines()]
    starts = {0, 7, 9, 11, 13, 15}               # the first row of each leg and direction
    places = list(POINTS)
    expected = [columns[places.index(way)] for i, way in enumerate(ways) if i not in starts]
    assert tips == pytest.approx(expected, abs=0.11)
    arrows = re.findall(r'<line [^>]*stroke-width="1\.6"[^>]*>', svg)
    assert [("dasharray" in arrow) for arrow in arrows] == [i > 10 for i in range(len(ways)) if i not in starts]


def test_a_rewrite_is_said_in_words_where_it_happened() -> None:
    drawn, own = ladder(journey()), "\n".join(row for row in TAKE.strip().splitlines() if row.startswith("0"))
    assert ladder(journey(own)).title == "worker3 rewrites the destination 10.96.0.10:53 → 10.244.0.3:53"
    for told in (drawn.text, drawn.alt):
        assert "destination rewritten (DNAT)" in told and "source rewritten (DNAT undone)" in told
    line = next(line for line in drawn.text.splitlines() if "(DNAT)" in line)
    assert "worker3 eth0" in line and "10.96.0.10:53 → 10.244.0.3:53" in line
    words = [entry[0] for entry in words_in(drawn.svg)]
    assert words[words.index("destination rewritten (DNAT)") + 1] == "10.96.0.10:53 → 10.244.0.3:53"
    assert drawn.svg.count(ACCENT) == 2


def test_without_a_rewrite_there_is_no_accent() -> None:
    drawn = ladder(journey(TAKE.replace("10.96.0.10", "10.244.0.3")))
    assert ACCENT not in drawn.svg and "rewritten" not in drawn.svg + drawn.text + drawn.mermaid


def test_source_nat_is_named_too() -> None:
    masked = "\n".join(row.replace("10.244.2.3:43966", "172.20.0.4:1024") if int(row.split()[1]) in range(60, 4340)
                       and row.startswith("0") else row for row in TAKE.strip().splitlines())
    drawn = ladder(journey(masked))
    assert "source rewritten (SNAT): 10.244.2.3:43966 → 172.20.0.4:1024" in drawn.text
    assert "destination rewritten (SNAT undone): 172.20.0.4:1024 → 10.244.2.3:43966" in drawn.text
    assert_fits(drawn.svg)


def test_another_address_makes_another_picture() -> None:
    drawn, other = ladder(journey()), ladder(journey(TAKE.replace("10.96.0.10", "10.96.0.11")))
    for one, two in ((drawn.svg, other.svg), (drawn.text, other.text), (drawn.mermaid, other.mermaid)):
        assert "10.96.0.10" in one and "10.96.0.10" not in two and "10.96.0.11" in two


def test_the_upstream_leg_stands_apart_with_its_cause() -> None:
    drawn = ladder(journey())
    words = [entry[0] for entry in words_in(drawn.svg)]
    assert f"Leg 2, because of leg 1: from {COREDNS.eth0.title} · UDP · DNS id 61061" in words
    assert "Leg 3, because of leg 2: from control-plane eth0 · UDP · DNS id 61061" in drawn.text
    assert "Leg 1, the way back · DNS id 61144" in drawn.mermaid


def test_the_title_says_that_others_were_asked_and_what_came_of_it() -> None:
    assert ladder(journey()).title == "One query, three legs: CoreDNS did not know the answer and asked another server"
    whole = journey()
    failed = [replace(hop, sighting=replace(hop.sighting, message=replace(hop.sighting.message, rcode="SERVFAIL")))
              for hop in whole.client_leg.hops]
    client, own = replace(whole.client_leg, hops=tuple(failed)), whole.legs[1]
    silent = replace(own, hops=own.queries)
    title = "SERVFAIL, although CoreDNS asked another server: one query, two legs"
    assert ladder(Journey((client, own))).title == title
    assert ladder(Journey((client, silent))).title == "SERVFAIL: CoreDNS asked once, nobody answered"
    assert ladder(Journey((client, *[silent] * 3))).title == "SERVFAIL: CoreDNS asked three times, nobody answered"


def test_an_unanswered_query_says_how_far_it_came() -> None:
    lost = "\n".join(TAKE.strip().splitlines()[:4])
    again = "0 5000000 pod 10.244.2.3:43966 10.96.0.10:53 64 61144"
    drawn = ladder(journey(f"{lost}\n{again}"))
    assert "attempt 2" in drawn.text and "attempt 2" in drawn.svg
    assert drawn.title == ("No response: the query was last seen at host br-13ebef48a9f1 (attempt 1), "
                           "my-nginx eth0 (attempt 2)")
    assert "no response seen; the query was last seen at" in drawn.svg
    assert ladder(journey(lost)).title == "No response: the query was last seen at host br-13ebef48a9f1"


def test_a_response_that_got_lost_says_where() -> None:
    drawn = ladder(journey("\n".join(TAKE.strip().splitlines()[:-3])))
    assert "Leg 1: the response was last seen at host br-13ebef48a9f1, it did not show at my-nginx eth0" in drawn.text
    assert "the response was last seen at" in drawn.svg


def test_what_is_ambiguous_is_said() -> None:
    drawn = ladder(journey(ambiguous=("two queries look alike",)))
    for told in (drawn.svg, drawn.text, drawn.alt, drawn.mermaid):
        assert "Not decided: two queries look alike" in told


def test_mermaid_cannot_be_broken_by_a_name() -> None:
    assert "query A a#59;b#35;c." in ladder(journey(name="a;b#c.")).mermaid


def test_a_sighting_without_a_vantage_point_cannot_be_drawn() -> None:
    first = journey().legs[0].hops[0]
    lost = replace(first, sighting=replace(first.sighting, point=None))
    with pytest.raises(KitError, match="vantage point"):
        ladder(Journey((Leg((lost,)),)))
    with pytest.raises(KitError, match="nothing to draw"):
        ladder(Journey((Leg(()),)))
