"""A node of a job on Ray, seen from the controller: the actor, what it was given, and the call that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from batchtwin.engine.backends.base import task_of
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import Failure, Outcome

# A mini-batch, and which try of it. Its task is written out when it is handed over: there may be millions.
Try = tuple[MiniBatch, int]


@dataclass
class Node:
    """Node `number`, which has `place` among those that the job asks for, with `size` workers.

    `call` is what its actor was asked and has not answered; it should have by `deadline` (monotonic). `given` are the
    tries that have not ended, by mini-batch. `up`: it has answered once.
    """

    number: int
    place: int
    size: int
    handle: Any
    call: Any
    up: bool = False
    deadline: float = 0.0
    submitted: dict[int, Try] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in the names of its workers."""
        return f"node{self.number}"

    def ask(self, tasks: Sequence[Try], seconds: float, deadline: float) -> None:
        """Hand over tasks, and ask what happens in the next `seconds`."""
        self.submitted.update((task[0].id, task) for task in tasks)
        texts = [to_json(task_of(*task)) for task in tasks]
        self.call, self.deadline = self.handle.step.remote(texts, seconds), deadline

    def ended(self, event: Outcome | Failure) -> bool:
        """Take note of an event; tell whether it concerns what the node was given, or a worker's start."""
        if event.mini_batch is None:
            return True
        task = self.submitted.get(event.mini_batch)
        if task is None or task[1] != event.attempt:
            return False
        del self.submitted[event.mini_batch]
        return True
