"""One JupyterHub for a class, on one machine (`make classroom`): one environment for all, for each learner a folder.

The learners all work as the user who started this: good enough for people who trust each other, for a day.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path

from lessons.copies import copy_course

REPO = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("CLASSROOM") or REPO / "classroom").resolve()
ADDRESS, PORT = os.environ.get("ADDRESS") or "127.0.0.1", int(os.environ.get("PORT") or 8000)
PROXY = REPO / ".venv" / "node_modules" / ".bin" / "configurable-http-proxy"
GIB_OF_A_PROCESS = 4            # of address space: a notebook of the course takes 1
IDLE_S = int(os.environ.get("IDLE") or 3600)        # then a learner's server is stopped; what is saved stays


def password() -> str:
    """Return the class's password, made at the first start and kept beside the learners' folders."""
    file = FOLDER / "hub" / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9), encoding="ascii")
    return file.read_text(encoding="ascii")


def copy_for(spawner: object) -> None:
    """Give a learner the notebooks that are not there yet; none is overwritten."""
    copy_course(FOLDER / "learners" / spawner.user.name)


(FOLDER / "hub").mkdir(parents=True, exist_ok=True, mode=0o700)
c = get_config()  # noqa: F821  (JupyterHub's own, when it reads this file)
c.JupyterHub.bind_url = f"http://{ADDRESS}:{PORT}"
c.JupyterHub.hub_port = PORT + 1
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'hub' / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(FOLDER / "hub" / "cookie-secret")
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORT + 2}"
c.ConfigurableHTTPProxy.command = [str(PROXY)]
c.ConfigurableHTTPProxy.pid_file = str(FOLDER / "hub" / "proxy.pid")

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = password()
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = "[a-z0-9-]{1,30}"        # it becomes the name of a folder

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(FOLDER / "learners" / "{username}")
c.Spawner.cmd = [*(["prlimit", f"--as={GIB_OF_A_PROCESS * 2**30}"] if shutil.which("prlimit") else []),
                 sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.environment = {"KITLIB_LAB": "recorded"}
c.Spawner.pre_spawn_hook = copy_for
c.Spawner.default_url = "/lab/tree/notebooks/00-start-here.ipynb"
c.Spawner.start_timeout = c.Spawner.http_timeout = 180       # a whole class starts in the same minute

c.JupyterHub.services = [{"name": "idle-culler",
                          "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_S}"]}]
c.JupyterHub.load_roles = [{"name": "idle-culler", "services": ["idle-culler"],
                            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"]}]
print(f"[kit] Learners open http://{ADDRESS}:{PORT}, choose a name each; the password is {password()}", flush=True)
