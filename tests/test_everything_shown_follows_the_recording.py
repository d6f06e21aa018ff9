"""Nothing is hard-coded: with another address in the recording, every text, table and picture shows that one."""

from __future__ import annotations

import ast
import json
import re
import shutil

import pytest

from conftest import NOTEBOOKS, REPO
from kitlib import lab as lab_module

OLD, NEW = "10.244.2.3", "10.244.2.9"      # my-nginx
OLD_ANSWER, NEW_ANSWER = "93.184.216.34", "93.184.216.99"


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the recordings in which the pod and the answer have other addresses, in text and in packets."""
    copy = tmp_path_factory.mktemp("recordings") / "recordings"
    shutil.copytree(REPO / "kitlib/recordings", copy)
    for file in copy.rglob("*"):
        if file.suffix in (".json", ".jsonl"):
            text = re.sub(rf"(?<![\d.]){re.escape(OLD)}(?!\.?\d)", NEW, file.read_text(encoding="utf-8"))
            file.write_text(text.replace(OLD_ANSWER, NEW_ANSWER), encoding="utf-8")
        elif file.suffix == ".pcapng":
            file.write_bytes(file.read_bytes().replace(packed(OLD), packed(NEW))
                             .replace(packed(OLD_ANSWER), packed(NEW_ANSWER)))
    return copy


def packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


def shown_by(notebook) -> str:
    """Everything that the code cells of a notebook show: text, HTML, Markdown."""
    names: dict = {}
    shown = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            body = ast.parse("".join(cell["source"])).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), notebook.name, "exec"), names)
            if last:
                shown += shapes(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names))
    return "\n".join(shown)


def shapes(value) -> list[str]:
    """A value as text, and as HTML or Markdown where it has them."""
    bundle = getattr(value, "_repr_mimebundle_", dict)()
    rich = [getattr(value, name)() for name in ("_repr_html_", "_repr_markdown_") if hasattr(value, name)]
    return [repr(value), *(text for text in bundle.values() if isinstance(text, str)), *filter(None, rich)]


def test_every_notebook_shows_the_changed_addresses_and_never_the_old_ones(changed, monkeypatch):
    monkeypatch.setattr(lab_module, "RECORDINGS", changed)
    for notebook in NOTEBOOKS:
        shown = shown_by(notebook)
        assert not re.search(rf"(?<![\d.]){re.escape(OLD)}(?!\.?\d)", shown), notebook.name
        assert OLD_ANSWER not in shown, notebook.name
        assert NEW in shown or NEW_ANSWER in shown, notebook.name


def test_the_words_of_the_notebooks_hold_no_address_of_the_recording():
    for notebook in NOTEBOOKS:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        words = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        named = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", words))
        assert named <= {"10.96.0.10"}, notebook.name      # in a command that one can try
