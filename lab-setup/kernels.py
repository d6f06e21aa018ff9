"""Starts Jupyter kernels so that several processes can start some at once, and says why a kernel did not start.

jupyter_client looks for five free TCP ports and lets go of them again; the kernel binds them half a second later, and
dies if somebody else has got one meanwhile. The kernels here get Unix sockets instead, under names of their own.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_core.utils import run_sync
from traitlets import default

START_S = 60


class OnSockets(KernelManager):
    """Starts a kernel on Unix sockets; one that dies at its start is started once more before that is an error."""

    @default("transport")
    def _unix_sockets(self) -> str:
        return "ipc"

    @default("ip")
    def _path_of_the_sockets(self) -> str:
        return f"{tempfile.gettempdir()}/kernel-{uuid.uuid4().hex[:12]}"     # a socket's path may have 100 characters

    async def _start(self, **options) -> None:
        for _ in ("at first", "once more"):
            with tempfile.TemporaryFile() as stderr:
                await self._async_start_kernel(**options | {"stderr": stderr})
                if await self._listens():
                    return
                stderr.seek(0)
                said = stderr.read().decode(errors="replace")
        raise RuntimeError(f"The kernel died twice at its start. It said:\n{said}")

    start_kernel = run_sync(_start)

    async def _listens(self) -> bool:
        """Wait until the kernel has made all its sockets; False if it dies before."""
        sockets = [Path(f"{self.ip}-{port}") for port in self.ports]
        async with asyncio.timeout(START_S):
            while await self._async_is_alive():
                if all(socket.exists() for socket in sockets):
                    return True
                await asyncio.sleep(0.01)
        return False


class AsyncOnSockets(OnSockets, AsyncKernelManager):
    """The same for nbclient."""

    start_kernel = OnSockets._start
