"""The pool of one node: hands out a few tasks ahead, checks what comes back, and replaces a lost node."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from batchtwin.engine.backends.base import Note, PoolError, task_of
from batchtwin.engine.backends.node_client import NodeLostError
from batchtwin.engine.logs import Logs
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.protocol import (
    Event,
    Failure,
    FromNode,
    JobContext,
    Outcome,
    Ready,
    ToNode,
    Usage,
    WorkerStarted,
    segment_name,
)

# Tasks queued at the node for each worker, so that no worker is idle while the controller commits ...
WAITING = 2
# ... and more of short ones: as many as take so many seconds, up to a limit.
AHEAD_SECONDS, LONG_SECONDS, MOST_AHEAD = 0.1, 1.0, 64
# A node on this machine answers at once.
MOST_HERE = 8
# The least in all: the node looks at queued tasks to see which files are worth prefetching.
FEWEST = 16
# How often a mini-batch may lose its node before that counts as a failed try; and how many nodes in a row may be lost
# without a try that ended.
LOSSES = 3
# Upper bounds: of times in seconds, the year 5138; of counts, what SQLite and readers of JSON can hold.
LATEST, MOST = 1e11, 1 << 53
Try = tuple[MiniBatch, int]


class Client(Protocol):
    """What a NodePool needs of a node."""

    def send(self, message: ToNode) -> None:
        """Send a message, without waiting."""

    def receive(self, timeout: float, also: Sequence[int] = ()) -> Sequence[FromNode]:
        """Return messages. Raises `NodeLostError`."""

    def close(self) -> None:
        """End the node in order."""

    def kill(self) -> None:
        """Kill the node."""


def room_ahead(seconds: float) -> int:
    """Return how many tasks to queue for a worker, where one takes `seconds`; 0 means not yet known."""
    if not 0 < seconds < LONG_SECONDS:
        return 0
    return max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / seconds)))


class Checked:
    """Checks the messages of a node: scripts share a machine with it and may write into its pipe."""

    def __init__(self, run: int) -> None:
        self._run = run
        self.workers: set[str] = set()

    def accepts(self, event: Event, task: Try | None) -> bool:
        """Whether an event is about a running try, by a worker that was started, in that worker's segment.

        Raises:
            NodeLostError: the event cannot be true.
        """
        times = [event.seconds, *([] if isinstance(event, Ready) else [event.started, event.run_seconds])]
        if not all(0 <= time <= LATEST for time in times):
            raise NodeLostError(f"it reported an impossible time: {max(times, key=abs):g} seconds")
        if isinstance(event, Ready) or event.mini_batch is None:
            return True
        if task is None or task[1] != event.attempt:
            return False  # late, or twice
        if isinstance(event, Outcome):
            items = len(task[0].files)
            counts = (event.offset, event.length, event.rows, event.succeeded, event.failed, event.crc)
            is_true = event.worker in self.workers and event.segment == segment_name(self._run, event.worker)
            if not is_true or not 0 <= min(counts) <= max(counts) < MOST or event.succeeded + event.failed != items:
                raise NodeLostError(f"it reported an impossible outcome of mini batch {event.mini_batch}")
        return True


class NodePool:
    """The pool of a run on one node. `start` makes a node; `node` is the first one, which may be at work already."""

    def __init__(self, node: Client, start: Callable[[], Client], context: JobContext, logs: Logs, note: Note) -> None:
        self._start, self._context, self._logs, self._note = start, context, logs, note
        self._queue: deque[Try] = deque()
        self._in_flight: dict[int, Try] = {}
        self._checked = Checked(context.run)
        self._losses: Counter[int] = Counter()
        self._fruitless = 0
        self._seconds = 0.0  # of one mini-batch, averaged over the last ones
        self._node = node
        self._node.send(context)

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest."""
        (self._queue.append if attempt == 1 else self._queue.appendleft)((mini_batch, attempt))

    def events(self, timeout: float) -> Sequence[Event]:
        """Hand out work, then return what happened within `timeout` seconds.

        Raises:
            PoolError: node after node is lost.
        """
        self._feed()
        until = time.monotonic() + timeout
        while True:
            try:
                events = list(self._handle(self._node.receive(max(0.0, until - time.monotonic()))))
            except NodeLostError as error:
                return list(self._replace_node(str(error)))
            if events or time.monotonic() >= until:
                return events

    def close(self) -> None:
        """End all workers: idle ones call `shutdown()`, busy ones are killed."""
        self._node.close()

    def _feed(self) -> None:
        while self._queue and len(self._in_flight) < self._window():
            task = self._queue.popleft()
            self._in_flight[task[0].id] = task
            self._node.send(task_of(*task))

    def _window(self) -> int:
        """How many mini-batches may be at the node. If the job is killed, those may have to run again."""
        workers = self._context.workers
        if self._queue[0][0].files[0].is_remote:
            return 2 * workers  # a copy takes disk space, and its object may change meanwhile
        return max(FEWEST, workers * (1 + WAITING + min(room_ahead(self._seconds), MOST_HERE)))

    def _handle(self, messages: Sequence[FromNode]) -> Iterator[Event]:
        for message in messages:
            if isinstance(message, WorkerStarted):
                self._checked.workers.add(message.worker)
                self._logs.started(message.worker, message.pid, message.how)
            elif isinstance(message, Usage):
                self._logs.usage(message)
            elif isinstance(message, Ready | Outcome | Failure) and self._is_accepted(message):
                yield message

    def _is_accepted(self, event: Event) -> bool:
        number = None if isinstance(event, Ready) else event.mini_batch
        if not self._checked.accepts(event, None if number is None else self._in_flight.get(number)):
            return False
        if number is not None:
            del self._in_flight[number]
            self._fruitless = 0
        if isinstance(event, Outcome):
            self._seconds += (event.seconds - self._seconds) / (10 if self._seconds else 1)
        return True

    def _replace_node(self, reason: str) -> Iterator[Event]:
        """Start another node. Its mini-batches run again; up to a limit this is no failed try."""
        self._node.kill()
        self._fruitless += 1
        if self._fruitless >= LOSSES:
            raise PoolError(f"the node was lost {self._fruitless} times, and no try ended; the last time: {reason}")
        self._note(f"The node is lost ({reason}); its {len(self._in_flight)} mini batches run again on another")
        tasks, self._in_flight = list(self._in_flight.values()), {}
        self._node = self._start()
        self._node.send(replace(self._context, first=len(self._checked.workers)))
        for mini_batch, attempt in reversed(tasks):
            self._losses[mini_batch.id] += 1
            if self._losses[mini_batch.id] % LOSSES:
                self._queue.appendleft((mini_batch, attempt))
            else:
                yield loss("node0/host", mini_batch, attempt, reason)


def loss(worker: str, mini_batch: MiniBatch, attempt: int, reason: str) -> Failure:
    """Return a failed try of a mini-batch whose node was lost too often."""
    return Failure(
        worker=worker,
        kind="crashed",
        message=f"mini batch {mini_batch.id} was with {LOSSES} nodes that were lost; the last: {reason}",
        mini_batch=mini_batch.id,
        attempt=attempt,
        pid=0,
        started=time.time(),
    )
