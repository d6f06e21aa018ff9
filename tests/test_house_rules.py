"""The rules of the house: arrows point downwards, one module starts programs, everything stays small and documented."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from conftest import REPO

PACKAGES = {"kitlib": "kitlib", "lessons": "notebooks/lessons", "workshop": "notebooks/workshop",
            "live_labs": "lab-setup/live", "netns_lab": "lab-setup/netns", "kind_lab": "lab-setup/kind",
            "kubernetes_lab": "lab-setup/kubernetes", "recorder": "lab-setup/recorder", "follow": "lab-setup/follow",
            "class": "lab-setup/class", "jupyterhub": "lab-setup/jupyterhub"}
SCRIPTS = {REPO / "lab-setup/netns/as-one-user.py", REPO / "lab-setup/kind/cluster.py"}      # run without the kit
OURS = sorted({file for folder in PACKAGES.values() for file in (REPO / folder).rglob("*.py")} - SCRIPTS)
PYTHON = sorted({*OURS, *(file for folder in ("lab-setup", "benchmarks", "tests")
                          for file in (REPO / folder).rglob("*.py"))})
FLOORS = (      # of kitlib, from below
    {"errors", "escapes", "sighting", "result", "bulk"},
    {"parsers"},
    {"journey", "netfilter", "search_list", "backends"},
    {"place", "cluster", "capture", "lacking", "lab"},
    {"drawings"},
    {"widgets", "quiz", "checkup"},
    {"__init__", "__main__"},
)
NEIGHBOURS = {"lessons": {"kitlib"}, "workshop": {"kitlib", "lessons"}, "live_labs": {"kitlib"},
              "netns_lab": {"kitlib", "live_labs"}, "kind_lab": {"kitlib", "live_labs"},
              "kubernetes_lab": {"kitlib", "live_labs", "kind_lab"}, "recorder": {"kitlib", "lessons"},
              "follow": {"kitlib", "live_labs", "workshop", "recorder"}, "class": {"kitlib", "lessons"},
              "jupyterhub": {"lessons"}}
PURE = ("journey", "netfilter", "search_list")     # they know nouns and parsers, and no lab
HEAVY = {"sh", "scapy", "matplotlib", "ipywidgets", "tqdm"}
NEVER = {"subprocess", "pickle", "marshal", "shelve", "scapy.all"}
GENERATED = ("kitlib/recordings/", "tests/fixtures/", "LICENSE", ".git")     # .git: a file in a worktree


def name_of(file: Path) -> str:
    return str(file.relative_to(REPO))


def module_of(file: Path) -> str:
    package, folder = next((name, folder) for name, folder in PACKAGES.items() if file.is_relative_to(REPO / folder))
    parts = (package, *file.relative_to(REPO / folder).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def file_of(module: str) -> Path:
    package, *parts = module.split(".")
    path = REPO.joinpath(PACKAGES.get(package, package), *parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def room(module: str) -> str:
    """kitlib.parsers.pcap -> parsers; kitlib -> __init__."""
    return [*module.split("."), "__init__"][1]


def floor(module: str) -> int:
    found = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert found, f"{module} has no floor yet: add it to DESIGN.md and to FLOORS"
    return found[0]


def imports(node: ast.AST, late: bool = False) -> Iterator[tuple[str, bool]]:
    """Every import as (module, is it inside a function?), those that only a type checker reads too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "write imports in full"
            inner = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from ((name if name in NEVER or file_of(name).is_file() else child.module, late) for name in inner)
        yield from imports(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def imports_of(file: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(file.read_text(encoding="utf-8"))))


def ours(file: Path) -> set[str]:
    return {name for name, _ in imports_of(file) if name.split(".")[0] in PACKAGES}


def breaches(file: Path) -> Iterator[str]:
    """Every import of ours that this file must not make, and why."""
    here, found = module_of(file), ours(file)
    package = here.split(".")[0]
    known = {"errors", "sighting", "parsers", "bulk", room(here)}
    for name in sorted(found):
        if name.split(".")[0] not in {package, *NEIGHBOURS.get(package, ())}:
            yield f"{here} imports from a neighbour that it must not know: {name}"
        elif package == "kitlib" and floor(name) > floor(here):
            yield f"{here} (floor {floor(here)}) imports from above: {name}"
        elif package == "kitlib" and room(here) in PURE and room(name) not in known:
            yield f"{here} is pure and must not know {name}"


