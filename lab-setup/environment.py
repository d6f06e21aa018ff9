"""Make .venv with the versions that pyproject.toml pins, say what is done, and open JupyterLab in it.

Needs the standard library alone: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import NoReturn

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PIP_TO_UV = {  # uv does not read pip's variables
    "PIP_FIND_LINKS": "UV_FIND_LINKS", "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_NO_INDEX": "UV_NO_INDEX", "PIP_CERT": "SSL_CERT_FILE",
}


def say(text: str) -> None:
    """Tell the person who waits what happens now."""
    print(f"[kit] {text}", flush=True)


def fail(text: str) -> None:
    """End with a message instead of a traceback."""
    sys.exit(f"[kit] {text}")


def main() -> int:
    """Make the environment ready, then do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["ready", "lab"], help="ready: only make .venv; lab: open JupyterLab in it")
    parser.add_argument("--extra", choices=["browser", "classroom", "class"],
                        help="also what `make browser`, `make site` and the browser tests need, `make classroom`, or "
                             "the graders of an assignment")
    args = parser.parse_args()
    try:
        make_ready(f"test,{args.extra}" if args.extra else "test")
        if args.what == "lab":
            open_lab()
    except subprocess.CalledProcessError as error:
        fail(f"This did not work (exit code {error.returncode}): {' '.join(map(str, error.cmd))}\n"
             "      Is there a network, or a folder of wheels (PIP_FIND_LINKS)?")
    except KeyboardInterrupt:
        return 130
    return 0


def make_ready(extras: str) -> None:
    """Install the kit and the pinned versions into .venv, unless the stamp says that this was done."""
    stamp, wanted, usable = VENV / f".ready-{extras.replace(',', '-')}", fingerprint(), is_usable()
    if usable and stamp.is_file() and stamp.read_text() == wanted:
        say("The environment .venv is ready.")
        return
    started = time.monotonic()
    say(f"Making the environment .venv with Python {sys.version.split()[0]}: the first time takes a minute or two.")
    if VENV.exists() and not usable:
        say("Removing the old .venv: it is unfinished, or of another Python.")
        shutil.rmtree(VENV)
    # What an older version left there would hide the labs and subcommands of today, which are found by entry points.
    shutil.rmtree(REPO / "kitlib.egg-info", ignore_errors=True)
    if not (shutil.which("uv") and install_with_uv(extras)):
        install_with_pip(extras)
    write_settings()
    stamp.write_text(wanted)
    say(f"The environment is ready after {time.monotonic() - started:.0f} s.")


def write_settings() -> None:
    """Write JupyterLab's defaults into .venv: do not ask the learner about Jupyter's news."""
    settings = VENV / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    notification = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "overrides.json").write_text(json.dumps({"@jupyterlab/apputils-extension:notification": notification}))


def fingerprint() -> str:
    """Return a digest of what the environment depends on: the versions, the Python, the place of the repository."""
    parts = (REPO / "pyproject.toml").read_bytes(), sys.version.encode(), str(REPO).encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_usable() -> bool:
    """Does .venv start, with pip, and as the Python that runs this? (It breaks when that Python is replaced.)"""
    if not PYTHON.exists():
        return False
    question = [PYTHON, "-c", "import pip, sys; print(sys.version)"]
    asked = subprocess.run(question, check=False, capture_output=True, text=True)
    return asked.returncode == 0 and asked.stdout.strip() == sys.version.strip()


def install_with_uv(extras: str) -> bool:
    """Install with uv; False if that did not work, for pip may still manage."""
    say("Installing with uv.")
    env = {uv: os.environ[pip] for pip, uv in PIP_TO_UV.items() if pip in os.environ} | os.environ
    venv = ["uv", "venv", "--quiet", "--seed", "--allow-existing", "--python", sys.executable, VENV]
    install = ["uv", "pip", "install", "--python", PYTHON, "--editable", f".[{extras}]"]
    if all(subprocess.run(step, cwd=REPO, env=env, check=False).returncode == 0 for step in (venv, install)):
        return True
    say("uv did not manage; trying pip.")
    return False


def install_with_pip(extras: str) -> None:
    """Make .venv with the standard library and install with pip."""
    say("Installing with pip.")
    if not is_usable():
        require_venv()
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    plain = ["--disable-pip-version-check", "--no-input"]      # pip says itself what it fetches: not --quiet
    subprocess.run([PYTHON, "-m", "pip", "install", *plain, "--editable", f".[{extras}]"], cwd=REPO, check=True)


def require_venv() -> None:
    """Name the package in which Debian and Ubuntu keep half of venv, rather than fail half-way."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fail("This Python cannot make environments: its venv or ensurepip is missing.\n"
         f"      Debian, Ubuntu: apt install python{version}-venv. Elsewhere: install uv. Then try again.")


def open_lab() -> NoReturn:
    """Open JupyterLab on the first notebook; print the address where no browser can be opened."""
    notebooks = sorted((REPO / "notebooks").glob("[0-9][0-9]*.ipynb"))
    if not notebooks:
        fail("There is no notebook in notebooks/.")
    # JupyterLab strips stored drawings out of notebooks that it does not trust.
    subprocess.run([PYTHON, "-m", "jupyter", "trust", *notebooks], check=False, stdout=subprocess.DEVNULL)
    if os.environ.get("KITLIB_LAB") and subprocess.run([PYTHON, "-m", "kitlib", "doctor"], check=False).returncode:
        fail("JupyterLab was not started: see the fixes above.")
    options = ["--allow-root"] if is_root() else []
    if can_open_browser():
        say("Starting JupyterLab; it opens in your browser. Ctrl+C twice ends it.")
    else:
        say("Starting JupyterLab. No browser can be opened here: open the address printed below. Ctrl+C twice ends it.")
        options.append("--no-browser")
    options.append(f"--LabApp.default_url=/lab/tree/{notebooks[0].relative_to(REPO).as_posix()}")
    os.chdir(REPO)
    os.execv(PYTHON, [PYTHON, "-m", "jupyter", "lab", *options])    # so that Ctrl+C reaches JupyterLab alone


def is_root() -> bool:
    """Does this run as root?"""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def can_open_browser() -> bool:
    """Is there a graphical browser here, and someone to look at it?"""
    if os.environ.get("CI") or is_root():
        return False  # browsers refuse to run as root
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.get() is not None
    except webbrowser.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
