"""No title, choice or ready-made cell of a case contains its answer: learners find it by looking."""

from __future__ import annotations

import re
from collections import Counter

import nbformat
import pytest
from test_every_case_can_be_solved import BROKEN, looked

import editions
from kitlib import ladder
from kitlib.errors import NotFound
from kitlib.quiz import Outcome
from lessons.evidence import point_title
from workshop import look, questions
from workshop.case import Case
from workshop.cases import CASES, debrief, open_case
from workshop.causes import CAUSES, LIVE_CAUSES
from workshop.looks import halving, path_order
from workshop.questions import fix, solution, why

LEARNERS = [editions.SOLUTIONS.parent / path.name for path in editions.sources()]
# What a title or a ready-made cell must not name: the program, table or place that holds the fault.
REVEALING = {"no-endpoints": "endpoint|REJECT", "service-rules-missing": "PREROUTING|KUBE-SERVICES|rule",
             "forward-drop": "FORWARD|iptables|DROP", "ip-forward-off": "forward|sysctl|control",
             "route-blackhole": "route|blackhole", "route-wrong-node": "route|next hop|bridge",
             "stale-conntrack": "conntrack|remember|stale", "one-endpoint-dead": "conntrack|dead|endpoint|coin",
             "upstream-down": "upstream|inspect|pause", "tcp-blocked": "TCP|iptables|FORWARD"}
REFUTED = {"route-blackhole": "FORWARD", "tcp-blocked": "TXT"}      # in the ticket, and true: it leads elsewhere


def sections(path) -> dict[int, list]:
    """The cells of each case, by its number."""
    found, number = {}, 0
    for cell in nbformat.read(path, as_version=4).cells:
        if title := re.match(r"## (?:Case (\d+))?", cell.source) if cell.cell_type == "markdown" else None:
            number = int(title[1] or 0)
        found.setdefault(number, []).append(cell)
    return found


SECTIONS = {number: cells for path in LEARNERS for number, cells in sections(path).items() if number}


def ready_made(number: int) -> list:
    """The code cells of a case before its answer is given: those that a learner only runs."""
    cells = [cell for cell in SECTIONS[number] if cell.cell_type == "code"]
    at = next(i for i, cell in enumerate(cells) if "questions.why" in cell.source)
    return cells[:at]


@pytest.fixture(params=BROKEN, ids=[CASES[number] for number in BROKEN])
def number(request) -> int:
    return request.param


def test_no_title_names_the_fault(number) -> None:
    titles = [SECTIONS[number][0].source.splitlines()[0],
              *(path.stem for path in LEARNERS if f"open_case({number})" in path.read_text(encoding="utf-8"))]
    assert len(titles) == 2
    assert not [title for title in titles if re.search(REVEALING[CASES[number]], title, re.IGNORECASE)]


def test_no_ready_made_cell_asks_for_the_evidence(number) -> None:
    sources = "\n".join(cell.source for cell in ready_made(number))
    assert not re.search(REVEALING[CASES[number]], re.sub(r"verdict=False|questions\.\w+", "", sources))


def test_no_output_before_the_questions_says_where_or_why(number) -> None:
    case, seen = looked(number)
    outputs = "\n".join(str(output) for cell in ready_made(number) for output in cell.outputs)
    assert not re.search("last seen at|No response: |did not show at|it got lost|Refused: ", outputs)
    finding = why(case, seen).solution
    assert finding and finding not in outputs and solution(case.with_sight_of(seen)) not in outputs


@pytest.mark.parametrize(("number", "answers"), [
    (11, "WithHostNet"), (12, r"\beight\b|\b8 (queries|times)|dot at the end")])
def test_a_case_without_a_fault_does_not_say_its_answer(number, answers) -> None:
    """Neither in its words nor in what a cell shows: only among the choices of its question."""
    before = [str(cell.get("outputs")) + cell.source for cell in SECTIONS[number] if "<details>" not in cell.source]
    assert not [text for text in before if re.search(answers, re.sub("Question:.*", "", text, flags=re.DOTALL))]
    assert not re.search(answers, LEARNERS[3].read_text(encoding="utf-8").partition("## Case")[0])


