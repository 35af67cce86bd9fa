"""Worker processes on this machine: start, feed, watch the deadline, kill, replace."""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Union

from batchtwin_node.driver.prefetcher import Prefetcher
from batchtwin_node.forkserver.client import ForkServer
from batchtwin_node.process import WorkerProcess
from batchtwin_node.protocol import INIT_TIMEOUT, SHUTDOWN_SECONDS, Event, Failure, Outcome, Ready, Task, WorkerStarted

# The longest delay before the death of a worker is noticed.
LOOK_SECONDS = 0.05
# A worker with more failed tries is replaced [A].
TRIES_OF_A_WORKER = 10
Happened = Union[Event, WorkerStarted]


def init_seconds(timeout: float) -> float:
    """Return the time limit of `init()`, where one `run()` has `timeout` seconds [A]."""
    return 3 * timeout + 30


def _concerns(event: Event, task: Task | None) -> bool:
    """Whether an event is about its worker's present task, and so neither late nor doubled."""
    if isinstance(event, Ready) or event.mini_batch is None:
        return True
    return task is not None and (event.mini_batch, event.attempt) == (task.mini_batch, task.attempt)


class WorkerPool:
    """Up to `size` workers made by `launch(number)`; `timeout` seconds for one `run()`.

    No worker starts before `forkserver` is settled; until then `prefetcher`, if given, reads the files of the first
    mini-batches. `selector` is shared with the node: the data of each key is the function to call.
    """

    def __init__(
        self,
        size: int,
        timeout: float,
        launch: Callable[[int], WorkerProcess],
        forkserver: ForkServer,
        selector: selectors.BaseSelector,
        prefetcher: Prefetcher | None = None,
    ) -> None:
        self._size = size
        self._timeout = timeout
        self._launch = launch
        self._launched = 0
        self._queue: deque[Task] = deque()
        self._retries: deque[Task] = deque()
        self._workers: list[WorkerProcess] = []
        self._selector = selector
        self._forkserver = forkserver
        self._prefetcher = prefetcher
        self._happened: list[Happened] = []
        self._settled_fd = forkserver.fd
        if self._settled_fd is not None:
            selector.register(self._settled_fd, selectors.EVENT_READ, self._scale_up)

    def put(self, task: Task) -> None:
        """Queue a task; retries go before the rest, in their order [A: the next try starts at once, in any worker]."""
        (self._queue if task.attempt == 1 else self._retries).append(task)

    def workers(self) -> dict[str, int]:
        """The pid of each living worker, by name."""
        return {process.name: process.pid for process in self._workers}

    @property
    def patience(self) -> float:
        """How many seconds the node may wait for a descriptor before it calls `step` again."""
        return LOOK_SECONDS if self._workers or not self._forkserver.settled else 5.0

    def step(self) -> list[Happened]:
        """Give tasks to idle workers, handle dead and late ones; return the events since the last step."""
        for process in list(self._workers):
            if process.returncode is not None:
                self._reap(process)
            elif (process.task or not process.ready) and time.monotonic() > process.deadline:
                self._on_timeout(process)
        self._scale_up()
        self._feed()
        happened, self._happened = self._happened, []
        return happened

    def close(self, in_order: bool = True) -> None:
        """End all workers: `in_order`, idle ones call `shutdown()`; all others are killed."""
        self._stop_prefetching()
        for process in self._workers:
            if in_order and process.task is None and process.ready:
                process.finish()
            else:
                process.kill()
        until = time.monotonic() + SHUTDOWN_SECONDS
        for process in list(self._workers):
            process.wait(max(0.0, until - time.monotonic()))
            self._forget(process)

    def _scale_up(self) -> None:
        """Start workers while tasks wait for them."""
        if not self._forkserver.look():
            if self._prefetcher is not None:
                self._prefetcher.look(path for task in self._queue if task.part is None for path in task.files)
            return
        if self._settled_fd is not None:
            self._selector.unregister(self._settled_fd)
            self._settled_fd = None
        if self._queue or self._retries:
            self._stop_prefetching()
        for process in [process for process in self._workers if process.retired and process.task is None]:
            process.finish()
            process.wait(SHUTDOWN_SECONDS)
            self._forget(process)
        busy = sum(process.task is not None for process in self._workers)
        while len(self._workers) < min(self._size, len(self._queue) + len(self._retries) + busy):
            self._start_worker()

    def _start_worker(self) -> None:
        process = self._launch(self._launched)
        self._launched += 1
        process.deadline = time.monotonic() + init_seconds(self._timeout)
        self._workers.append(process)
        self._selector.register(process.events_fd, selectors.EVENT_READ, lambda: self._on_readable(process))
        forked = "forked from a warm server" if self._forkserver.is_warm else "forked"
        how = forked if process.is_forked else f"started by itself ({self._forkserver.why})"
        self._happened.append(WorkerStarted(process.name, process.pid, how))

    def _stop_prefetching(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def _feed(self) -> None:
        for process in self._workers:
            process.tasks.flush()
            waiting = self._retries or self._queue
            if waiting and process.ready and process.task is None and not process.retired:
                process.run(waiting.popleft(), time.monotonic() + self._timeout)

    def _on_readable(self, process: WorkerProcess) -> None:
        self._happened += self._read(process)
        if process.closed_its_pipe and process in self._workers:
            # It has ended, or closed its pipe: `step` handles that, and this descriptor has no more events.
            self._unregister(process)

    def _read(self, process: WorkerProcess) -> list[Event]:
        events = [event for event in process.read() if _concerns(event, process.task)]
        for event in events:
            if isinstance(event, Ready):
                process.ready = True
            elif isinstance(event, Outcome):
                process.task = None
            elif event.mini_batch is not None:
                process.task = None
                process.failed += 1
                process.retired = process.retired or process.failed > TRIES_OF_A_WORKER
            else:
                process.retired = True  # it has reported why it ends
        return events

    def _reap(self, process: WorkerProcess) -> None:
        """A worker has ended by itself: its reports count, its running task has failed."""
        process.kill()
        self._happened += self._read(process)
        if not process.retired or process.task:
            text = f"{process.name} exits with returncode {process.returncode}."
            self._happened.append(self._loss(process, text, "crashed"))
        self._forget(process)

    def _on_timeout(self, process: WorkerProcess) -> None:
        """A worker is over its deadline: it is killed, without a chance for its Python code [A]."""
        process.kill()
        self._happened += self._read(process)
        if process.task:
            text = f"mini batch {process.task.mini_batch} did not finish in {self._timeout:g} seconds."
            self._happened.append(self._loss(process, text, "timeout"))
        elif not process.ready:
            text = f"{INIT_TIMEOUT} {init_seconds(self._timeout):g} seconds."
            self._happened.append(self._loss(process, text, "timeout"))
        self._forget(process)

    def _loss(self, process: WorkerProcess, text: str, kind: str) -> Failure:
        task = process.task
        seconds = time.time() - process.busy_since
        return Failure(
            worker=process.name,
            kind=kind if process.ready else "init",
            message=text,
            mini_batch=task.mini_batch if task else None,
            attempt=task.attempt if task else 0,
            pid=process.pid,
            started=process.busy_since,
            seconds=seconds,
            run_seconds=seconds,
        )

    def _unregister(self, process: WorkerProcess) -> None:
        try:
            self._selector.unregister(process.events_fd)
        except KeyError:  # done when its pipe was closed
            pass

    def _forget(self, process: WorkerProcess) -> None:
        self._unregister(process)
        self._workers.remove(process)
        process.close()
