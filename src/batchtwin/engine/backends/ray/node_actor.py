"""One node of a job on Ray: an actor that runs an ordinary pool of processes on its machine, and relays.

So a worker on Ray is what it is elsewhere: a process of its own, forked from its node's template, killed with all that
it started when its time is over. Only JSON text crosses: tasks in, events out; and the bytes of files, where the
machine does not see the job's folder (`ray_travel.py`). Nothing else is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tarfile import TarError
from typing import Any

from batchtwin import __version__
from batchtwin.engine.backends.ray.sync import Answer, Delta, RemoteWorkdir
from batchtwin.engine.logs import WorkerLogs
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.errors import OutputError
from batchtwin_node.forkserver_client import ForkServer
from batchtwin_node.launcher import (
    THREAD_VARIABLES,
    Launcher,
    copies_folder,
    forkserver_environment,
    worker_environment,
)
from batchtwin_node.pool import LocalPool, init_seconds
from batchtwin_node.process import WorkerProcess
from batchtwin_node.protocol import Event, Failure, JobContext, Task, events
from batchtwin_node.usage import Usage

DEVICES = "CUDA_VISIBLE_DEVICES"


def machine_environment(mine: Mapping[str, str], carried: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this machine for workers: without Ray's own, with those that were carried here.

    Ray sets the number of threads for the actor as a whole; each worker has its part of it.
    """
    ours = {name: value for name, value in mine.items() if not name.startswith("RAY_") and name not in THREAD_VARIABLES}
    return {**ours, **carried}


def devices(visible: str, gpus: float, slot: int) -> str:
    """Return which of the node's devices (comma separated) are those of the worker in `slot`, at `gpus` for each."""
    every = [device for device in visible.split(",") if device]
    first = int(slot * gpus)
    return ",".join(every[first : first + max(1, int(gpus))])


class NodeActor:
    """Node `number` of a job: `crew` is a Crew, `carried` an object of variables, both as JSON.

    Each worker has `cpus` CPUs and `gpus` GPUs. The texts are only kept at first: another version of batchtwin, which
    may not be able to read them, has to be able to tell that it is one.
    """

    def __init__(self, number: int, context: str, carried: str, cpus: float, gpus: float) -> None:
        self._number, self._context, self._carried = number, context, carried
        self._cpus, self._gpus = cpus, gpus
        self._node_pool: NodePool | None = None
        self._workdir: RemoteWorkdir | None = None

    def begin(self, shared: list[str]) -> tuple[str, bool]:
        """Return the version of batchtwin here, and whether this machine sees what others share."""
        os.environ.update(json.loads(self._carried))
        return __version__, all(map(os.path.exists, shared))

    def unload(self, pieces: list[Any]) -> Answer:
        """Make a folder that stands for the job's, with what is in `pieces`: Ray's references to bytes."""
        import ray

        try:
            self._workdir = RemoteWorkdir(self._crew_here(), self._number, map(ray.get, pieces))
        except (OSError, OutputError, TarError) as error:
            return [self._refused(error)], []
        return [], []

    def step(self, tasks: list[str], retired: list[str], seconds: float) -> Answer:
        """Take over tasks, and workers to replace; return the events of the next `seconds`, or fewer."""
        try:
            return self._step([Task.model_validate_json(text) for text in tasks], retired, seconds)
        except OSError as error:
            return [self._refused(error)], []

    def _step(self, tasks: list[Task], retired: list[str], seconds: float) -> Answer:
        away = self._workdir
        if away is not None:
            away.look_for(tasks)
            seconds = 0.0 if away.is_behind else seconds
        if self._node_pool is None:
            carried = json.loads(self._carried)
            self._node_pool = NodePool(self._number, self._crew_here(), carried, self._cpus, self._gpus)
        happened = self._node_pool.step(tasks, retired, seconds)
        if away is not None:
            return away.answer(happened)
        return [events.dump_json(event).decode() for event in happened], []

    def close(self) -> tuple[str, list[Delta]]:
        """End the workers and the template; return what the person should know, and what the logs have grown by."""
        if self._node_pool is not None:
            self._node_pool.close()
        return ("", []) if self._workdir is None else (self._workdir.lost(), self._workdir.final_logs())

    def leave(self) -> None:
        """Leave nothing of the job here."""
        if self._workdir is not None:
            self._workdir.leave()

    def _crew_here(self) -> JobContext:
        return JobContext.model_validate_json(self._context) if self._workdir is None else self._workdir.context

    def _refused(self, error: Exception) -> str:
        """A full disk, or a path that this machine does not see: the job's failure, no item's."""
        where = os.uname().nodename
        text = f"on {where}: {error}"
        if isinstance(error, OSError):
            text = f"{error.filename or self._crew_here().root} on {where}: {error.strerror}"
        worker = f"node{self._number}/host"
        return Failure(worker=worker, kind="write", message=text, pid=os.getpid(), started=0.0).model_dump_json()


class NodePool:
    """Where a node's workers live: the pool of processes, and what it needs."""

    def __init__(self, number: int, context: JobContext, carried: dict[str, str], cpus: float, gpus: float) -> None:
        self._context = context
        self._gpus = gpus
        machine = machine_environment(os.environ, carried)
        self._forkserver = ForkServer(
            context.preload, forkserver_environment(machine, context.variables), init_seconds(context.timeout)
        )
        root = OutputFolder(Path(context.root)).logs
        env = worker_environment(context, machine, cpus * context.workers)
        self._launcher = Launcher(context, env, WorkerLogs(root), self._forkserver, number)
        self._pool = LocalPool(context.workers, context.timeout, self._launch, self._forkserver)
        self._slots: dict[str, int] = {}
        self._usage = Usage(root / "perf")

    def step(self, tasks: list[Task], retired: list[str], seconds: float) -> list[Event]:
        """As `Host.step`.

        Raises:
            OSError: a disk is full, or the like.
        """
        for task in tasks:
            self._pool.put(task)
        for name in retired:
            self._pool.replace(name)
        happened = [*self._pool.events(seconds), *self._pool.events(0)]  # again, so that nobody is idle meanwhile
        self._usage.sample(self._pool.workers())
        return happened

    def close(self) -> None:
        """As `Host.close`."""
        self._pool.close()
        self._forkserver.close()
        shutil.rmtree(copies_folder(self._context), ignore_errors=True)

    def _launch(self, number: int) -> WorkerProcess:
        """Start a worker in the first slot that no living one has."""
        living = {name: slot for name, slot in self._slots.items() if name in self._pool.workers()}
        slot = min(set(range(self._context.workers)) - set(living.values()))
        own = {DEVICES: devices(os.environ.get(DEVICES, ""), self._gpus, slot)} if self._gpus else {}
        process = self._launcher(number, own)
        self._slots = {**living, process.name: slot}
        return process
