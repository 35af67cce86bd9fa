"""One node of a job on Ray: an actor that starts a node on its machine, and relays messages.

A worker on Ray is a process like any other: forked from its node's fork server, and killed with all that it started
when it exceeds its time. Only JSON text crosses: tasks in, events out; and the bytes of files, where the machine does
not see the job's folder (`sync.py`). Nothing else is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tarfile import TarError
from typing import Any

from batchtwin import __version__
from batchtwin.engine.backends.fetching import FetchingClient
from batchtwin.engine.backends.local import node_folder, variables_for
from batchtwin.engine.backends.node_client import NodeClient
from batchtwin.engine.backends.node_process import StartedProcess
from batchtwin.engine.backends.ray.environment import MachineEnvironment
from batchtwin.engine.backends.ray.sync import Answer, Delta, RemoteWorkdir
from batchtwin.errors import BatchTwinError
from batchtwin_node import bootstrap
from batchtwin_node.codec import from_json, to_json
from batchtwin_node.protocol import THREAD_VARIABLES, Failure, FromNode, JobContext, NodeInit, Task


def machine_environment(machine: Mapping[str, str], carried: Mapping[str, str]) -> dict[str, str]:
    """Return this machine's variables for workers: without Ray's own, with those that the user carries to workers.

    Ray sets the number of threads for the whole actor; each worker gets its share.
    """
    variables = {
        name: value for name, value in machine.items() if not name.startswith("RAY_") and name not in THREAD_VARIABLES
    }
    return {**variables, **carried}


class NodeActor:
    """Node `number` of a job: `context` is a JobContext, `machine` an object of variables and a MachineEnvironment, all
    as JSON.

    Each worker has `cpus` CPUs and `gpus` GPUs. The texts are parsed later: another version of batchtwin may not be
    able to read them, and still has to report its version.
    """

    def __init__(self, number: int, context: str, machine: tuple[str, str], cpus: float, gpus: float) -> None:
        self._number, self._context = number, context
        self._carried, self._environment = machine
        self._python: Path | None = None
        self._use: int | None = None
        self._folder = bootstrap.FOLDER
        self._cpus, self._gpus = cpus, gpus
        self._node: FetchingClient | None = None
        self._workdir: RemoteWorkdir | None = None

    def begin(self, shared: list[str]) -> tuple[str, bool]:
        """Return the version of batchtwin here, and whether this machine sees the shared paths."""
        os.environ.update(json.loads(self._carried))
        return __version__, all(map(os.path.exists, shared))

    def furnish(self, pieces: list[Any]) -> Answer:
        """Find or build the environment, and the folder that stands for the job's.

        That folder gets the content of `pieces`, Ray's references. Without them this machine sees the job's own.
        """
        import ray

        try:
            if pieces:
                self._workdir = RemoteWorkdir(self._local_context(), self._number, map(ray.get, pieces))
            self._find_environment()
        except (OSError, BatchTwinError, TarError) as error:
            return [self._refused(error)], []
        return [], []

    def _find_environment(self) -> None:
        self._python, cached = MachineEnvironment.from_json(self._environment).make()
        self._use = cached.use() if cached else None

    def step(self, tasks: list[str], seconds: float) -> Answer:
        """Send tasks to the node; return the messages of at most `seconds`."""
        try:
            return self._step([from_json(Task, text) for text in tasks], seconds)
        except (OSError, BatchTwinError) as error:
            return [self._refused(error)], []

    def _step(self, tasks: list[Task], seconds: float) -> Answer:
        workdir = self._workdir
        if workdir is not None:
            workdir.look_for(tasks)
            seconds = 0.0 if workdir.is_behind else seconds
        if self._node is None:
            self._node = self._start()
        for task in tasks:
            self._node.send(task)
        messages = self._receive(self._node, seconds)
        if workdir is not None:
            return workdir.answer(messages)
        return list(map(to_json, messages)), []

    def _receive(self, node: FetchingClient, seconds: float) -> list[FromNode]:
        """Return messages. Raises `NodeLostError`; the pool then uses another actor."""
        until = time.monotonic() + seconds
        while True:
            messages = node.receive(max(0.0, until - time.monotonic()))
            if messages or time.monotonic() >= until:
                return messages

    def _start(self) -> FetchingClient:
        context = replace(self._local_context(), node=self._number, cpus=self._cpus * self._workers(), gpus=self._gpus)
        if self._python is None:
            self._find_environment()
        init = NodeInit("", context.preload, context.variables, context.timeout)
        env = machine_environment(os.environ, json.loads(self._carried))
        if self._python is not None:
            self._folder, env = node_folder(), variables_for(self._python, env)
        command = bootstrap.node_command(str(self._python or sys.executable), self._folder, os.getpid())
        node = FetchingClient(NodeClient(StartedProcess(command, env), init), context)
        node.send(context)
        return node

    def _workers(self) -> int:
        return self._local_context().workers

    def close(self) -> tuple[str, list[Delta]]:
        """End the workers and the node; return a warning for the user, and the growth of the logs."""
        if self._node is not None:
            self._node.close()
        return ("", []) if self._workdir is None else (self._workdir.warning(), self._workdir.final_logs())

    def cleanup(self) -> None:
        """Remove what the job has on this machine."""
        if self._folder != bootstrap.FOLDER:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._use is not None:
            os.close(self._use)
            self._use = None
        if self._workdir is not None:
            self._workdir.cleanup()

    def _local_context(self) -> JobContext:
        return from_json(JobContext, self._context) if self._workdir is None else self._workdir.context

    def _refused(self, error: Exception) -> str:
        """Return the error for a full disk, or a path that this machine does not see: it fails the job, not an item."""
        host = os.uname().nodename
        text = f"on {host}: {error}"
        if isinstance(error, OSError):
            text = f"{error.filename or self._local_context().root} on {host}: {error.strerror}"
        worker = f"node{self._number}/host"
        return to_json(Failure(worker=worker, kind="write", message=text, pid=os.getpid(), started=0.0))
