"""One node of a job on Ray: an actor that runs an ordinary pool of processes on its machine, and relays.

So a worker on Ray is what it is elsewhere: a process of its own, forked from its node's template, killed with all that
it started when its time is over. Only JSON text crosses: tasks in, events out. Nothing is pickled but the texts.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from batchtwin import __version__
from batchtwin.engine.launch import (
    THREAD_VARIABLES,
    Launcher,
    copies_folder,
    template_environment,
    worker_environment,
)
from batchtwin.engine.logs import WorkerLogs
from batchtwin.engine.output import OutputFolder
from batchtwin.engine.pool import LocalPool, init_seconds
from batchtwin.engine.process import WorkerProcess
from batchtwin.engine.template import Template
from batchtwin.engine.usage import Usage
from batchtwin.spec.messages import Crew, Event, Failure, Task, events

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


class Host:
    """Node `number` of a job: `crew` is a Crew, `carried` an object of variables, both as JSON.

    Each worker has `cpus` CPUs and `gpus` GPUs. The texts are only kept at first: another version of batchtwin, which
    may not be able to read them, has to be able to tell that it is one.
    """

    def __init__(self, number: int, crew: str, carried: str, cpus: float, gpus: float) -> None:
        self._number, self._crew, self._carried = number, crew, carried
        self._cpus, self._gpus = cpus, gpus
        self._quarters: Quarters | None = None

    def begin(self) -> str:
        """Return the version of batchtwin here."""
        return __version__

    def step(self, tasks: list[str], retired: list[str], seconds: float) -> list[str]:
        """Take over tasks, and workers to replace; return the events of the next `seconds`, or fewer."""
        try:
            if self._quarters is None:
                self._quarters = self._settle()
            happened = self._quarters.step(tasks, retired, seconds)
        except OSError as error:
            return [self._refused(error)]
        return [events.dump_json(event).decode() for event in happened]

    def close(self) -> None:
        """End the workers and the template, and leave nothing of the input here."""
        if self._quarters is not None:
            self._quarters.close()

    def _settle(self) -> Quarters:
        crew = Crew.model_validate_json(self._crew)
        look_around(crew)
        return Quarters(self._number, crew, json.loads(self._carried), self._cpus, self._gpus)

    def _refused(self, error: OSError) -> str:
        """A full disk, or a folder that this machine does not see: the job's failure, no item's."""
        place = error.filename or Crew.model_validate_json(self._crew).root
        text = f"{place} on {os.uname().nodename}: {error.strerror}"
        worker = f"node{self._number}/host"
        return Failure(worker=worker, kind="write", message=text, pid=os.getpid(), started=0.0).model_dump_json()


def look_around(crew: Crew) -> None:
    """See that this machine has what all share, before anything is made in a place that only looks like the shared one.

    Raises:
        FileNotFoundError: naming the path.
    """
    shared = [OutputFolder(Path(crew.root), None).segments, crew.script and crew.script[0], crew.preload.model]
    for path in shared:
        if path and not os.path.isdir(path):
            text = "is not there; the job's folder and the code have to be at the same path on each machine"
            raise FileNotFoundError(errno.ENOENT, text, str(path))


class Quarters:
    """Where a node's workers live: the pool of processes, and what it needs."""

    def __init__(self, number: int, crew: Crew, carried: dict[str, str], cpus: float, gpus: float) -> None:
        self._crew = crew
        self._gpus = gpus
        os.environ.update(carried)
        machine = machine_environment(os.environ, carried)
        self._template = Template(
            crew.preload, template_environment(machine, crew.variables), init_seconds(crew.timeout)
        )
        root = Path(crew.root) / "logs"
        env = worker_environment(crew, machine, cpus * crew.workers)
        self._launcher = Launcher(crew, env, WorkerLogs(root), self._template, number)
        self._pool = LocalPool(crew.workers, crew.timeout, self._launch, self._template)
        self._slots: dict[str, int] = {}
        self._usage = Usage(root / "perf")

    def step(self, tasks: list[str], retired: list[str], seconds: float) -> list[Event]:
        """As `Host.step`.

        Raises:
            OSError: a disk is full, or the like.
        """
        for text in tasks:
            self._pool.put(Task.model_validate_json(text))
        for name in retired:
            self._pool.replace(name)
        happened = [*self._pool.events(seconds), *self._pool.events(0)]  # again, so that nobody is idle meanwhile
        self._usage.sample(self._pool.workers())
        return happened

    def close(self) -> None:
        """As `Host.close`."""
        self._pool.close()
        self._template.close()
        shutil.rmtree(copies_folder(self._crew), ignore_errors=True)

    def _launch(self, number: int) -> WorkerProcess:
        """Start a worker in the first slot that no living one has."""
        living = {name: slot for name, slot in self._slots.items() if name in self._pool.workers()}
        slot = min(set(range(self._crew.workers)) - set(living.values()))
        own = {DEVICES: devices(os.environ.get(DEVICES, ""), self._gpus, slot)} if self._gpus else {}
        process = self._launcher(number, own)
        self._slots = {**living, process.name: slot}
        return process
