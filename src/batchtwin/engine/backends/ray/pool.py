"""Workers on a Ray cluster: one actor for each node of the job, spread over machines.

Each actor hosts an ordinary pool of processes (`node_actor.py`). Tasks go to whoever has room. Tasks of a lost actor or
machine return to the queue, and another actor replaces it.
"""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError as Trouble
from ray.exceptions import RayTaskError

from batchtwin import __version__
from batchtwin.engine.backends.base import Note, PoolError
from batchtwin.engine.backends.node_client import NodeLostError
from batchtwin.engine.backends.node_pool import Checked, loss, room_ahead
from batchtwin.engine.backends.ray.environment import MachineEnvironment
from batchtwin.engine.backends.ray.head import call_with_timeout
from batchtwin.engine.backends.ray.node import RayNode, Try
from batchtwin.engine.backends.ray.node_actor import NodeActor
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.backends.ray.resources import counted_in_words, in_words, resources_for
from batchtwin.engine.backends.ray.sync import apply_deltas
from batchtwin.engine.backends.ray.transfer import pack, shared_paths
from batchtwin.engine.logs import Logs
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.codec import CodecError, any_from_json, to_json
from batchtwin_node.protocol import (
    FROM_NODE,
    SHUTDOWN_SECONDS,
    Event,
    Failure,
    FromNode,
    JobContext,
    Outcome,
    Ready,
    Usage,
    WorkerStarted,
)

# Seconds that an actor waits for events; less if it has room for more work.
FULL_SECONDS, ROOM_SECONDS = 1.0, 0.1
# An actor that is silent for so much longer counts as lost, whatever Ray says.
SILENT_SECONDS = 60.0
# The least speed at which an actor receives model and code, in bytes a second.
SLOWEST_BYTES = 1 << 20
# Seconds to end beyond the end of the workers.
CLOSE_SECONDS = 5.0
# How often a mini-batch may lose its node before that counts as a failed try.
LOSSES = 3
# How many actors in a row, for each node, may be lost without a try that ended.
FRUITLESS = LOSSES + 1
# When the user is told what the job waits for.
PATIENCE_SECONDS = 5.0
# Found in the texts of Ray's errors.
COLOURS, MACHINE = re.compile(r"\x1b\[[\d;]*m"), re.compile(r"\bip[=:] ?([\w.:]+)")