def test_imports_point_downwards() -> None:
    found = [breach for file in OURS for breach in breaches(file)]
    assert not found


def test_imports_make_no_circle() -> None:
    graph = {module_of(file): ours(file) - {module_of(file)} for file in OURS}
    list(graphlib.TopologicalSorter(graph).static_order())    # raises CycleError, which names the circle


def test_one_module_imports_sh() -> None:
    assert {(name_of(file), late) for file in OURS for name, late in imports_of(file) if name == "sh"} == {
        ("lab-setup/live/shell.py", True)}


def test_nothing_starts_programs_or_unpickles_behind_our_back() -> None:
    assert not [(name_of(file), name) for file in OURS for name, _ in imports_of(file) if name in NEVER]
    calls = [(name_of(file), ast.unparse(node.func)) for file in OURS
             for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert not [(name, call) for name, call in calls
                if call in ("eval", "exec") or re.match(r"os\.(system|popen|exec|spawn)", call)]


@pytest.mark.parametrize(("code", "lines"), [
    ("import kitlib", 100), ("from kitlib import open_lab; open_lab().nodes", 2800),
    ("import kitlib.checkup", 600)])
def test_what_a_recorded_lab_loads_is_light(code: str, lines: int) -> None:
    """No library that starts, draws or dissects; nothing of a live lab; and not much of our own."""
    code += "; import sys; print(*sys.modules); print(*(getattr(m, '__file__', '') for m in sys.modules.values()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    modules, files = (set(line.split()) for line in run.stdout.splitlines()[-2:])
    assert not modules & (HEAVY | {"IPython", "numpy", "subprocess", "live_labs"})
    assert sum(len(Path(file).read_text().splitlines()) for file in files & {str(file) for file in OURS}) <= lines


def test_nothing_asks_the_system_when_it_is_imported() -> None:
    """Not everything is there in a browser, and an answer may be another one by the time it is needed.

    JupyterHub does not import its configuration: it runs it as it starts.
    """
    asking = re.compile(r"os\.(environ|get\w*id|uname)|\bwhich\(|gethostname|\.(read_text|exists|stat)\b")
    found = [(name_of(file), ast.unparse(node)) for file in OURS if file.name != "jupyterhub_config.py"
             for node in ast.parse(file.read_text()).body
             if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.If) and asking.search(ast.unparse(node))
             and not ast.get_docstring(ast.Module([node], []))]
    assert not found


def test_no_function_is_over_50_lines() -> None:
    functions = [(name_of(file), node) for file in PYTHON for node in ast.walk(ast.parse(file.read_text("utf-8")))
                 if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [(name, node.name) for name, node in functions if node.end_lineno - node.lineno + 1 > 50]


def ruff(*arguments: str, code: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *arguments]
    return subprocess.run(command, cwd=REPO, input=code, capture_output=True, text=True, timeout=60, check=False)


def test_ruff_is_content_and_everything_public_has_a_docstring() -> None:
    found = ruff(".")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("code, rule", [("def public():\n    pass\n", "D103"), ("import os\n", "F401")])
def test_ruff_watches_what_it_should(code: str, rule: str) -> None:
    found = ruff("--stdin-filename", "kitlib/example.py", "-", code=code)
    assert found.returncode == 1 and rule in found.stdout


def texts() -> Iterator[tuple[str, str]]:
    """Every text that is kept in the repository, recorded outputs aside: they say what a machine said."""
    patterns = ("*", ".ci/*", "kitlib/**/*", "notebooks/**/*", "tests/**/*", "lab-setup/**/*", "benchmarks/*")
    kept = [file for pattern in patterns for file in REPO.glob(pattern)
            if file.is_file() and file.name != ".git"]
    for file in kept:
        if not name_of(file).startswith(GENERATED) and file.suffix not in (".pyc", ".pcap", ".pcapng", ".png"):
            yield name_of(file), file.read_text(encoding="utf-8")


def test_the_repository_stands_alone() -> None:
    """No text names a folder of the machine it was written on, nor reads beside the repository."""
    machine = re.compile(r"(?<![\w.<}])/(?:work|root|home)/|\.\./" + "shared")
    found = [(name, match.group()) for name, text in texts() for match in machine.finditer(text)]
    assert not found
