"""On the recorded lab every notebook runs with the standard library and ipywidgets alone, as a browser has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import NOTEBOOKS

# Runs the code cells of notebooks in a process where the import of these is an error, however late it is asked for.
RUN = """
import json, sys
from pathlib import Path
import ipywidgets
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

REFUSED = {"sh", "scapy", "matplotlib", "numpy", "resvg_py", "jupyter_core", "subprocess"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(f"{name} is not to be had here")

shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
for name in [name for name in sys.modules if name.split(".")[0] in REFUSED]:
    del sys.modules[name]
sys.meta_path.insert(0, Refuse())
for notebook in sys.argv[1:]:
    shell.reset(new_session=True)
    for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()
    print("ran", notebook)
"""


def test_every_notebook_runs_without_them(tmp_path: Path) -> None:
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", RUN, *map(str, NOTEBOOKS)], cwd=tmp_path, env=environment,
                         capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert ran.stdout.count("\nran /") + ran.stdout.startswith("ran /") == len(NOTEBOOKS)
