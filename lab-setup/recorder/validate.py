"""Say whether a recording is complete, consistent, readable by this kit, and free of secrets; each problem in a line.

And say what it lacks for each notebook: the lessons are run on it, and what their cells do not find is listed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from kitlib.backends.recording import Recording, Scene, Take, load, read, read_take
from kitlib.backends.replay import RecordedLab
from kitlib.errors import KitError
from kitlib.escapes import printable
from kitlib.lab import Lab
from kitlib.lacking import NOT_IN_THIS_CAPTURE, NOTHING_TO_SHOW
from kitlib.parsers.pcap import frames
from lessons.copies import course_folder
from recorder.secret_words import PERSONAL, SECRETS, found_in, likely_in

PACKET = re.compile(r"^\d\d:\d\d:\d\d\.\d{6} ", re.M)      # how tcpdump's text begins each packet
CELL_TIMEOUT_S = 120
BATCH = 200
ERROR = ["--IPKernelApp.log_level=ERROR"]


def validate_and_print(folder: Path) -> int:
    """Print what is wrong with a recording, or how much it holds; exit code 1 if something is wrong."""
    problems = validate(folder)
    print(printable("\n".join(problems) or summary(folder)))
    return 1 if problems else 0


def validate(folder: Path) -> list[str]:
    """List everything that is wrong with the recording in a folder; nothing if it is sound."""
    try:
        recording = load(folder)
    except KitError as error:
        return [str(error)]
    lab = Lab(RecordedLab(recording))
    return [*_unanswered(lab), *_broken_takes(recording, lab), *_secrets(folder)]


def summary(folder: Path) -> str:
    """Say how much a sound recording holds."""
    recording = load(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    takes = sum(len(scene.takes) for scene in recording.scenes)
    return (f"{folder}: {len(recording.facts)} commands at rest, {len(recording.scenes)} scenes with {takes} takes, "
            f"{size / 1000:.0f} kB. Nothing is wrong with it.")


def _unanswered(lab: Lab) -> Iterator[str]:
    """Ask what every notebook asks first: the map of the lab, CoreDNS, and each pod's end of its cable."""
    for what, ask in (("the map of the lab", lambda: lab.topology), ("CoreDNS", lambda: lab.coredns[0]),
                      ("the pods' cables", lambda: [pod.veth for pod in lab.pods() if not pod.host_network])):
        try:
            ask()
        except (KitError, LookupError) as error:
            yield f"{what} cannot be had from this recording: {error}"


def _broken_takes(recording: Recording, lab: Lab) -> Iterator[str]:
    scenes = [*recording.scenes, *(fault.scene for fault in recording.faults)]
    if not scenes:
        yield f"{recording.folder} holds no scene: nothing was asked under lab.capture()."
    for scene in scenes:
        for number, path in enumerate(scene.takes, start=1):
            try:
                problems = list(_inconsistent(read_take(recording, scene, number), scene, lab))
            except KitError as error:
                problems = [str(error)]
            yield from (f"{path.relative_to(recording.folder.resolve())}: {problem}" for problem in problems)


def _inconsistent(take: Take, scene: Scene, lab: Lab) -> Iterator[str]:
    main = take.commands[0]
    if (main.place, main.argv) != (scene.place, scene.argv):
        yield (f"it should begin with {shlex.join(scene.argv)!r} at {scene.place}; it begins with "
               f"{shlex.join(main.argv)!r} at {main.place}.")
    for point in take.points:
        try:
            lab.vantage_point(point.place, point.interface)
        except KitError as error:
            yield f"a vantage point lies at a place that the lab does not have: {error}"
        said, caught = len(PACKET.findall(point.text)), len(take.frames(point))
        if point.text and said != caught:
            yield f"at {point.place} {point.interface} tcpdump's text has {said} packets, the capture {caught}."


def _secrets(folder: Path) -> Iterator[str]:
    """Look for the known shapes of secrets and of what is personal, in every text and in every frame."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        with suppress(KitError):        # a file that cannot be read is said where it is needed
            yield from (f"{file.relative_to(folder)}, {where}: this looks like {what}. Record with --scrub."
                        for where, what in _found_in(_words_of(file)))


def _found_in(texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield what is found, and where: first it is asked of many texts at once what may be in them, for time's sake."""
    while batch := list(islice(texts, BATCH)):
        likely = likely_in("\n".join(words for _, words in batch), SECRETS | PERSONAL)
        yield from ((where, what) for where, words in batch for what in found_in(words, likely))


def _words_of(file: Path) -> Iterator[tuple[str, str]]:
    """Read a file line by line, or frame by frame: where it is, and the words there."""
    data = read(file)
    if file.suffix == ".pcapng":
        at, beside = 0, []
        for frame in frames(data, file.name):
            yield f"frame {frame.number}", _words_in(frame.data)
            start = data.index(frame.data, at)
            beside.append(data[at:start])
            at = start + len(frame.data)
        yield "beside the frames", _words_in(b"".join([*beside, data[at:]]))
    else:
        for number, line in enumerate(data.decode(errors="replace").split("\n"), start=1):
            yield f"line {number}", line.replace('\\"', '"')


def _words_in(data: bytes) -> str:
    """Return what can be read in bytes: runs of letters, and the names of DNS messages with their dots."""
    dotted = re.sub(rb"(?<=[\w-])[\x01-\x3f](?=[\w-])", b".", data)
    return "\n".join(run.decode() for text in (data, dotted) for run in re.findall(rb"[\x20-\x7e]{6,}", text))


def lacking(folder: Path) -> list[str]:
    """List what the lessons do not find in the recording of this folder, one line for each thing."""
    return [f"notebook {path.stem[:2]} lacks: {what}" for path in lessons()
            for what in dict.fromkeys(_said_by(path, folder))]


def lessons() -> list[Path]:
    """List the notebooks that tell of the lab they run on, in order: the workshop behind them brings its own."""
    return sorted(path for path in course_folder("notebooks").glob("*.ipynb") if path.stem < "20")


def run(path: Path, **options: Any) -> Any:
    """Run a notebook from its first cell in a kernel of its own, and return it with its outputs."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError:
        raise KitError("nbclient is not installed here: without it no notebook can be run (make lab).") from None
    client = NotebookClient(nbformat.read(path, as_version=4), timeout=CELL_TIMEOUT_S, extra_arguments=ERROR,
                            resources={"metadata": {"path": str(path.parent)}}, **options)
    return client.execute(env=dict(os.environ))


def _said_by(path: Path, folder: Path) -> Iterator[str]:
    """Yield what the cells of a notebook say they lack; those that build on them say so too, and are left out here."""
    before = dict(os.environ)
    os.environ |= {"KITLIB_LAB": "recorded", "KITLIB_RECORDING": str(folder.resolve()), "KITLIB_MODE": "",
                   "KITLIB_POD": ""}
    try:
        notebook = run(path, allow_errors=True)
    finally:
        os.environ.clear()
        os.environ.update(before)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        words = output.get("text", "").removeprefix(NOTHING_TO_SHOW)
        if words != output.get("text", ""):
            lines = [line.strip() for line in words.strip().splitlines()]
            yield lines[1] if lines[0].endswith("not recorded:") else lines[0]
        elif words.startswith(NOT_IN_THIS_CAPTURE):
            yield words.strip()
        elif output.output_type == "error" and output.ename != "NameError":      # by what a cell above did not make
            yield f"{output.ename}: {output.evalue.partition(chr(10))[0]}"
