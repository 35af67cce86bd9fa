"""Worker number n of a job -> a started process: its name, folder, environment and log files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from batchtwin_node.driver.prefetch import FOLDER as PREFETCH_VARIABLE
from batchtwin_node.forkserver.client import ForkServer
from batchtwin_node.machine import cpus
from batchtwin_node.process import WorkerProcess
from batchtwin_node.protocol import THREAD_VARIABLES, JobContext, WorkerInit, segment_name
from batchtwin_node.script import tracking

DEVICES = "CUDA_VISIBLE_DEVICES"


def worker_name(number: int, nodes: int, node: int | None = None) -> str:
    """Return `node/process`: workers are dealt to the job's nodes in turn, or are all of `node`."""
    if node is not None:
        return f"node{node}/process{number:03}"
    return f"node{number % nodes}/process{number // nodes:03}"


def forkserver_environment(machine: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return what all workers' environments have: the machine's variables, one thread, the deployment's own."""
    return {**dict.fromkeys(THREAD_VARIABLES, "1"), "MLFLOW_DISABLE_TELEMETRY": "true", **machine, **variables}


def worker_environment(context: JobContext, machine: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of workers on a machine.

    Workers x threads = CPUs, unless the machine's environment or the deployment says otherwise.
    """
    available = cpus() if context.cpus is None else context.cpus
    threads = str(max(1, int(available // context.workers)))
    return {
        **forkserver_environment(machine, context.variables),
        **{name: threads for name in THREAD_VARIABLES if name not in machine},
        PREFETCH_VARIABLE: prefetch_folder(context),
        **context.environment,
    }


def scratch_folder(context: JobContext) -> str:
    """Return the folder with the workers' own folders."""
    return os.path.join(context.root, "scratch")


def prefetch_folder(context: JobContext) -> str:
    """Return the folder with the prefetched tables."""
    return os.path.join(scratch_folder(context), "ahead")


def devices(visible: str, gpus: float, slot: int) -> str:
    """Return the devices (comma separated) of the worker in `slot`, `gpus` for each worker."""
    every = [device for device in visible.split(",") if device]
    first = int(slot * gpus)
    return ",".join(every[first : first + max(1, int(gpus))])


class Launcher:
    """Starts workers of one job on this machine, each in a folder of its own [A].

    `living` returns the workers that live now, by name.
    """

    def __init__(
        self,
        context: JobContext,
        machine: Mapping[str, str],
        forkserver: ForkServer,
        living: Callable[[], Mapping[str, int]],
    ) -> None:
        self._context = context
        self._env = worker_environment(context, machine)
        self._visible = machine.get(DEVICES, "")
        self._forkserver = forkserver
        self._living = living
        self._slots: dict[str, int] = {}

    def __call__(self, number: int) -> WorkerProcess:
        """Start a worker; `number` counts from 0, replacements included.

        Raises:
            OSError: a disk is full, or the like.
        """
        context = self._context
        number, folder = self._free_folder(number + context.first)
        name = worker_name(number, context.nodes, context.node)
        segment = segment_name(context.run, name)
        init = WorkerInit(
            worker=name,
            segment=os.path.join(context.root, "segments", segment),
            script=context.script,
            logging_level=context.logging_level,
            output_action=context.output_action,
        )
        user = os.path.join(context.root, "logs", "user")
        env = {
            **self._env,
            "BATCHTWIN_ENTRY_LOG": os.path.join(user, "entry_script_log", f"{name}.log.txt"),
            tracking.STORE_VARIABLE: os.path.join(user, tracking.FOLDER, os.path.splitext(segment)[0]),
            **self._devices(name),
        }
        streams = (_log_file(user, name, "stdout"), _log_file(user, name, "stderr"))
        return WorkerProcess(init, env, folder, streams, self._forkserver)

    def _free_folder(self, number: int) -> tuple[int, str]:
        """Make the folder of worker `number`, or of a later one.

        A lost node may have started workers that were never reported.
        """
        prefix = "" if self._context.node is None else f"node{self._context.node}-"
        while True:
            folder = os.path.join(scratch_folder(self._context), f"{prefix}worker{number}")
            try:
                os.makedirs(folder)
                return number, folder
            except FileExistsError:
                number += 1

    def _devices(self, name: str) -> dict[str, str]:
        """Give a worker the devices of the first slot that no living worker has."""
        if not self._context.gpus:
            return {}
        living = self._living()
        self._slots = {worker: slot for worker, slot in self._slots.items() if worker in living}
        slot = min(set(range(self._context.workers)) - set(self._slots.values()))
        self._slots[name] = slot
        return {DEVICES: devices(self._visible, self._context.gpus, slot)}


def _log_file(user: str, worker: str, stream: str) -> str:
    path = os.path.join(user, stream, f"{worker}.{stream}.txt")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path
