"""`make classroom` serves a class: ten learners run 05 and 08 at once, and nothing of theirs is overwritten."""

from __future__ import annotations

import asyncio
import http.cookiejar
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from namespaces import cannot

from conftest import NOTEBOOKS, REPO

pytestmark = pytest.mark.slow
LEARNERS = [f"learner-{number}" for number in range(10)]
OPENED = [path for path in NOTEBOOKS if path.name[:2] in ("05", "08")]
MOST_MIB = 400              # a learner with both notebooks open: 25 of them fit into 10 GiB
PATIENCE = 240              # seconds: twenty kernels that start at once on two cores keep each other waiting


class Hub(NamedTuple):
    """A hub that runs."""

    address: str
    folder: Path
    process: subprocess.Popen

    @property
    def password(self) -> str:
        return (self.folder / "hub" / "password").read_text()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    proxy = REPO / ".venv/node_modules/.bin/configurable-http-proxy"
    if not importlib.util.find_spec("jupyterhub") or not proxy.exists():
        cannot("no JupyterHub here: make classroom-ready")
    with started(tmp_path_factory.mktemp("class")) as hub:
        yield hub


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[Hub]:
    """A hub of its own, as `make classroom` starts it."""
    port, log = free_ports(3), (folder / "log").open("w")
    environment = {**os.environ, "CLASSROOM": str(folder), "PORT": str(port), **settings}
    process = subprocess.Popen([sys.executable, "-m", "jupyterhub", "--config",
                                REPO / "lab-setup/jupyterhub/jupyterhub_config.py"], cwd=folder, env=environment,
                               stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    hub = Hub(f"http://127.0.0.1:{port}", folder, process)
    try:
        until(lambda: is_up(f"{hub.address}/hub/health"), PATIENCE, folder / "log")
        yield hub
    finally:
        process.send_signal(signal.SIGTERM)         # it stops the learners' servers and the proxy, too
        process.wait(PATIENCE)


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        try:
            held = [socket.create_server(("127.0.0.1", port + number)) for number in range(count)]
        except OSError:
            continue
        for each in held:
            each.close()
        return port


def is_up(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def until(is_so, seconds: float, log: Path) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.3)


class Learner:
    """A browser's side of a learner: cookies and the hub's forms."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub, self.name, self.cookies = hub, name, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> bytes:
        request = urllib.request.Request(self.hub.address + path, data, headers)
        with self.opener.open(request, timeout=PATIENCE) as answer:
            return answer.read()

    def cookie(self, path: str) -> str:
        """The XSRF cookie for this path."""
        found = [one.value for one in self.cookies if one.name == "_xsrf" and path.startswith(one.path)]
        return found[-1]

    def log_in(self, password: str) -> None:
        self.ask("/hub/login")
        form = {"username": self.name, "password": password, "_xsrf": self.cookie("/hub/")}
        self.ask("/hub/login?next=/hub/home", urllib.parse.urlencode(form).encode())

    def api(self, path: str, data: object = None) -> dict:
        base = f"/user/{self.name}/"
        body = None if data is None else json.dumps(data).encode()
        return json.loads(self.ask(f"{base}api/{path}", body, **{"X-XSRFToken": self.cookie(base)}) or b"{}")

    def start(self) -> None:
        """Start the learner's server; the page waits until it is up."""
        self.ask("/hub/spawn")
        until(lambda: self.is_started(), PATIENCE, self.hub.folder / "log")

    def is_started(self) -> bool:
        try:
            return b"JupyterLab" in self.ask(f"/user/{self.name}/lab")
        except urllib.error.HTTPError as error:
            assert error.code in (424, 503), error
            return False

    async def open(self, notebook: Path) -> list[str]:
        """Run every cell of a notebook in a kernel of the learner's server; return the errors."""
        stored = await asyncio.to_thread(self.api, f"contents/notebooks/{notebook.name}")
        return await self.run(notebook.name, [cell["source"] for cell in stored["content"]["cells"]
                                              if cell["cell_type"] == "code"])

    async def run(self, name: str, sources: list[str]) -> list[str]:
        """Run this in a new kernel; return the errors."""
        from tornado.httpclient import HTTPRequest
        from tornado.websocket import websocket_connect

        session = await asyncio.to_thread(self.api, "sessions", {
            "path": f"notebooks/{name}", "name": "", "type": "notebook", "kernel": {"name": "python3"}})
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.cookies)
        address = f"{self.hub.address}/user/{self.name}/api/kernels/{session['kernel']['id']}/channels"
        channel = await websocket_connect(HTTPRequest(
            address.replace("http", "ws", 1), headers={"Cookie": cookies}, connect_timeout=PATIENCE,
            request_timeout=PATIENCE))
        errors = [error for source in sources for error in await self.execute(channel, source)]
        channel.close()
        return errors

    async def execute(self, channel, source: str) -> list[str]:
        number, errors = uuid.uuid4().hex, []
        await channel.write_message(json.dumps({
            "channel": "shell", "header": {"msg_id": number, "msg_type": "execute_request", "version": "5.3",
                                           "session": number, "username": self.name, "date": ""},
            "parent_header": {}, "metadata": {}, "content": {"code": source, "silent": False}}))
        while True:
            message = json.loads(await asyncio.wait_for(channel.read_message(), PATIENCE))
            if message["parent_header"].get("msg_id") != number:
                continue
            if message["msg_type"] == "error":
                errors.append(message["content"]["ename"])
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return errors


