"""pyproject.toml holds the only list of versions: pip, conda, the doctor and what is installed agree with it."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from conftest import REPO
from kitlib import checkup

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
GROUPS = {"": PROJECT["dependencies"]} | PROJECT["optional-dependencies"]
PINS = {Requirement(line).name: line.partition("==")[2] for lines in GROUPS.values() for line in lines}
ENVIRONMENT = yaml.safe_load((REPO / "environment.yml").read_text())["dependencies"]
LEAST = {"jupyterlab": "4.5.10", "ipywidgets": "8", "matplotlib": "3", "sh": "2", "scapy": "2.6", "nbval": "0.11",
         "pytest": "8"}
MAJOR = {"ipywidgets": 8, "sh": 2}


@pytest.mark.parametrize("line", [line for lines in GROUPS.values() for line in lines])
def test_every_version_is_pinned_once(line: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+==[0-9][0-9.]*", line), f"{line}: not of the form name==version"
    listed = [Requirement(other).name for lines in GROUPS.values() for other in lines]
    assert listed.count(Requirement(line).name) == 1


@pytest.mark.parametrize("name", LEAST)
def test_the_pins_are_new_enough(name: str) -> None:
    assert Version(PINS[name]) >= Version(LEAST[name])
    assert Version(PINS[name]).major == MAJOR.get(name, Version(PINS[name]).major)


def test_conda_reads_the_same_list() -> None:
    """environment.yml brings Python and pip, and names no version that pyproject.toml could contradict."""
    plain = [entry for entry in ENVIRONMENT if isinstance(entry, str)]
    (pip,) = (entry["pip"] for entry in ENVIRONMENT if isinstance(entry, dict))
    assert [entry.split()[0] for entry in plain] == ["python", "pip"]
    assert pip == ["-e .[test]"]


def test_conda_and_binder_take_a_python_that_pip_takes() -> None:
    """One, by `=` and nothing else, for this is all that repo2docker reads (PYTHON_REGEX of its conda build pack)."""
    (python,) = (entry for entry in ENVIRONMENT if isinstance(entry, str) and entry.startswith("python"))
    supported = Requirement(f"python {PROJECT['requires-python']}").specifier
    assert re.fullmatch(r"python =3\.\d+", python) and supported.contains(python.partition("=")[2])
    assert [minor for minor in range(20) if supported.contains(f"3.{minor}.5")] == [11, 12, 13, 14]
    assert checkup.SUPPORTED == ((3, 11), (3, 14))


def test_github_tries_each_of_them_and_runs_nothing_but_the_makefile() -> None:
    jobs = [job for file in (REPO / ".github" / "workflows").glob("*.yml")
            for job in yaml.safe_load(file.read_text())["jobs"].values()]
    [pythons] = [job["strategy"]["matrix"]["python"] for job in jobs if "strategy" in job]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    runs = [[step["run"].split()[:2] for step in job["steps"] if "run" in step] for job in jobs]
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    assert len(runs) == 2 and all(len(run) == 1 and run[0][0] == "make" and run[0][1] in targets for run in runs)


@pytest.mark.parametrize("name", [Requirement(line).name for group in ("", "test") for line in GROUPS[group]])
def test_what_is_installed_is_what_is_pinned(name: str) -> None:
    assert importlib.metadata.version(name) == PINS[name], "make lab brings the environment up to date"


def test_the_doctor_reads_the_same_list() -> None:
    assert checkup.pins() == {Requirement(line).name: PINS[Requirement(line).name] for line in GROUPS[""]}
