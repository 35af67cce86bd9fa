"""A node of a job on Ray, seen from the controller: its actor, its tries, and the pending call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from batchtwin.engine.backends.base import task_of
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import Failure, Outcome

# A mini-batch, and the number of the try. The task is built when it is sent: there may be millions.
Try = tuple[MiniBatch, int]


@dataclass
class RayNode:
    """Node `number` of the job, in `place` (its index among the nodes that the job requests), with `size` workers.

    `call` is the pending call of its actor, due by `deadline` (monotonic). `given` are the tries that have not ended,
    by mini-batch. `up`: it has answered once.
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
        """The name, as in the names of its workers."""
        return f"node{self.number}"

    def request(self, tasks: Sequence[Try], seconds: float, deadline: float) -> None:
        """Send tasks, and request the events of the next `seconds`."""
        self.submitted.update((task[0].id, task) for task in tasks)
        texts = [to_json(task_of(*task)) for task in tasks]
        self.call, self.deadline = self.handle.step.remote(texts, seconds), deadline

    def ended(self, event: Outcome | Failure) -> bool:
        """Record an event; return whether it is about a try of this node, or the start of a worker."""
        if event.mini_batch is None:
            return True
        task = self.submitted.get(event.mini_batch)
        if task is None or task[1] != event.attempt:
            return False
        del self.submitted[event.mini_batch]
        return True
