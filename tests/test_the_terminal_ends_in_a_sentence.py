"""Whatever is typed, or pressed, the command line ends in a sentence and the exit code that a shell would give."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from namespaces import REPO, as_ordinary_user, cannot, require_root

from kitlib.errors import KitError
from live_labs.shell import foreground, run
from netns_lab.description import LAB, read

KITLIB = [sys.executable, "-m", "kitlib"]
LAB_COMMAND = f"{sys.executable} -m kitlib lab"


@pytest.mark.parametrize("word", ["a\0b", "\udcff"])
def test_a_word_that_no_program_can_get_is_said(word) -> None:
    with pytest.raises(KitError, match="An argument is text in UTF-8 without a NUL character"):
        run(["echo", word], 5)


def test_a_signals_exit_code_is_the_shells() -> None:
    assert foreground(["sh", "-c", "kill -9 $$"]) == 137 and foreground(["sh", "-c", "exit 7"]) == 7


def test_a_reader_that_has_gone_is_no_error() -> None:
    done = subprocess.run(["bash", "-c", '"$@" | true; echo "${PIPESTATUS[0]}"', "bash", *KITLIB, "lab", "status"],
                          cwd=REPO, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout in ("141\n", "0\n", "1\n") and "Traceback" not in done.stderr and "ignored" not in done.stderr


def test_a_full_disk_is_one_sentence() -> None:
    if not os.path.exists("/dev/full"):
        cannot("no /dev/full here")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([*KITLIB, "progress"], cwd=REPO, stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1 and done.stderr == (
        "What this command says could not be written or read: No space left on device.\n")


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"nodes = 3", b"cluster = 3\npods = [3]"])
def test_a_file_that_is_no_description_is_one_sentence(tmp_path, content) -> None:
    path = tmp_path / "lab.toml"
    path.write_bytes(content)
    with pytest.raises(KitError, match=r"lab.toml: .*A complete description is"):
        read(path)


def test_a_description_with_a_field_of_another_type_is_one_sentence(tmp_path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text(LAB.read_text().replace("[[containers]]", "[containers]", 1).replace("[[containers]]", "[x]"))
    with pytest.raises(KitError, match="A complete description is"):
        read(path)


def interrupted(command: str, once: str) -> str:
    """A line of shell: Ctrl-C for a command, once a process like this one runs."""
    return (f"{LAB_COMMAND} {command} & until pgrep -u 65534 -f '{once}' >&2; do sleep 0.01; done; "
            "kill -INT $!; wait $!; echo $?")


def as_nobody(*lines: str) -> subprocess.CompletedProcess:
    """Run lines of shell as nobody, so that no lab of this machine's learner is touched."""
    require_root()
    # Where the tests run in the background of a script, it has them ignore Ctrl-C, and all that they start.
    return as_ordinary_user("env", "--default-signal=INT", "bash", "-c", "\n".join(["set -m", f"cd {REPO}", *lines]))


def test_another_lab_that_is_up_is_said_and_ctrl_c_ends_a_shell() -> None:
    other = "/tmp/other-lab.toml"
    done = as_nobody(f"{LAB_COMMAND} up >&2; cp {LAB} {other}; echo '# another' >> {other}",
                     f"{LAB_COMMAND} up {other}; echo $?", f"{LAB_COMMAND} up >&2; echo $?; rm {other}",
                     interrupted("shell my-nginx sleep 61", "^sleep 61$"), f"{LAB_COMMAND} down >&2")
    assert done.stdout == "1\n0\n130\n", done.stderr
    assert "Another netns lab is up" in done.stderr and "Stopped." in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_while_a_lab_is_built_leaves_nothing() -> None:
    done = as_nobody(interrupted("up", "hold[.]sh shared"), f"{LAB_COMMAND} status", f"{LAB_COMMAND} down >&2")
    assert done.stdout == "130\nNo netns lab is up. To bring one up: python -m kitlib lab up\n", done.stderr
    assert "Stopped." in done.stderr and "Traceback" not in done.stderr
