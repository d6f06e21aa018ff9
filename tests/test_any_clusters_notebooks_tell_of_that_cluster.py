"""The notebooks run on a cluster that is unlike the walkthrough's, live and recorded, and say nothing untrue of it.

What the lab lacks is said in a sentence, with how to make it; the rest of the notebook runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from namespaces import require_namespaces, run_on_the_netns_lab

from conftest import NOTEBOOKS, REPO
from kitlib.errors import NotFound
from kitlib.lab import Lab
from netns_lab import NetnsLab
from netns_lab.build import up
from netns_lab.description import read
from recorder.validate import lacking, validate

pytestmark = pytest.mark.slow     # every lesson three times over, live: make test-slow

QUAY = REPO / "tests/fixtures/netns/two-nodes.toml"
LIVE = {"KITLIB_NETNS": str(QUAY)}
LESSONS = [path for path in NOTEBOOKS if path.stem < "20"]
KIND_TEST1 = ("kind-test1", "10.244.", "10.96.", "172.20.", "my-nginx", "cluster.local", "93.184.216.34", "worker3",
              "worker2", "four nodes")
LACKS = "This cell has nothing to show on this lab. There is no"


def foreign(lesson: Path, text: str) -> list[str]:
    """The names and addresses of kind-test1 that are shown; 10 shows that recorded cluster beside it, and says so."""
    return [words for words in KIND_TEST1 if words in text and not lesson.stem.startswith("10")]


def shown(notebook) -> str:
    """All that the outputs show, but the sentences that name what this lab lacks."""
    texts = []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        assert output.output_type != "error"
        text = output.get("text", "") + "".join(output.get("data", {}).get(kind, "") for kind in
                                                ("text/plain", "text/html", "text/markdown", "image/svg+xml"))
        texts += [] if text.startswith(LACKS) else [text]
    return "\n".join(texts)


@pytest.mark.parametrize("client, lesson", [(client, lesson) for lesson in LESSONS for client in (
    ("web", "cart-0") if lesson.stem[:2] in ("05", "06", "07") else ("web",))])      # on one node with 1 CoreDNS, and 2
def test_every_notebook_runs_live_and_tells_of_this_cluster(client: str, lesson: Path) -> None:
    require_namespaces()
    text = shown(run_on_the_netns_lab(lesson, **LIVE, KITLIB_POD=client))
    assert foreign(lesson, text) == []
    assert "10.64." in text or lesson.stem[:2] in ("00", "10")


def test_a_recording_of_it_plays_every_notebook(tmp_path: Path) -> None:
    require_namespaces()
    folder = {"KITLIB_RECORDING": str(tmp_path / "quay")}
    recorded = [lesson for lesson in LESSONS if lesson.stem[:2] in ("01", "02", "05", "09")]
    for lesson in recorded:
        run_on_the_netns_lab(lesson, **LIVE, **folder, KITLIB_MODE="record")
    for lesson in LESSONS:
        text = shown(run_on_the_netns_lab(lesson, KITLIB_LAB="recorded", **folder))
        assert foreign(lesson, text) == []
    assert validate(tmp_path / "quay") == []
    missed = "\n".join(lacking(tmp_path / "quay"))
    assert "notebook 02" not in missed and "notebook 09 lacks: There is no pod 'host-client'" in missed


@pytest.fixture(scope="module")
def lab():
    require_namespaces()
    holder = up(read(QUAY), "quay-test")
    yield Lab(NetnsLab(holder))
    holder.end()


def test_the_lab_says_who_is_who(lab: Lab) -> None:
    assert lab.control_plane.address == "172.30.0.3" and lab.nodes[0].role == "worker"
    assert (lab.domain, lab.service.name, lab.name_of(lab.service)) == ("quay.test", "web", "web.shop.svc.quay.test")
    assert len(lab.coredns) == 3
    with pytest.raises(NotFound, match=r"no pod 'neighbour'.*make it: kubectl apply -f lab-setup/kind/workload.yaml"):
        lab.pod("neighbour")
    with pytest.raises(NotFound, match=r"no container 'outside'.*To make it: make cluster"):
        lab.container("outside")