def mebibytes_of_learners(hub: Hub) -> float:
    """What the servers and kernels of the learners need, a shared page counted once (PSS)."""
    import psutil

    mine = [each for each in psutil.Process(hub.process.pid).children(recursive=True)
            if re.search(r"jupyterhub\.singleuser|ipykernel", " ".join(each.cmdline()))]
    return sum(each.memory_full_info().pss for each in mine) / 2**20


def test_ten_learners_open_two_notebooks_at_once(hub: Hub) -> None:
    async def all_at_once() -> list[list[str]]:
        await asyncio.gather(*(asyncio.to_thread(each.start) for each in learners))
        return await asyncio.gather(*(each.open(notebook) for each in learners for notebook in OPENED))

    learners = [Learner(hub, name) for name in LEARNERS]
    for each in learners:
        each.log_in(hub.password)
    started = time.monotonic()
    assert asyncio.run(all_at_once()) == [[]] * len(learners) * len(OPENED)
    share = mebibytes_of_learners(hub) / len(learners)
    print(f"{len(learners)} learners, {time.monotonic() - started:.0f} s, {share:.0f} MiB a learner")
    assert share < MOST_MIB


def test_without_the_password_nobody_comes_in(hub: Hub) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        Learner(hub, "stranger").log_in("let me in")
    assert error.value.code == 403
    assert (hub.folder / "hub").stat().st_mode & 0o077 == 0


def test_what_a_learner_has_written_is_not_overwritten(hub: Hub) -> None:
    mine = hub.folder / "learners" / "learner-back" / "notebooks" / NOTEBOOKS[0].name
    mine.parent.mkdir(parents=True)
    mine.write_text("my own work")
    learner = Learner(hub, "learner-back")
    learner.log_in(hub.password)
    learner.start()
    assert mine.read_text() == "my own work"
    assert (mine.parent / NOTEBOOKS[1].name).is_file() and (mine.parents[1] / "docs" / "glossary.md").is_file()


def test_a_mistake_in_a_notebook_does_not_take_the_machines_memory(hub: Hub) -> None:
    learner = Learner(hub, "learner-greedy")
    learner.log_in(hub.password)
    learner.start()
    sizes = ["len(bytearray(2**30))", "len(bytearray(5 * 2**30))"]
    assert asyncio.run(learner.run("big.ipynb", sizes)) == ["MemoryError"]


def test_a_server_that_nobody_uses_is_stopped(tmp_path: Path) -> None:
    with started(tmp_path, IDLE="10") as hub:
        learner = Learner(hub, "learner-away")
        learner.log_in(hub.password)
        learner.start()
        until(lambda: not learner.is_started(), 60, tmp_path / "log")
        assert (tmp_path / "learners" / learner.name / "notebooks" / NOTEBOOKS[0].name).is_file()
