"""One worker process seen from its node: start it, send it a mini-batch, read its events, kill it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

from batchtwin_node.bootstrap import command
from batchtwin_node.children import Child
from batchtwin_node.codec import CodecError, any_from_json, to_json
from batchtwin_node.forkserver.client import ForkServer, kill_group
from batchtwin_node.lines import LineReader, LineTooLongError, LineWriter
from batchtwin_node.protocol import EVENTS, Event, ForkRequest, Ready, Task, WorkerInit

# An event holds two texts of at most 16 KiB, and the bad files and counts of its mini-batch.
LONGEST_EVENT = 1 << 28
# How much a worker's times may differ from its node's.
SLACK_SECONDS = 1.0


def _difference(env: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if base.get(name) != value}


def _start(env: Mapping[str, str], folder: str, tasks: int, events: int, out: IO[bytes], err: IO[bytes]) -> Child:
    """Start a worker that does its own imports."""
    process = subprocess.Popen(
        command("worker", tasks, events, os.getpid()),
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        pass_fds=(tasks, events),
        start_new_session=True,
    )
    return Child(process.pid, process)


class WorkerProcess:
    """A started worker.

    `task` is its present task, `busy_since` (seconds since the epoch) its start, `deadline` (monotonic) its limit.
    `failed` counts failed tries.
    """

    def __init__(
        self,
        init: WorkerInit,
        env: Mapping[str, str],
        folder: str,
        streams: tuple[str, str],
        forkserver: ForkServer,
    ) -> None:
        self.name = init.worker
        self.ready = self.retired = False
        self.failed = 0
        self.task: Task | None = None
        self.deadline = 0.0
        self.busy_since = time.time()
        tasks_read, self._tasks_fd = os.pipe()
        self.events_fd, events_write = os.pipe()
        os.set_blocking(self.events_fd, False)
        os.set_blocking(self._tasks_fd, False)
        try:
            with open(streams[0], "ab") as out, open(streams[1], "ab") as err:
                request = ForkRequest(env=_difference(env, forkserver.env), folder=folder, parent=os.getpid())
                forked = forkserver.fork(request, [tasks_read, events_write, out.fileno(), err.fileno()])
                self.is_forked = forked is not None
                self._child = forked or _start(env, folder, tasks_read, events_write, out, err)
        finally:
            os.close(tasks_read)
            os.close(events_write)
        self._events = LineReader(self.events_fd, LONGEST_EVENT)
        self.tasks = LineWriter(self._tasks_fd)
        self.tasks.put(to_json(init))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """None while the process lives; negative for the signal that ended it."""
        return self._child.poll()

    def run(self, task: Task, deadline: float) -> None:
        """Send a mini-batch."""
        self.task, self.deadline, self.busy_since = task, deadline, time.time()
        self.tasks.put(to_json(task))

    def read(self) -> list[Event]:
        """Return the events that have arrived whole. The torn last line of a dead worker is no event."""
        try:
            lines = self._events.read()
        except LineTooLongError:  # no worker writes such a line
            self._child.kill()
            return []
        events = []
        for line in lines:
            event = _event(line)
            if event is not None and event.worker == self.name:
                events.append(with_true_times(event, self.busy_since, time.time()))
        return events

    @property
    def closed_its_pipe(self) -> bool:
        """Whether the event pipe is closed."""
        return self._events.eof

    def finish(self) -> None:
        """Close the task pipe: the worker calls `shutdown()` and ends."""
        if self._tasks_fd >= 0:
            os.close(self._tasks_fd)
            self._tasks_fd = -1

    def wait(self, seconds: float) -> None:
        """Wait for the end; kill a worker that does not end in time."""
        try:
            self._child.wait(seconds)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Kill the worker and the processes of its group, and reap it."""
        kill_group(self._child)

    def close(self) -> None:
        """Close the node's ends of the pipes."""
        self.finish()
        os.close(self.events_fd)


def with_true_times(event: Event, since: float, now: float) -> Event:
    """Return an event with possible times; the node knows that its worker was busy from `since` until `now`.

    A library of the script may have stopped or changed the worker's clock.
    """
    most = max(0.0, now - since) + SLACK_SECONDS
    seconds = event.seconds if 0 <= event.seconds <= most else max(0.0, now - since)
    if isinstance(event, Ready):
        return event if seconds == event.seconds else replace(event, seconds=seconds)
    started = event.started if since - SLACK_SECONDS <= event.started <= now + SLACK_SECONDS else since
    run_seconds = event.run_seconds if 0 <= event.run_seconds <= most else seconds
    if (started, seconds, run_seconds) == (event.started, event.seconds, event.run_seconds):
        return event
    return replace(event, started=started, seconds=seconds, run_seconds=run_seconds)


def _event(line: bytes) -> Any:
    """Return the event of a line; None for a line that no worker wrote: processes of a script may hold the pipe too."""
    try:
        return any_from_json(EVENTS, line)
    except CodecError:
        return None
