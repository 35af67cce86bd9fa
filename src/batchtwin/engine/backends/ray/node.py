"""A node of a job on Ray, seen from the parent: the actor, what it was given, and the call that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.pool import task_of
from batchtwin_node.protocol import Failure, Outcome

# A mini-batch, and which try of it. Its task is written out when it is handed over: there may be millions.
Try = tuple[MiniBatch, int]

# A worker that has its next task at hand does not wait for the parent. Of tasks this long there is one each ...
AHEAD_SECONDS = 0.1
# ... of longer ones none, for one that waits behind a long one may be the last of the job; of short ones at most these.
LONG_SECONDS, MOST_AHEAD = 1.0, 64


def room_ahead(seconds: float) -> int:
    """Return how many tasks a worker has waiting at its node, where one takes `seconds`; 0 for as yet unknown."""
    if not 0 < seconds < LONG_SECONDS:
        return 0
    return max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / seconds)))


@dataclass
class Node:
    """Node `number`, which has `place` among those that the job asks for, with `size` workers.

    `call` is what its actor was asked and has not answered; it should have by `deadline` (monotonic). `given` are the
    tries that have not ended, by mini-batch, `retired` names of workers to be replaced. `up`: it has answered once.
    """

    number: int
    place: int
    size: int
    handle: Any
    call: Any
    up: bool = False
    deadline: float = 0.0
    given: dict[int, Try] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As in the names of its workers."""
        return f"node{self.number}"

    def ask(self, tasks: Sequence[Try], seconds: float, deadline: float) -> None:
        """Hand over tasks, and ask what happens in the next `seconds`."""
        self.given.update((task[0].id, task) for task in tasks)
        texts = [task_of(*task).model_dump_json() for task in tasks]
        self.call, self.deadline = self.handle.step.remote(texts, self.retired, seconds), deadline
        self.retired = []

    def ended(self, event: Outcome | Failure) -> bool:
        """Take note of an event; tell whether it concerns what the node was given, or a worker's start."""
        if event.mini_batch is None:
            return True
        task = self.given.get(event.mini_batch)
        if task is None or task[1] != event.attempt:
            return False
        del self.given[event.mini_batch]
        return True
