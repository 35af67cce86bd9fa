"""Where the workers of a job run: this machine, or a Ray cluster. A site makes the pool; the job cannot tell which."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.logs import WorkerLogs
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Resolved
from batchtwin.machine import cpus
from batchtwin_node.driver.prefetcher import Prefetcher
from batchtwin_node.forkserver_client import ForkServer
from batchtwin_node.launcher import Launcher, ahead_folder, start_forkserver, worker_environment
from batchtwin_node.pool import LocalPool, Pool
from batchtwin_node.protocol import JobContext


class Backend(Protocol):
    """Somewhere to run one job."""

    def connect(self, workers: int) -> None:
        """Make sure that it is there, for so many workers, before anything is written.

        Raises:
            BatchTwinError: it is not.
        """

    def pool(self, context: JobContext, logs: WorkerLogs, note: Callable[[str], None]) -> Pool:
        """Return the pool of a run; `note` tells a sentence to the person."""

    def close(self) -> None:
        """Leave it, after the pool is closed."""


class LocalBackend:
    """This machine. Workers are forked from `template`, or start by themselves."""

    def __init__(self, forkserver: ForkServer | None = None) -> None:
        self._forkserver = forkserver or ForkServer()

    def connect(self, workers: int) -> None:
        """Nothing: it is here."""

    def pool(self, context: JobContext, logs: WorkerLogs, note: Callable[[str], None]) -> LocalPool:
        """Return a pool of processes."""
        env = worker_environment(context, os.environ, cpus())
        launch = Launcher(context, env, logs, self._forkserver)
        ahead = Prefetcher(
            context.inputs, ahead_folder(OutputFolder(Path(context.root), None).scratch), self._forkserver.env
        )
        return LocalPool(context.workers, context.timeout, launch, self._forkserver, ahead)

    def close(self) -> None:
        """End the template."""
        self._forkserver.close()


def backend_for(resolved: Resolved, ray: RayOptions | None = None) -> Backend:
    """Return where to run, at once: what takes time is begun here, and waited for in `connect`.

    Raises:
        RayError: Ray is asked for, and not installed.
    """
    if ray is None:
        return LocalBackend(start_forkserver(resolved))
    from batchtwin.engine.backends.ray.backend import RayBackend

    return RayBackend(ray)
