"""The browser edition: every notebook gives there what is stored, in a tab that asks nobody but its own site."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from jupyterlab import drop
from playwright.sync_api import Browser, Page

from conftest import NOTEBOOKS, REPO

HERE = REPO / "lab-setup" / "browser"
SITE_MB, FIRST_LOAD_MB, FIRST_PICTURE_S, RUN_MS = 50, 17, 12, 120_000
OPENED = ("00", "05", "08", "11")
PACKED = {".js", ".mjs", ".json", ".wasm", ".css", ".html", ".ipynb", ".svg", ".zip", ".whl"}


@pytest.fixture(scope="session")
def site(book: Path) -> Path:
    """The edition as it lies beside the book."""
    return book / "browser"


def node(site: Path, *notebooks: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", HERE / "check.mjs", site, *notebooks], capture_output=True, text=True, timeout=300,
                          check=False)


def test_every_notebook_gives_what_is_stored(site: Path) -> None:
    ran = node(site, *NOTEBOOKS, *sorted((REPO / "notebooks" / "solutions").glob("*.ipynb")))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_changed_output_is_noticed(site: Path, tmp_path: Path) -> None:
    notebook = json.loads(next(path for path in NOTEBOOKS if path.name.startswith("05")).read_text())
    shown = [output for cell in notebook["cells"] for output in cell.get("outputs", ()) if "data" in output]
    shown[0]["data"]["text/plain"] = ["something else"]
    (tmp_path / "changed.ipynb").write_text(json.dumps(notebook))
    ran = node(site, tmp_path / "changed.ipynb")
    assert ran.returncode == 1 and "something else" in ran.stdout


def test_the_site_is_small(site: Path) -> None:
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) < SITE_MB * 1e6


class Counted(http.server.SimpleHTTPRequestHandler):
    """Serves the site and counts what a host that compresses would send."""

    sent: ClassVar[set[str]] = set()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""
        self.sent.add(self.translate_path(self.path))


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The site on the loopback address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counted, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(address: str, browser: Browser) -> Iterator[Page]:
    """A fresh page, with nothing in its store, that notes every request which leaves the site."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(RUN_MS)
    page.outside = []
    page.on("request", lambda request: request.url.startswith((address, "data:", "blob:"))
            or page.outside.append(request.url))
    yield page
    page.close()


@pytest.mark.parametrize("number", OPENED)
def test_a_notebook_runs_in_a_tab(address: str, page: Page, number: str) -> None:
    [name] = [path.name for path in NOTEBOOKS if path.name.startswith(number)]
    started = time.monotonic()
    page.goto(f"{address}/lab/index.html?path=notebooks/{name}")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel")
    page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".jp-OutputArea-output .kit-drawing img")
    first_picture = time.monotonic() - started
    page.wait_for_function("""() => jupyterapp.shell.currentWidget.content.widgets.every(
        cell => cell.model.type !== 'code' || !cell.model.sharedModel.source || cell.model.executionCount)""")
    errors = page.evaluate("""() => jupyterapp.shell.currentWidget.context.model.toJSON().cells
        .flatMap(cell => cell.outputs ?? []).filter(output => output.output_type === 'error')""")
    assert not errors and not page.outside
    print(f"{name}: first picture after {first_picture:.1f} s")
    assert first_picture < FIRST_PICTURE_S or os.getloadavg()[0] > os.cpu_count(), "too slow for a machine at rest"
    if number == "05":
        radio = page.locator("input[type=radio]").first
        radio.check()
        assert radio.is_checked()
    if number == "11":
        _upload(page, {"my-own@node7_resolv.conf": b"search my.own.domain\noptions ndots:5\n"})
        page.wait_for_selector("text=search list: my.own.domain")
        _upload(page, {"node7_eth0.pcap": b"no capture"})
        page.wait_for_selector("text=node7_eth0.pcap): expected a capture")
        drop(page, {"my-own@node7_resolv.conf": "nameserver 10.0.0.1\nsearch dropped.domain\n"})
        page.wait_for_selector("text=search list: dropped.domain")
        assert not page.outside


def _upload(page: Page, files: dict[str, bytes]) -> None:
    """Choose files by the first button of the page."""
    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="Choose files").first.click()
    chooser.value.set_files([{"name": name, "mimeType": "text/plain", "buffer": data} for name, data in files.items()])


def test_the_first_load_is_small(address: str) -> None:
    """Runs after notebooks were opened, and counts them all; a host compresses these kinds of files."""
    files = [Path(file) for file in Counted.sent if Path(file).is_file()]
    assert files, "no notebook was opened before"
    size = sum(len(gzip.compress(file.read_bytes(), 6)) if file.suffix in PACKED else file.stat().st_size
               for file in files) / 1e6
    print(f"{len(files)} files, {size:.1f} MB compressed")
    assert size < FIRST_LOAD_MB
