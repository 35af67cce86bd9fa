"""Where the workers of a job run: this machine, or a Ray cluster. A site makes the pool; the job cannot tell which."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from batchtwin.engine.ahead import Ahead
from batchtwin.engine.launch import Launcher, ahead_folder, start_template, worker_environment
from batchtwin.engine.logs import WorkerLogs
from batchtwin.engine.output import OutputFolder
from batchtwin.engine.pool import LocalPool, Pool
from batchtwin.engine.prepare import Asked
from batchtwin.engine.ray_options import RayOptions
from batchtwin.engine.template import Template
from batchtwin.spec.messages import Crew


class Site(Protocol):
    """Somewhere to run one job."""

    def connect(self, workers: int) -> None:
        """Make sure that it is there, for so many workers, before anything is written.

        Raises:
            BatchTwinError: it is not.
        """

    def pool(self, crew: Crew, logs: WorkerLogs, note: Callable[[str], None]) -> Pool:
        """Return the pool of a run; `note` tells a sentence to the person."""

    def close(self) -> None:
        """Leave it, after the pool is closed."""


class LocalSite:
    """This machine. Workers are forked from `template`, or start by themselves."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = template or Template()

    def connect(self, workers: int) -> None:
        """Nothing: it is here."""

    def pool(self, crew: Crew, logs: WorkerLogs, note: Callable[[str], None]) -> LocalPool:
        """Return a pool of processes."""
        env = worker_environment(crew, os.environ, os.cpu_count() or 1)
        launch = Launcher(crew, env, logs, self._template)
        ahead = Ahead(crew.inputs, ahead_folder(OutputFolder(Path(crew.root), None).scratch), self._template.env)
        return LocalPool(crew.workers, crew.timeout, launch, self._template, ahead)

    def close(self) -> None:
        """End the template."""
        self._template.close()


def site_for(asked: Asked, ray: RayOptions | None = None) -> Site:
    """Return where to run, at once: what takes time is begun here, and waited for in `connect`.

    Raises:
        RayError: Ray is asked for, and not installed.
    """
    if ray is None:
        return LocalSite(start_template(asked))
    from batchtwin.engine.ray_site import RaySite

    return RaySite(ray)
