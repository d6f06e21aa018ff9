"""A notebook exported by nbconvert has nothing in it, by axe-core, that keeps a reader out and is the kit's own."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from nbconvert import HTMLExporter
from playwright.sync_api import Browser

# What is nbconvert's own: the colours of its prompts, of code and of links.
NOT_OURS = [[".jp-InputPrompt"], [".jp-OutputPrompt"], [".highlight"]]
LINK_COLOURS = {"rules": {"link-in-text-block": {"enabled": False}}}


def test_axe_finds_nothing(stored: Path, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(HTMLExporter().from_filename(str(stored))[0], encoding="utf-8")
    page = browser.new_page()        # the page asks for MathJax, which it does not need
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")
    found = Axe().run(page, context={"exclude": NOT_OURS}, options=LINK_COLOURS).response["violations"]
    assert not [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
    page.close()
