"""Worker processes on this machine: start, feed, watch the deadline, kill, replace."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from batchtwin.errors import BatchTwinError
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.driver.prefetcher import Prefetcher
from batchtwin_node.forkserver_client import ForkServer
from batchtwin_node.process import WorkerProcess
from batchtwin_node.protocol import Event, Failure, Outcome, Ready, Task

SHUTDOWN_SECONDS = 10.0
# How soon the death of a worker is noticed at the latest.
LOOK_SECONDS = 0.05


def init_seconds(timeout: float) -> float:
    """The budget of `init()`, where one `run()` has `timeout` seconds [A]."""
    return 3 * timeout + 30


class PoolError(BatchTwinError):
    """Nothing is left to run mini-batches on."""


class Pool(Protocol):
    """Whatever runs mini-batches: the job cannot tell one kind from another."""

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest."""

    def replace(self, worker: str) -> None:
        """End a worker once it is idle; another takes its place while there is work."""

    def events(self, timeout: float) -> Sequence[Event]:
        """Return what happened, waiting at most `timeout` seconds for something.

        Raises:
            PoolError: nothing will happen any more.
        """

    def workers(self) -> Mapping[str, int]:
        """The pid of each worker that lives on this machine, by name."""

    def close(self) -> None:
        """End all workers: idle ones in order, busy ones at once."""


def task_of(mini_batch: MiniBatch, attempt: int) -> Task:
    """Return what a worker is told of a mini-batch."""
    return Task(mini_batch=mini_batch.id, attempt=attempt, files=tuple(file.path for file in mini_batch.files))


def _concerns(event: Event, task: Task | None) -> bool:
    """Whether an event is about what its worker runs now; what comes late, or twice, is not."""
    if isinstance(event, Ready) or event.mini_batch is None:
        return True
    return task is not None and (event.mini_batch, event.attempt) == (task.mini_batch, task.attempt)


class LocalPool:
    """Up to `size` workers made by `launch(number)`; `timeout` seconds for one `run()`.

    None is made before `template` is settled; until then `ahead`, if given, reads the files of the first mini-batches.
    """

    def __init__(
        self,
        size: int,
        timeout: float,
        launch: Callable[[int], WorkerProcess],
        forkserver: ForkServer,
        ahead: Prefetcher | None = None,
    ) -> None:
        self._size = size
        self._timeout = timeout
        self._launch = launch
        self._launched = 0
        self._queue: deque[Task] = deque()
        self._workers: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._forkserver = forkserver
        self._ahead = ahead
        self._heard = forkserver.fd
        if self._heard is not None:
            self._selector.register(self._heard, selectors.EVENT_READ)

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest [A: the next try starts at once, in any worker]."""
        self.put(task_of(mini_batch, attempt))

    def put(self, task: Task) -> None:
        """Queue a task."""
        (self._queue.append if task.attempt == 1 else self._queue.appendleft)(task)

    def replace(self, worker: str) -> None:
        """End a worker once it is idle."""
        for process in self._workers:
            process.retired = process.retired or process.name == worker

    def events(self, timeout: float) -> Sequence[Event]:
        """Give work to idle workers, then return what happened within `timeout` seconds."""
        self._scale_up()
        self._feed()
        until = time.monotonic() + timeout
        while True:
            found = self._look(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
            if found or time.monotonic() >= until:
                return found

    def workers(self) -> Mapping[str, int]:
        """The pid of each living worker, by name."""
        return {process.name: process.pid for process in self._workers}

    def close(self) -> None:
        """End all workers: idle ones call `shutdown()`, busy ones are killed."""
        self._stop_reading()
        for process in self._workers:
            if process.task is None and process.ready:
                process.finish()
            else:
                process.kill()
        until = time.monotonic() + SHUTDOWN_SECONDS
        for process in list(self._workers):
            process.wait(max(0.0, until - time.monotonic()))
            self._forget(process)
        self._selector.close()

    def _scale_up(self) -> None:
        """Start workers while there is work for them."""
        if not self._forkserver.look():
            if self._ahead is not None:
                self._ahead.begin(path for task in self._queue for path in task.files)
            return
        self._stop_reading()
        if self._heard is not None:
            self._selector.unregister(self._heard)
            self._heard = None
        for process in [process for process in self._workers if process.retired and process.task is None]:
            process.finish()
            process.wait(SHUTDOWN_SECONDS)
            self._forget(process)
        busy = sum(process.task is not None for process in self._workers)
        while len(self._workers) < min(self._size, len(self._queue) + busy):
            process = self._launch(self._launched)
            self._launched += 1
            process.deadline = time.monotonic() + init_seconds(self._timeout)
            self._workers.append(process)
            self._selector.register(process.events_fd, selectors.EVENT_READ, process)

    def _stop_reading(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _feed(self) -> None:
        for process in self._workers:
            if self._queue and process.ready and process.task is None and not process.retired:
                process.run(self._queue.popleft(), time.monotonic() + self._timeout)

    def _look(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        for key, _ in self._selector.select(seconds):
            if key.data is None:  # the template
                self._scale_up()
            else:
                found += self._read(key.data)
        for process in list(self._workers):
            if process.returncode is not None:
                found += self._reap(process)
            elif (process.task or not process.ready) and time.monotonic() > process.deadline:
                found += self._on_timeout(process)
        return found

    def _read(self, process: WorkerProcess) -> list[Event]:
        happened = [event for event in process.read() if _concerns(event, process.task)]
        for event in happened:
            if isinstance(event, Ready):
                process.ready = True
            elif isinstance(event, Outcome) or event.mini_batch is not None:
                process.task = None
            else:
                process.retired = True  # it has told why it ends
        return happened

    def _reap(self, process: WorkerProcess) -> list[Event]:
        """A worker has ended by itself: what it reported counts, what it was running has failed."""
        process.kill()
        found = self._read(process)
        if not process.retired or process.task:
            text = f"{process.name} exits with returncode {process.returncode}."
            found.append(self._loss(process, text, crashed=True))
        self._forget(process)
        return found

    def _on_timeout(self, process: WorkerProcess) -> list[Event]:
        """A worker has outlasted its deadline: the Python code in it gets no say [A]."""
        process.kill()
        found = self._read(process)
        if process.task:
            text = f"mini batch {process.task.mini_batch} did not finish in {self._timeout:g} seconds."
            found.append(self._loss(process, text, crashed=False))
        elif not process.ready:
            text = f"init() did not finish in {init_seconds(self._timeout):g} seconds."
            found.append(self._loss(process, text, crashed=False))
        self._forget(process)
        return found

    def _loss(self, process: WorkerProcess, text: str, *, crashed: bool) -> Failure:
        task = process.task
        seconds = time.time() - process.busy_since
        return Failure(
            worker=process.name,
            kind="init" if not process.ready else "crashed" if crashed else "timeout",
            message=text,
            mini_batch=task.mini_batch if task else None,
            attempt=task.attempt if task else 0,
            pid=process.pid,
            started=process.busy_since,
            seconds=seconds,
            run_seconds=seconds,
        )

    def _forget(self, process: WorkerProcess) -> None:
        self._selector.unregister(process.events_fd)
        self._workers.remove(process)
        process.close()
