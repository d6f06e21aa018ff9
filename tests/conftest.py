"""What every test stands on: the recorded lab, and generated inputs that are the same in every run."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import getmembers, isfunction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from kitlib.backends.recording import read_take
from kitlib.lab import RECORDINGS
from kitlib.parsers.pcap import frames
from kitlib.parsers.sightings import sightings
from kitlib.quiz import Outcome, Quiz, predict
from live_labs.shell import Completed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from kitlib.capture import Capture
    from kitlib.lab import Lab
    from kitlib.place import Place
    from kitlib.sighting import Frame, VantagePoint

REPO = Path(__file__).resolve().parent.parent
FIXTURES = REPO / "tests" / "fixtures"
PCAPS = sorted((FIXTURES / "pcap").glob("*.pcap"))
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))

settings.register_profile("kit", derandomize=True, deadline=None, database=None)
settings.load_profile("kit")


def pytest_generate_tests(metafunc) -> None:
    """A test with an argument `stored` runs once for each stored notebook; one of EachQuestion for each case."""
    if "stored" in metafunc.fixturenames:
        metafunc.parametrize("stored", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
    if metafunc.cls and "case" in metafunc.fixturenames:
        metafunc.parametrize("case", metafunc.cls.cases)


def slow_but(fast: str, paths: Sequence[Path]) -> list:
    """Return these notebooks as parameters; all but the one whose name begins so are left to make test-slow."""
    return [pytest.param(path, id=path.stem, marks=() if path.stem.startswith(fast) else pytest.mark.slow)
            for path in paths]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests in tests/browser: Playwright can be started only once in a process."""
    from jupyterlab import CHROMIUM, chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def book() -> Path:
    """The book and the edition for a browser tab, as `make site` builds them; a broken link is an error."""
    subprocess.run([sys.executable, REPO / "lab-setup" / "site" / "build.py"], check=True, timeout=300)
    return REPO / "build" / "site"


def fixture_text(name: str) -> str:
    """The text of a file of tests/fixtures."""
    return (FIXTURES / name).read_text()


def captured_frames(name: str) -> tuple[Frame, ...]:
    """The frames of a capture of tests/fixtures/pcap."""
    return frames((FIXTURES / "pcap" / f"{name}.pcap").read_bytes(), name)


def recorded_scenes() -> dict[str, int]:
    """The names of the recorded scenes, and how many takes each has."""
    index = json.loads((REPO / "kitlib/recordings/kind-test1/recording.json").read_text())
    return {scene["name"]: len(scene["takes"]) for scene in index["scenes"]}


def part_of_the_recording(folder: Path, scenes: Sequence[str] = (), faults: Sequence[str] = ()) -> Path:
    """Copy of the kit's own recording what it says of the cluster at rest, and only these scenes and faults."""
    source = RECORDINGS / "kind-test1"
    for name in ("facts.jsonl", "traced-rules.jsonl"):
        shutil.copy(source / name, folder)
    index = json.loads((source / "recording.json").read_text())
    for kind, wanted in (("scenes", scenes), ("faults", faults)):
        index[kind] = [one for one in index[kind] if one["name"] in wanted]
        for name in wanted:
            shutil.copytree(source / kind / name, folder / kind / name)
    (folder / "recording.json").write_text(json.dumps(index))
    return folder


def every_sighting(lab, scene: str, number: int, any_interface: bool = True):
    """All that one recorded take saw, at all its vantage points: the take and its sightings."""
    recording = lab.backend.recording
    take = read_take(recording, next(known for known in recording.scenes if known.name == scene), number)
    points = [point for point in take.points if any_interface or point.interface != "any"]
    return take, [seen for point in points
                  for seen in sightings(take.frames(point), lab.vantage_point(point.place, point.interface))]


def captured_dig(lab: Lab, *points: Place | VantagePoint, by: Place | None = None, options: Sequence[str] = (),
                 trace: bool = False) -> Capture:
    """What is captured while the lab's client, or another place, digs for www.example.com."""
    with lab.capture(*points, trace=trace) as seen:
        (by or lab.client).run("dig", *options, "www.example.com")
    return seen