def test_a_ladder_without_its_verdict_says_no_place() -> None:
    _, seen = looked(3)
    drawings = ladder(seen.journey()), ladder(seen.journey(), verdict=False)
    for part in ("svg", "text", "alt", "mermaid", "title"):
        with_verdict, without = (getattr(drawing, part) for drawing in drawings)
        assert "last seen" in with_verdict and "last seen" not in without


def test_places_are_offered_in_the_order_of_the_path() -> None:
    case, seen = looked(3)
    titles = [point.title for point in path_order(case, reversed(seen.points))]
    assert titles[:5] == ["my-nginx eth0", "worker3 veth4b6923b0", "worker3 eth0", case.lab.host.bridge.title,
                          "control-plane eth0"]
    assert all("coredns" in title for title in titles[7:])
    assert list(questions.where(case, seen).options.values())[:5] == titles[:5]


def test_causes_do_not_run_out_and_have_no_favourite_place() -> None:
    places, rest = Counter(), {cause.sentence for cause in CAUSES}
    for number in BROKEN:
        case, seen = looked(number)
        question = why(case, seen)
        right = next(letter for letter in question.options if question.check(letter).outcome is Outcome.RIGHT)
        places[right] += 1
        assert len([cause for cause in LIVE_CAUSES if cause.sentence in question.choices]) >= 2
        rest.discard(question.right)
        assert len([sentence for sentence in question.choices if sentence not in rest]) >= 3      # of no further case
    assert len(places) >= 4 and max(places.values()) <= len(BROKEN) / 2


def test_looks_are_counted_and_compared_with_halving() -> None:
    case, seen = looked.__wrapped__(4)      # one of its own
    with pytest.raises(NotFound, match=r"nowhere yet: case = case\.with_sight_of"):
        look(case, case.pod)
    case = case.with_sight_of(seen)
    assert "Look 1, at my-nginx eth0: the query passed" in repr(look(case, case.pod))
    shown = look(case, case.lab.coredns[0].veth)
    assert "Look 2, at control-plane veth" in repr(shown) and "nothing of the query" in repr(shown) and not shown.rows
    look(case, case.pod)
    assert len(case.looks) == 2
    told = str(debrief(case, seen))
    assert told.startswith("You looked 2 times: my-nginx eth0, control-plane veth")
    assert "Halving the path takes 3 looks" in told
    with pytest.raises(NotFound, match=r"Nobody listened at worker eth0\. There was listening at: my-nginx eth0, "):
        look(case, case.lab.node("worker"))


def test_halving_ends_where_the_query_was_last_seen(number) -> None:
    case, seen = looked(number)
    case = case.with_sight_of(seen)
    if number in (6, 10):            # nothing of UDP is lost there
        with pytest.raises(NotFound, match="was answered"):
            halving(case)
        return
    looks, last = halving(case), point_title(case.unanswered.farthest.sighting)
    assert len(looks) <= 3
    order = [point.title for point in path_order(case, case.points)]
    there, gone = ([order.index(one.title) for one in looks if one.found is found] for found in (True, False))
    if number != 9:                  # there CoreDNS's own query waits, which begins at the other end
        assert max(there, default=0) <= order.index(last) < min(gone, default=len(order))


@pytest.mark.parametrize(("typed", "outcome", "said"), [
    ('node.run("iptables", "-P", "FORWARD", "ACCEPT")', Outcome.RIGHT, ""),
    ("lab.node('worker3').run('iptables', '-P', 'FORWARD', 'ACCEPT')", Outcome.RIGHT, ""),
    ('lab.control_plane.run("iptables", "-P", "FORWARD", "ACCEPT")', Outcome.WRONG, "the policy of FORWARD"),
    ('pod.run("iptables", "-P", "FORWARD", "ACCEPT")', Outcome.ERROR, "On which machine?"),
    ('node.run("iptables", -P)', Outcome.ERROR, 'a call such as node.run("ip", "route")'),
    ('moon.run("iptables")', Outcome.ERROR, "one of node, pod, lab.host"),
    ('lab.node("moon").run("iptables")', Outcome.ERROR, "There is no node 'moon'")])
def test_what_the_lessons_type_counts_as_an_answer(typed, outcome, said) -> None:
    verdict = fix(*looked(3)).check(typed)
    assert verdict.outcome is outcome and said in verdict.message


def test_a_case_without_a_loss_has_nobody_waiting() -> None:
    assert Case(open_case(6).lab, open_case(6).pod).waiting is None