class RayPool:
    """The pool of one run: `context.workers` workers on as many nodes as the deployment says.

    `machine`: the variables for all workers and the environment, as JSON. `note` takes sentences for the user.
    """

    def __init__(
        self, context: JobContext, options: RayOptions, machine: tuple[str, MachineEnvironment], logs: Logs, note: Note
    ) -> None:
        nodes = min(context.nodes, context.workers)
        self._context, self._options, self._machine = context, options, machine
        self._logs, self._note = logs, note
        self._checked = Checked(context.run)
        self._queue: deque[Try] = deque()
        self._sizes = [(context.workers - number + nodes - 1) // nodes for number in range(nodes)]
        self._requests = [resources_for(options, size) for size in self._sizes]
        self._actor_class = ray.remote(max_restarts=0, max_task_retries=0)(NodeActor)
        self._nodes: list[RayNode] = []
        self._numbers = 0
        self._losses: Counter[int] = Counter()
        self._fruitless = 0
        self._seconds = 0.0  # of one mini-batch, averaged over the last ones
        self._alone_since = time.monotonic()
        self.in_words = False
        self._shared = shared_paths(context)
        self._root = Path(context.root)
        self._pieces: list[Any] = []  # of model and code, for nodes that need a copy
        self._packed = 0  # size of `_pieces` in bytes
        for place in range(nodes):
            self._start_actor(place)

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest."""
        (self._queue.append if attempt == 1 else self._queue.appendleft)((mini_batch, attempt))

    def events(self, timeout: float) -> Sequence[Event]:
        """Hand out work, then return the events of at most `timeout` seconds.

        Raises:
            PoolError: the cluster has no room, or every node is lost again and again.
        """
        self._feed()
        calls = {node.call: node for node in self._nodes if node.call is not None}
        done, _ = ray.wait(list(calls), num_returns=1, timeout=timeout)
        if done:
            done, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        events = [event for call in done for event in self._hear(calls[call])]
        now = time.monotonic()
        for node in self._silent(now):
            events += self._lose(node, f"it has been silent for {SILENT_SECONDS:g} seconds")
        self._look_for_room(now)
        return events

    def _silent(self, now: float) -> list[RayNode]:
        """Return the overdue nodes. This process may have been busy itself, so it looks once more first."""
        late = {node.call: node for node in self._nodes if node.up and node.call is not None and now > node.deadline}
        _, silent = ray.wait(list(late), num_returns=len(late), timeout=0, fetch_local=False) if late else ([], [])
        return [late[call] for call in silent]

    def close(self) -> None:
        """End all workers, idle ones in order, and release the actors."""
        closing = {node.handle.close.remote(): node for node in self._nodes if node.up}
        for call in _done(closing, SHUTDOWN_SECONDS + CLOSE_SECONDS):
            with suppress(Trouble, OSError):
                warning, deltas = ray.get(call)
                apply_deltas(self._root, deltas)
                if warning:
                    self._note(f"Warning: {closing[call].name}: {warning}")
        _done([node.handle.cleanup.remote() for node in closing.values()], CLOSE_SECONDS)
        call_with_timeout(self._dismiss)

    def _dismiss(self) -> None:
        """Release all actors; those that never started last, because releasing them waits for the head."""
        for node in sorted(self._nodes, key=lambda node: not node.up):
            ray.kill(node.handle)

    def _start_actor(self, place: int) -> None:
        """Request an actor. Each gets a number of its own, as a new machine would."""
        size, resources = self._sizes[place], self._requests[place]
        options, (carried, environment) = self._options, self._machine
        context = to_json(replace(self._context, workers=size))
        # One placement group per node: one for all would wait for room for the last of them.
        handle = self._actor_class.options(
            num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0), scheduling_strategy="SPREAD"
        ).remote(self._numbers, context, (carried, environment.to_json()), options.cpus, options.gpus)
        self._nodes.append(RayNode(self._numbers, place, size, handle, handle.begin.remote(self._shared)))
        self._numbers += 1

    def _feed(self) -> None:
        """Send each free node tasks for its workers, and short tasks ahead."""
        free = [node for node in self._nodes if node.up and node.call is None]
        tasks: dict[int, list[Try]] = {node.number: self._share(node) for node in free}
        queued = room_ahead(self._seconds)
        for node in free:
            if len(self._queue) > self._context.workers and not self._is_alone(node, tasks[node.number]):
                room = node.size * (1 + queued) - len(node.submitted) - len(tasks[node.number])
                tasks[node.number] += self._take(min(room, len(self._queue) - self._context.workers))
            if tasks[node.number] or node.submitted:
                seconds = FULL_SECONDS if len(node.submitted) + len(tasks[node.number]) >= node.size else ROOM_SECONDS
                node.request(tasks[node.number], seconds, time.monotonic() + seconds + SILENT_SECONDS)

    def _share(self, node: RayNode) -> list[Try]:
        """Take a node's share of the queue. A try of a lost node goes alone: it may take its node down again."""
        if self._is_alone(node):
            return []
        if self._queue and self._losses[self._queue[0][0].id]:
            return [] if node.submitted else [self._queue.popleft()]
        return self._take(node.size - len(node.submitted))

    def _is_alone(self, node: RayNode, tasks: Sequence[Try] = ()) -> bool:
        return any(self._losses[number] for number in (*node.submitted, *(task[0].id for task in tasks)))

    def _take(self, count: int) -> list[Try]:
        """Take tries from the queue, up to one of a lost node."""
        tries: list[Try] = []
        while len(tries) < count and self._queue and not self._losses[self._queue[0][0].id]:
            tries.append(self._queue.popleft())
        return tries

    def _hear(self, node: RayNode) -> Iterator[Event]:
        """Yield the events of a node's answer; a failed call means that the node is lost."""
        call, node.call = node.call, None
        try:
            answer = ray.get(call)
        except Trouble as error:
            yield from self._lose(node, reason(error))
            return
        if not node.up:
            self._on_ready(node, *answer)
            return
        lines, deltas = answer
        apply_deltas(self._root, deltas)
        try:
            for line in lines:
                yield from self._handle(node, any_from_json(FROM_NODE, line))
        except (CodecError, NodeLostError) as error:
            yield from self._lose(node, str(error))

    def _handle(self, node: RayNode, message: FromNode) -> Iterator[Event]:
        if isinstance(message, WorkerStarted):
            self._checked.workers.add(message.worker)
            self._logs.started(message.worker, message.pid, message.how)
        elif isinstance(message, Usage):
            self._logs.usage(message)
        elif isinstance(message, Ready):
            yield message
        elif isinstance(message, Outcome | Failure):
            task = None if message.mini_batch is None else node.submitted.get(message.mini_batch)
            if self._checked.accepts(message, task) and node.ended(message):
                yield message
            if isinstance(message, Outcome):
                self._fruitless = 0
                self._seconds += (message.seconds - self._seconds) / (10 if self._seconds else 1)

    def _on_ready(self, node: RayNode, version: str, shares: bool) -> None:
        """A node has answered: send model and code if it needs them."""
        if version != __version__:
            raise PoolError(f"{node.name} has batchtwin {version}, not {__version__}; install one version everywhere")
        node.up = True
        if not shares:
            if not self._pieces:
                self._pack()
            self._note(
                f"{node.name} does not see {self._root}: model and code go there, rows and logs come back by Ray"
            )
        making = self._machine[1].seconds
        if not shares or making:
            node.call = node.handle.furnish.remote([] if shares else self._pieces)
            node.deadline = time.monotonic() + SILENT_SECONDS + making + self._packed / SLOWEST_BYTES

    def _pack(self) -> None:
        try:
            self._packed = pack(self._context, lambda piece: self._pieces.append(ray.put(piece)))
        except Trouble as error:
            raise PoolError(f"model and code cannot be sent to a machine that does not see them: {error}") from None

    def _lose(self, node: RayNode, cause: str) -> Iterator[Event]:
        """Replace a lost node. Its mini-batches run again; up to a limit this is no failed try."""
        ray.kill(node.handle)
        self._nodes.remove(node)
        self._note(f"{node.name} is lost ({cause}); its {len(node.submitted)} mini batches are given to others")
        self._fruitless += 1
        if self._fruitless >= FRUITLESS * len(self._sizes):
            raise PoolError(f"{self._fruitless} nodes in a row were lost, and no try ended; the last: {cause}")
        if not any(other.up for other in self._nodes):
            self._alone_since, self.in_words = time.monotonic(), False
        self._start_actor(node.place)
        for task in reversed(node.submitted.values()):
            number = task[0].id
            self._losses[number] += 1
            if self._losses[number] % LOSSES:
                self._queue.appendleft(task)
            else:
                self._fruitless = 0
                yield loss(f"{node.name}/host", *task, cause)

    def _look_for_room(self, now: float) -> None:
        """Check whether the cluster has room: wait for a limited time, and tell the user what the job waits for."""
        if any(node.up for node in self._nodes):
            return
        waited = now - self._alone_since
        if waited > PATIENCE_SECONDS and not self.in_words:
            self.in_words = True
            self._note(f"Waiting for Ray, {self._options.wait:g} seconds at most: {self._wanted()}")
        if waited > self._options.wait:
            raise PoolError(f"no room on the Ray cluster for {self._options.wait:g} seconds: {self._wanted()}")

    def _wanted(self) -> str:
        """Describe what was requested, and what the cluster has."""
        requested = Counter(map(in_words, self._requests))
        text = f"requested {counted_in_words(requested)} ({self._context.workers} workers on {len(self._sizes)} nodes)"
        answer = call_with_timeout(lambda: (ray.nodes(), ray.available_resources()))
        if answer is None:
            return f"{text}; the head of the cluster does not answer"
        present = Counter(in_words(machine["Resources"]) for machine in answer[0] if machine["Alive"])
        return f"{text}; there is {counted_in_words(present) or 'nothing'}, of which {in_words(answer[1])} are free"


def _done(calls: Collection[Any], seconds: float) -> list[Any]:
    """Return the calls that end within so many seconds."""
    return list(ray.wait(list(calls), num_returns=len(calls), timeout=seconds)[0]) if calls else []


def reason(error: Exception) -> str:
    """Return why a call failed, and on which machine. Ray's message ends with the cause, below a long traceback."""
    text = COLOURS.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    why = lines[-1] if lines else type(error).__name__
    if isinstance(error, RayTaskError):  # its last line may be one of many
        why = " ".join("".join(traceback.format_exception_only(error.cause)).split())
    machine = MACHINE.search(text)
    return f"{why}, on {machine[1]}" if machine else why
