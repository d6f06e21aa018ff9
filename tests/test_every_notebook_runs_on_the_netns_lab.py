"""Every notebook, on live packets: it runs to its end, and shows the same rewrites and checks as when recorded."""

from __future__ import annotations

import re

import nbformat
import pytest
from namespaces import require_namespaces, run_on_the_netns_lab

from conftest import NOTEBOOKS, slow_but
from kitlib.lacking import NOTHING_TO_SHOW

# From 20 on, in the workshop, the lab is broken: test_the_workshop_is_fixed_on_the_netns_lab.py
LESSONS = [path for path in NOTEBOOKS if path.stem < "20"]


@pytest.mark.parametrize("lesson", slow_but("05", LESSONS))
def test_a_notebook_means_the_same_on_the_netns_lab(lesson) -> None:
    require_namespaces()
    notebook = run_on_the_netns_lab(lesson)
    recorded = nbformat.read(lesson, as_version=4)
    for cell, then in zip(notebook.cells, recorded.cells, strict=True):
        if cell.cell_type == "code":
            assert meaning(cell) == meaning(then), cell.source


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=[path.stem for path in LESSONS])
def test_it_runs_where_nftables_decides_and_06_and_09_lead_to_10(lesson) -> None:
    require_namespaces()
    notebook = run_on_the_netns_lab(lesson, KITLIB_NETNS_MODE="nftables")
    said = [(cell.source, str(output)) for cell in notebook.cells for output in cell.get("outputs", ())]
    silent = [source for source, text in said if NOTHING_TO_SHOW in text]
    assert not [source for source in silent if not re.search(r"KUBE-|\"PREROUTING\"", source)]
    is_about_rules = lesson.stem[:2] in ("06", "09")
    assert len(silent) == 5 * (lesson.stem[:2] == "06")
    assert not is_about_rules or "(10-ask-where-nftables-decides.ipynb)" in said[0][1]


def meaning(cell) -> set[str]:
    """What a cell's output says, without the numbers of this run: ports, and the endpoint that a coin has drawn."""
    shown = [output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ())]
    text = "\n".join(shown).replace("10.244.0.3", "10.244.0.2")
    rewrites = re.findall(r"(?:destination|source) rewritten \([^)]*\): .*", re.sub(r":\d{4,5}\b", ":port", text))
    return {*rewrites, *re.findall(r"Not attempted|Question: [^\d\n]*", text)}
