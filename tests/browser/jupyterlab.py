"""A JupyterLab of its own for the tests, and what a test does on its page."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

FAULTS = (Path(__file__).parent / "faults.js").read_text(encoding="utf-8")
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]
TRACKER = {"windowingMode": "none"}    # else JupyterLab draws only the cells that are in view
START_S, RUN_MS = 60, 120_000


def chromium() -> str:
    """The browser that is installed on this machine."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "Chromium is not on the PATH: make test-browser installs it, or says how"
    return found


@contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """Serve `folder` with settings of its own (in `home`); gives the address to put a notebook's name into."""
    tracker = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(json.dumps(TRACKER))
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
                        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
                        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    subprocess.run([sys.executable, "-m", "jupyter", "trust", *folder.glob("*.ipynb")], env=env, check=True,
                   stdout=subprocess.DEVNULL)
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}",
               "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
               "--LabApp.expose_app_in_browser=True"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, home / "server.log")
            yield f"http://127.0.0.1:{port}/lab/tree/{{}}?reset&token={token}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


def open_notebook(page, address: str) -> None:
    """Open a notebook with the file browser folded away, and wait for its kernel."""
    page.goto(address)
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=RUN_MS)
    page.evaluate("async () => { await jupyterapp.restored; await jupyterapp.shell.currentWidget.context.ready;"
                  " jupyterapp.shell.collapseLeft(); }")
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'", timeout=RUN_MS)


def run_all(page) -> list[dict]:
    """Clear every output, run every cell, wait until the kernel is idle; gives the cells as they would be stored."""
    page.set_default_timeout(RUN_MS)
    page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
    page.wait_for_timeout(500)    # widgets ask the kernel for their state after the cell is done
    return page.evaluate("() => jupyterapp.shell.currentWidget.context.model.toJSON().cells")


def show(page, width: int, theme: str) -> None:
    """Show the whole notebook at this width, in this theme, without scrolling."""
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {theme}")
    light = "true" if theme == "Light" else "false"
    page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(500)
    content = page.evaluate("() => Math.max(0, ...[...document.querySelectorAll('.jp-WindowedPanel-outer')]"
                            ".map(panel => panel.scrollHeight))")
    page.set_viewport_size({"width": width, "height": min(16_000, int(content) + 200)})
    page.evaluate("() => document.querySelectorAll('.jp-WindowedPanel-outer').forEach(panel => panel.scrollTop = 0)")
    page.wait_for_timeout(500)


def drop(page, files: dict[str, str]) -> None:
    """Drag files of this machine over the widget that takes them, and let go."""
    data = page.evaluate_handle("""files => { const data = new DataTransfer();
        for (const [name, text] of Object.entries(files)) data.items.add(new File([text], name));
        return data; }""", files)
    page.locator(".kit-widget:has(> .widget-upload)").first.dispatch_event("drop", {"dataTransfer": data})
