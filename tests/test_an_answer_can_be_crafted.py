"""An answer crafted with scapy reaches the pod: dig takes it if it fits what it asked, and only then."""

from __future__ import annotations

import pytest
from namespaces import require_namespaces

from kitlib import open_lab
from kitlib.errors import NotFound
from workshop.case import Case
from workshop.causes import causes_of
from workshop.crafted import ADDRESS, craft_answer
from workshop.live_faults import break_lab, fix_lab


@pytest.fixture(scope="module")
def case():
    """A case whose queries wait in vain: its node forwards nothing."""
    require_namespaces()
    lab = open_lab("netns")
    pod = lab.pod("my-nginx")
    break_lab(lab, pod, "forward-drop")
    yield Case(lab, pod)
    fix_lab(lab, pod, "forward-drop")


@pytest.mark.slow
def test_dig_does_not_take_an_answer_from_an_address_that_it_did_not_ask(case) -> None:
    with case.lab.capture(case.pod, case.pod.veth) as seen:
        said = craft_answer(case)
    assert said.rc and ADDRESS not in said.stdout
    assert "answer-from-elsewhere" in causes_of(case.with_sight_of(seen))


@pytest.mark.slow
def test_dig_takes_an_answer_that_fits_and_no_other(case) -> None:
    assert ADDRESS in craft_answer(case, case.service).text
    odd = craft_answer(case, case.service, id_off_by=1)
    assert odd.rc and "ID mismatch" in odd.stdout


def test_a_recorded_pod_takes_no_packets() -> None:
    lab = open_lab("recorded")
    with pytest.raises(NotFound, match="on the netns lab"):
        craft_answer(Case(lab, lab.pod("my-nginx")))
