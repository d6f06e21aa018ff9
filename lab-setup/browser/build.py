"""Build the browser edition: JupyterLite with the whole course, in one folder that any static host can serve.

Python in the browser is Pyodide, from npm; the wheels are those of the versions installed here. When the site is
opened, nothing is fetched from anywhere else.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import http.server
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
SITE = REPO / "build" / "browser"
PYODIDE = "314.0.7"
PYTHON = "3.14"         # of that Pyodide
FROM_NPM = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
WHEELS = ("asttokens", "comm", "executing", "ipython", "ipython-pygments-lexers", "ipywidgets", "jedi",
          "jupyterlab-widgets", "matplotlib-inline", "packaging", "parso", "prompt-toolkit", "pure-eval", "pygments",
          "python-dateutil", "six", "stack-data", "traitlets", "typing-extensions", "wcwidth")
ONLY_THERE = ("micropip==0.11.1",)      # Pyodide's installer, which no other Python has
# Fetched by everybody and read by nobody: stubs of packages that are not there, and the course, which lies beside it.
LEFT_OUT = ("jedi/third_party/typeshed/stubs/", "jedi/third_party/django-stubs/", "lessons/notebooks/", "lessons/docs/")


def main() -> None:
    """Build the site; serve it on the loopback address when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="then serve it on http://127.0.0.1:8899")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
    size = sum(file.stat().st_size for file in SITE.rglob("*") if file.is_file())
    print(f"[kit] The browser edition is in {SITE.relative_to(REPO)}: {size / 1e6:.0f} MB.")
    if arguments.serve:
        serve()


def build(scratch: Path) -> None:
    """Put runtime, wheels, notebooks and settings together, and have JupyterLite make its pages around them."""
    shutil.rmtree(SITE.parent, ignore_errors=True)      # modules of an older build would get into the wheel
    python = scratch / "lite" / "static" / "pyodide"
    python.mkdir(parents=True)
    say("Fetching Pyodide from npm and the wheels from PyPI.")
    runtime(python)
    wheels(python)
    lock(python)
    contents(scratch / "contents")
    for settings in ("jupyter-lite.json", "overrides.json"):
        shutil.copy(HERE / settings, scratch / "lite")
    say("Building JupyterLite.")
    run("jupyter", "lite", "build", "--lite-dir", scratch / "lite", "--contents", scratch / "contents", "--output-dir",
        SITE, "--no-sourcemaps", "--no-unused-shared-packages", "--apps", "lab", cwd=scratch)


def runtime(folder: Path) -> None:
    """Unpack Pyodide's own files from its npm package."""
    subprocess.run(["npm", "pack", "--silent", f"pyodide@{PYODIDE}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [packed] = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        for name in FROM_NPM:
            (folder / name).write_bytes(archive.extractfile(f"package/{name}").read())
    packed.unlink()


def wheels(folder: Path) -> None:
    """Fetch the wheels that are installed here, as any Python can use them, and build the kit's own."""
    pinned = [f"{name}=={importlib.metadata.version(name)}" for name in WHEELS]
    run("pip", "download", "--quiet", "--no-deps", "--platform", "any", "--python-version", PYTHON, "--abi", "none",
        "--implementation", "py", "--dest", folder, *pinned, *ONLY_THERE)
    run("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPO)
    shutil.rmtree(REPO / "kitlib.egg-info", ignore_errors=True)     # in the checkout it would hide what is installed
    for wheel in folder.glob("*.whl"):
        lighten(wheel)


def lighten(wheel: Path) -> None:
    """Pack a wheel again, as small as it goes, without what is LEFT_OUT."""
    full = wheel.rename(wheel.with_suffix(".full"))
    with zipfile.ZipFile(full) as source, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in source.namelist():
            if name.endswith(".dist-info/RECORD"):
                lines = source.read(name).decode().splitlines(keepends=True)
                target.writestr(name, "".join(line for line in lines if not line.startswith(LEFT_OUT)))
            elif not name.startswith(LEFT_OUT):
                target.writestr(name, source.read(name))
    full.unlink()


def lock(folder: Path) -> None:
    """List exactly these wheels for Pyodide, which installs one when a cell imports what is in it."""
    path = folder / "pyodide-lock.json"
    listed = json.loads(path.read_text())
    found = sorted(folder.glob("*.whl"))
    names = {canonical(wheel.name.split("-")[0]) for wheel in found}
    listed["packages"] = {entry["name"]: entry for entry in (package(wheel, names) for wheel in found)}
    path.write_text(json.dumps(listed))


def package(wheel: Path, names: set[str]) -> dict:
    """Return a wheel's entry of the list; `names` are the packages that there are."""
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        tops = {file.split("/")[0].removesuffix(".py") for file in archive.namelist() if file.endswith(".py")}
        [metadata] = [file for file in archive.namelist() if file.endswith(".dist-info/METADATA")]
        needs = re.findall(r"^Requires-Dist: ([\w.-]+)[^;\n]*$", archive.read(metadata).decode(), re.MULTILINE)
    depends = sorted({canonical(need) for need in needs} & names)
    return {"name": canonical(name), "version": version, "file_name": wheel.name, "install_dir": "site",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "package_type": "package",
            "imports": sorted(tops), "depends": depends}


def canonical(name: str) -> str:
    """Return a package's name as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def contents(folder: Path) -> None:
    """Copy the course, its texts joined: JupyterLite hands a file out as it is, and JupyterLab wants whole strings."""
    (folder / "notebooks").mkdir(parents=True)
    for source in sorted((REPO / "notebooks").glob("*.ipynb")):
        notebook = json.loads(source.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
        (folder / "notebooks" / source.name).write_text(json.dumps(notebook), encoding="utf-8")
    (folder / "docs").mkdir()
    for page in (REPO / "docs").glob("*.md"):
        shutil.copy(page, folder / "docs")


def serve() -> None:
    """Serve the site on the loopback address until Ctrl+C."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 8899), handler) as server:
        say("Open http://127.0.0.1:8899/lab/index.html?path=notebooks/00-start-here.ipynb (Ctrl+C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")


def run(module: str, *arguments: object, cwd: Path = REPO) -> None:
    """Run a module of this Python; its output is shown only if it fails."""
    ran = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=cwd, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode:
        sys.exit(f"[kit] {module} {arguments[0]} did not work:\n{ran.stdout}")


def say(text: str) -> None:
    """Tell the person who waits what happens now."""
    print(f"[kit] {text}", flush=True)


if __name__ == "__main__":
    main()
