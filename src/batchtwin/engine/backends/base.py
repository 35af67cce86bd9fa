"""Where the workers of a job run: one protocol for this machine, a container and a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from batchtwin.engine.logs import Logs
from batchtwin.engine.prepare import Prepared
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.plan import MiniBatch
from batchtwin_node.protocol import Event, JobContext, Task

Note = Callable[[str], None]


class PoolError(BatchTwinError):
    """No node is left to run mini-batches on."""


class Pool(Protocol):
    """Runs mini-batches on one or more nodes."""

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest."""

    def events(self, timeout: float) -> Sequence[Event]:
        """Return the events of at most `timeout` seconds, as soon as there is one.

        Raises:
            PoolError: no event will ever come.
        """

    def close(self) -> None:
        """End all workers: idle ones in order, busy ones at once."""


class Backend(Protocol):
    """A place to run one job."""

    def connect(self, prepared: Prepared) -> str:
        """Check that the place is there, before anything is written; return what the ledger keeps of it.

        Raises:
            BatchTwinError: it is not there.
        """

    def pool(self, context: JobContext, logs: Logs, note: Note) -> Pool:
        """Return the pool of a run. The pool passes sentences for the user to `note`."""

    def explain(self, cause: str) -> str:
        """Return the cause of a failure with what only this backend knows: what is missing, and where."""

    def close(self) -> None:
        """Release the place, after the pool is closed."""


def task_of(mini_batch: MiniBatch, attempt: int) -> Task:
    """Return the message that hands a mini-batch to a node."""
    files = tuple(file.path for file in mini_batch.files)
    return Task(mini_batch=mini_batch.id, attempt=attempt, files=files, part=mini_batch.part)
