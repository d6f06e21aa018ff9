"""A cell that needs what this lab has not says so in one calm sentence, with how to make it, and the rest runs."""

from __future__ import annotations

import IPython
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from kitlib import lacking, open_lab
from kitlib.errors import NotRecorded

MAKE_IT = "To make it: kubectl apply -f lab-setup/kind/workload.yaml"


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run a cell as a notebook does: return whether it ended well, and what it printed."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    monkeypatch.setattr(shell, "compile", type("Compiler", (type(shell.compile),), {
        "get_code_name": lambda self, *_: "/tmp/ipykernel_1/1.py"})())
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setattr(lacking, "_not_made", set())

    def run(code: str) -> tuple[bool, str]:
        result = shell.run_cell(code)
        return result.success, capsys.readouterr().out.strip()

    lacking.explain_what_is_lacking()
    lacking.explain_what_is_lacking()
    shell.user_ns["lab"] = open_lab()
    return run


@pytest.mark.parametrize("code, words", [
    ("other = lab.pod('neighbour-2')", "There is no pod 'neighbour-2'. There are: "),
    ("other = lab.container('nobody')", "There is no container 'nobody'. There are: "),
    ("with lab.capture(lab.nodes[0].at('nosuch0')) as other: lab.client.dig('www.example.com')",
     "No capture was recorded at control-plane nosuch0. Recorded were: "),
    ("other = lab.client.run('nslookup', 'x')", "This was not recorded:"),
])
def test_what_is_not_there_is_told_and_what_builds_on_it_says_so(cell, code: str, words: str) -> None:
    assert cell("other = 1") == (True, "")
    ended_well, said = cell(code)
    assert ended_well and said.startswith(f"{lacking.NOTHING_TO_SHOW} {words}")
    assert cell("other") == (True, "This cell needs `other`, which a cell above could not make on this lab.")
    assert cell("print(1)") == (True, "1")


def test_the_walkthroughs_own_is_told_with_how_to_make_it(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(open_lab()), "every_pod", ())
    said = cell("lab.pod('neighbour')")[1]
    assert said == f"{lacking.NOTHING_TO_SHOW} There is no pod 'neighbour'. There are: none. {MAKE_IT}"
    assert "KITLIB_POD=NAME" in cell("lab.client")[1]


@pytest.mark.parametrize("code", ["next(iter([]))", "[][0]", "one, = []"])
def test_what_a_capture_does_not_hold_is_told_with_the_line(cell, code: str) -> None:
    assert cell(f"x = 1\n{code}") == (
        True, f"What this cell looks for is not there on this lab, or not in this capture: `{code}`")


@pytest.mark.parametrize("code", ["nosuch", "int('x')", "1 / 0", "import json; json.loads('[')"])
def test_an_error_of_another_kind_stays_one(cell, code: str) -> None:
    ended_well, said = cell(code)
    assert not ended_well and "Traceback" in said


def test_an_error_within_the_kit_is_no_lack() -> None:
    try:
        next(iter(()))
    except StopIteration as error:
        assert lacking.sentence(error, error.__traceback__) == ""
    assert lacking.sentence(NotRecorded("x"), None) == f"{lacking.NOTHING_TO_SHOW} x"
