"""Where the workers of a job run. A backend makes the pool of a run; the job cannot tell one kind from another."""

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
    """Nothing is left to run mini-batches on."""


class Pool(Protocol):
    """Whatever runs mini-batches."""

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch; a retry goes before the rest."""

    def events(self, timeout: float) -> Sequence[Event]:
        """Return what happened, waiting at most `timeout` seconds for something.

        Raises:
            PoolError: nothing will happen any more.
        """

    def close(self) -> None:
        """End all workers: idle ones in order, busy ones at once."""


class Backend(Protocol):
    """Somewhere to run one job."""

    def connect(self, prepared: Prepared) -> str:
        """Make sure that it is there, before anything is written; return what a resumed job has to find again.

        Raises:
            BatchTwinError: it is not.
        """

    def pool(self, context: JobContext, logs: Logs, note: Note) -> Pool:
        """Return the pool of a run; `note` tells a sentence to the person."""

    def explain(self, cause: str) -> str:
        """Return why a job failed in the words of this backend: what lacks, and where."""

    def close(self) -> None:
        """Leave it, after the pool is closed."""


def task_of(mini_batch: MiniBatch, attempt: int) -> Task:
    """Return what a worker is told of a mini-batch."""
    files = tuple(file.path for file in mini_batch.files)
    return Task(mini_batch=mini_batch.id, attempt=attempt, files=files, part=mini_batch.part)
