"""A drawing is SVG in HTML, text, and files; always the same bytes, always with its words; tables likewise."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_drawings_ladder_tells_the_journey import journey
from test_drawings_topology_shows_the_lab import REAL

from conftest import pictures
from kitlib import draw_search_list, draw_topology, ladder, table
from kitlib.drawings.drawing import Drawing, png
from kitlib.drawings.svg import Page, text, width, wrap
from kitlib.errors import KitError
from kitlib.result import Result
from kitlib.search_list import Candidate

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = {"ladder": lambda: ladder(journey()), "topology": lambda: draw_topology(REAL)}


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_a_picture_comes_out_the_same_each_time(make, tmp_path: Path) -> None:
    one, two = make(), make()
    assert one == two and one.html == two.html
    assert one.save(tmp_path / "a.png").read_bytes() == two.save(tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_named_and_described(make) -> None:
    drawn: Drawing = make()
    bundle = drawn._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"} and bundle["text/plain"] == repr(drawn) == drawn.text
    holder = ElementTree.fromstring(bundle["text/html"])
    image, picture = holder.find("img"), ElementTree.fromstring(drawn.svg)
    assert holder.get("class") == "kit-drawing" and "overflow-x:auto" in holder.get("style")
    assert image.get("alt") == f"{drawn.title}. {drawn.alt}" and picture.get("role") == "img"
    assert (image.get("width"), image.get("height")) == (picture.get("width"), picture.get("height"))
    assert picture.find(f"{SVG}title").text == drawn.title and picture.find(f"{SVG}desc").text == drawn.alt
    assert len(drawn.alt) > 80 and drawn.title in drawn.text


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_a_picture_in_a_notebook_is_an_image_that_no_sanitiser_takes_apart(make) -> None:
    """A notebook that is not trusted drops SVG in its HTML and keeps the words of it, ten lines of them in a row."""
    drawn: Drawing = make()
    assert "<svg" not in drawn.html and " on" not in re.sub('"[^"]*"', "", drawn.html)
    drawn_marks, shown_marks = ([element.attrib for element in ElementTree.fromstring(svg).iter() if element.attrib]
                                for svg in (drawn.svg, *pictures(drawn.html)))
    assert shown_marks == drawn_marks and len(shown_marks) > 10


def test_each_suffix_writes_its_format(tmp_path: Path) -> None:
    drawn = ladder(journey())
    assert drawn.save(tmp_path / "x.svg").read_text(encoding="utf-8") == drawn.svg
    assert drawn.save(tmp_path / "x.txt").read_text(encoding="utf-8") == drawn.text + "\n"
    assert drawn.save(str(tmp_path / "x.mmd")).read_text(encoding="utf-8").startswith("sequenceDiagram\n")
    assert drawn.save(tmp_path / "x.PNG").read_bytes().startswith(b"\x89PNG\r\n")
    with pytest.raises(KitError, match=r"x\.pdf.*\.svg, \.png, \.txt, \.mmd"):
        drawn.save(tmp_path / "x.pdf")
    with pytest.raises(KitError, match=r"\.svg, \.png, \.txt$"):
        draw_topology(REAL).save(tmp_path / "x.mmd")


def test_the_png_shows_text_with_fonts_of_its_own() -> None:
    blank, page = Page(200, 40), Page(200, 40, marks=[text(10, 20, "10.96.0.10")])
    assert png(page.finish("t", "a")) != png(blank.finish("t", "a"))


@pytest.mark.parametrize("missing", ["resvg_py", "matplotlib"])
def test_where_no_png_can_be_drawn_the_svg_is_offered(missing: str, monkeypatch: pytest.MonkeyPatch,
                                                      tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(KitError, match=f"{missing}: save the picture as .svg"):
        draw_topology(REAL).save(tmp_path / "x.png")
    assert draw_topology(REAL).save(tmp_path / "x.svg").exists() and not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_never_wider_than_measured(bold: bool) -> None:
    import matplotlib  # late: it is large, and every worker reads this file
    from matplotlib.ft2font import FT2Font

    font = FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf")
    font.set_size(100, 72)
    for character in [*map(chr, range(32, 127)), *map(chr, range(161, 592)), *"→←·µ—…●◀×"]:
        advance = font.load_char(ord(character)).linearHoriAdvance / 65536       # px at a size of 100 px
        assert advance <= width(character, 100, bold) + 0.5, character


def test_wrapping_keeps_every_character_and_the_limit() -> None:
    words = "kind-test1-control-plane veth4b6923b0 " + "x" * 70
    for limit in (40, 90, 200):
        lines = wrap(words, limit)
        assert "".join(lines).replace(" ", "") == words.replace(" ", "")
        assert all(width(line) <= limit + 0.1 for line in lines)
    assert wrap("br-13ebef48a9f1", 92) == ["br-", "13ebef48a9f1"]


def test_names_from_the_network_cannot_break_the_picture() -> None:
    drawn = ladder(journey(name="<script>&\x00'\"."))
    ElementTree.fromstring(drawn.svg)
    assert "<script>&" in ElementTree.fromstring(drawn.html).find("img").get("alt")
    assert "<script>" not in drawn.html and "&lt;script&gt;&amp;" in drawn.svg


@dataclass(frozen=True)
class Route:
    to: str
    via: str | None
    flags: tuple[str, ...]
    is_default: bool


ROUTES = [Route("10.244.0.0/24", "172.20.0.2", ("onlink", "x<y"), False), Route("default", None, (), True)]


def test_a_table_shows_every_field_aligned() -> None:
    shown = table(ROUTES, title="Routes")
    assert shown.text.splitlines() == [
        "Routes",
        "to             via         flags        is default",
        "──────────────────────────────────────────────────",
        "10.244.0.0/24  172.20.0.2  onlink, x<y  no",
        "default        –                        yes"]
    page = ElementTree.fromstring(shown.html)
    assert [cell.text for cell in page.iter("th")] == ["to", "via", "flags", "is default"]
    assert all(cell.get("scope") == "col" for cell in page.iter("th")) and page.find(".//caption").text == "Routes"
    assert [cell.text for cell in page.iter("td")][2] == "onlink, x<y"
    assert shown._repr_mimebundle_() == {"text/html": shown.html, "text/plain": repr(shown)}


def test_a_table_takes_dicts_and_chosen_columns_and_nothing_else() -> None:
    assert table([{"a": 1, "b": 2}, {"a": 3}], columns=["b", "a"]).rows == (("2", "1"), ("–", "3"))
    assert "(none)" in table([], columns=["a"]).text and "(none)" in table([], columns=["a"]).html
    with pytest.raises(KitError, match="no column c: these rows have a, b"):
        table([{"a": 1, "b": 2}], columns=["c"])
    with pytest.raises(KitError, match="a dataclass or a dict, not int"):
        table([1])


def test_a_rule_breaks_only_before_its_options() -> None:
    rule = '-A KUBE-SEP ! -s 10.244.0.3/32 -m statistic --mode random --probability 0.5 -j DNAT --to-destination x:53'
    whole = re.findall("<span [^>]*nowrap[^>]*>([^<]*)</span>", table([{"rule": rule}]).html)
    assert whole == ["-A KUBE-SEP", "! -s 10.244.0.3/32", "-m statistic", "--mode random", "--probability 0.5",
                     "-j DNAT", "--to-destination x:53"] and " ".join(whole) == rule


def test_command_output_scrolls_sideways_and_is_no_markup() -> None:
    bundle = Result("cat <x>", ("cat",), 0, "a" * 300 + "<b>\n")._repr_mimebundle_()
    page = ElementTree.fromstring(bundle["text/html"])
    assert page.text == bundle["text/plain"] and not list(page)
    assert "overflow-x:auto" in page.get("style") and "white-space:pre;" in page.get("style")


def test_the_search_list_is_numbered_in_order() -> None:
    shown = draw_search_list([Candidate("a.svc.", "svc", "search list: svc"), Candidate("a.", "", "as it is")], "Asked")
    assert [row[:2] for row in shown.rows] == [("1", "a.svc."), ("2", "a.")]
    assert "(none)" in draw_search_list([], "Asked").text
