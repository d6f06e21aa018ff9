"""The book: every notebook a page, found by search, readable on a phone, with a link that runs it in a browser tab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from conftest import NOTEBOOKS

THEMES = [["dialog"], [".highlight"], [".header-article"], [".bd-header"]]        # the theme's own parts


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page that notes every request which leaves the book."""
    page = browser.new_page()
    page.outside = []
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or page.outside.append(request.url))
    yield page
    page.close()


def test_a_page_reads_on_a_phone_and_runs_in_a_tab(stored: Path, book: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((book / "notebooks" / stored.with_suffix(".html").name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not [image for image in page.locator("main img").all() if len(image.get_attribute("alt") or "") < 20]
    link = page.get_by_role("link", name="Run this page in your browser").get_attribute("href")
    shown, _, opened = link.removeprefix("../").partition("?path=")
    assert (book / shown).is_file() and (book / "browser" / "files" / opened).is_file()
    assert not page.outside


@pytest.mark.parametrize("word", ["conntrack", "KUBE-SERVICES"])
def test_search_finds_a_word_of_the_trade(word: str, book: Path, page: Page) -> None:
    page.goto((book / "search.html").as_uri() + f"?q={word}")
    page.wait_for_selector("ul.search li")
    assert page.locator("ul.search li").count() >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_of_the_books_own(scheme: str, book: Path, page: Page) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto((book / "notebooks" / NOTEBOOKS[5].with_suffix(".html").name).as_uri())
    found = Axe().run(page, context={"exclude": THEMES}).response["violations"]
    assert not [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