class Asked:
    """Writes down what it is asked to run; answers a command that holds these words, or lets it fail and say that."""

    def __init__(self, answers: Sequence[tuple[str, str]], failing: Mapping[str, str]) -> None:
        self.argvs: list[tuple[str, ...]] = []
        self.answers, self.failing = answers, failing

    def __call__(self, argv: Sequence[str], timeout: float) -> Completed:
        self.argvs.append(tuple(argv))
        words = " ".join(argv)
        if failed := next((stderr for part, stderr in self.failing.items() if part in words), ""):
            return Completed(1, "", failed)
        return Completed(0, next((said for part, said in self.answers if part in words), ""), "")

    def of(self, verb: str) -> list[tuple[str, ...]]:
        """What was asked with this word in it."""
        return [argv for argv in self.argvs if verb in argv]


def pictures(html: str) -> list[str]:
    """Return the SVG of the pictures in this HTML."""
    return [b64decode(data).decode() for data in re.findall("data:image/svg\\+xml;base64,([^\"]+)", html)]


def judged_with_its_own_hints(question: Quiz, right: object, mistakes: dict[object, str], other: object) -> None:
    """All four outcomes; each mistake (two or more) gets a hint of its own; `other` cannot be compared.

    Of the choices, if there are any, exactly one is right; the widget's twin shows the question.
    """
    assert question.check(...).outcome is question.check("").outcome is Outcome.NOT_ATTEMPTED
    assert question.check(right).outcome is Outcome.RIGHT and question.check(right).message
    hints = set()
    for mistake, part in mistakes.items():
        verdict = question.check(mistake)
        assert verdict.outcome is Outcome.WRONG and part in verdict.message, (mistake, verdict)
        hints.add(verdict.message)
    assert len(hints) == len(mistakes) >= 2 and question.hint and question.hint not in {*hints, question.more}
    assert question.check(other).outcome is Outcome.ERROR
    choices = [question.check(letter) for letter in question.options]
    outcomes = [verdict.outcome for verdict in choices]
    assert not outcomes or (outcomes.count(Outcome.RIGHT) == 1 and set(outcomes) == {Outcome.RIGHT, Outcome.WRONG})
    assert all(verdict.message for verdict in choices)
    assert predict(question).text == repr(question)


class EachQuestion:
    """What holds for the questions of every notebook; the tests of one name its cases and modules, and set the stage.

    A case: how the question is asked, the right answer, {mistake: a part of its own hint}, what cannot be compared.
    """

    cases: Mapping[str, tuple[Callable[[SimpleNamespace], Quiz], object, dict[object, str], object]]
    modules: Sequence[ModuleType]
    uses: Sequence[Callable] = ()       # what calls further questions

    def test_every_question_knows_the_usual_mistakes(self, stage: SimpleNamespace, case: str) -> None:
        ask, *answers = self.cases[case]
        judged_with_its_own_hints(ask(stage), *answers)

    def test_no_question_is_left_out(self) -> None:
        questions = {name for module in self.modules for name, function in getmembers(module, isfunction)
                     if function.__annotations__.get("return") == "Quiz" and function.__module__ == module.__name__}
        uses = (*self.uses, *(ask for ask, *_ in self.cases.values()))
        assert questions and questions <= {name for use in uses for name in use.__code__.co_names}


class EachQuestionOfMany(EachQuestion):
    """The same, and the right answer stands under several letters, under none of them in more than half of them."""

    def test_the_right_answer_has_no_favourite_place(self, stage: SimpleNamespace) -> None:
        questions = [ask(stage) for ask, *_ in self.cases.values()]
        places = [next(letter for letter in question.options if question.check(letter).outcome is Outcome.RIGHT)
                  for question in questions if question.options]
        assert len(set(places)) >= 4 and max(map(places.count, places)) <= len(places) / 2


@pytest.fixture
def only_own_objects():
    """What other tests have left in this process is no work of what is measured: the garbage collector passes it by."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
