"""One worker process seen from the parent: start it, hand it a mini-batch, read what it reports, kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from batchtwin_node.forkserver_client import Child, ForkServer
from batchtwin_node.protocol import Event, ForkRequest, Task, WorkerInit, events

READ = 1 << 16


def _beyond(env: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if base.get(name) != value}


def _started(
    env: Mapping[str, str], folder: Path, tasks: int, events: int, out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a worker that imports for itself."""
    # -P: the worker's folder is not on sys.path by itself, as it is not in the service.
    command = [sys.executable, "-P", "-m", "batchtwin_node.worker"]
    return subprocess.Popen(  # noqa: S603 - our own module
        [*command, str(tasks), str(events), str(os.getpid())],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        pass_fds=(tasks, events),
        start_new_session=True,
    )


def _event(line: bytes) -> Event | None:
    """Return the event of a line; None for what no worker wrote, for what a script starts may hold the pipe too."""
    try:
        return events.validate_json(line)
    except ValidationError:
        return None


class WorkerProcess:
    """A started worker.

    `task` is what it runs now, `busy_since` (seconds since the epoch) from when, `deadline` (monotonic) until when.
    """

    def __init__(
        self,
        settings: WorkerInit,
        env: Mapping[str, str],
        folder: Path,
        stdout: Path,
        stderr: Path,
        forkserver: ForkServer,
    ) -> None:
        self.name = settings.worker
        self.ready = False
        self.retired = False
        self.task: Task | None = None
        self.deadline = 0.0
        self.busy_since = time.time()
        self._rest = b""
        tasks_read, self._tasks = os.pipe()
        self.events_fd, events_write = os.pipe()
        os.set_blocking(self.events_fd, False)
        try:
            with stdout.open("ab") as out, stderr.open("ab") as err:
                request = ForkRequest(env=_beyond(env, forkserver.env), folder=str(folder), parent=os.getpid())
                forked = forkserver.fork(request, [tasks_read, events_write, out.fileno(), err.fileno()])
                self.is_forked = forked is not None
                self._process: Child = forked or _started(env, folder, tasks_read, events_write, out, err)
        finally:
            os.close(tasks_read)
            os.close(events_write)
        self._send(settings.model_dump_json())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while the process lives; negative for the signal that ended it."""
        return self._process.poll()

    def run(self, task: Task, deadline: float) -> None:
        """Hand over a mini-batch."""
        self.task, self.deadline, self.busy_since = task, deadline, time.time()
        self._send(task.model_dump_json())

    def _send(self, line: str) -> None:
        data = line.encode() + b"\n"
        # A worker that has just died is found by its exit, not here.
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._tasks, data) :]

    def read(self) -> list[Event]:
        """Return the events that have arrived whole. A torn last line of a dead worker is no event."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.events_fd, READ):
                self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        return [event for line in lines if (event := _event(line)) is not None]

    def finish(self) -> None:
        """Close the task pipe: the worker calls `shutdown()` and ends."""
        if self._tasks >= 0:
            os.close(self._tasks)
            self._tasks = -1

    def wait(self, seconds: float) -> None:
        """Wait for the end, and kill what does not end in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the worker and the processes of its group, and reap it."""
        alive = self._process.poll() is None
        # Of a worker that ended by itself, what it started may be left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if alive:
            # A worker that was just forked has no group of its own yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Close the parent's ends of the pipes."""
        self.finish()
        os.close(self.events_fd)
