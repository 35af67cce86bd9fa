"""The rules of a batch job as a state machine: events in, tries to submit out. It knows no process, file or clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Event, Failure, Outcome, Ready

INIT_FAILURES_PER_WORKER = 3
NOTHING_SUCCEEDED = (
    "There is no succeeded mini batch item returned from run(). "
    "Please check 'response: run()' in https://aka.ms/batch-inference-documentation"
)
# A failure of these kinds ends the job; `protocol.py` lists all kinds.
FATAL = frozenset({"bad_file", "write", "script", "not_in_parts"})


class Status(StrEnum):
    """The status of a job. All but RUNNING are final."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


@value_object
class Submit:
    """Have a worker run a mini-batch, as try number `attempt`; a retry goes before what waits."""

    mini_batch: int
    attempt: int


@value_object
class Rules:
    """The deployment's rules on tries, failures and output; `workers` is how many really run.

    `driver`: the MLflow driver runs, no script of the user; its `init()` only loads the model.
    """

    tries: int
    error_threshold: int
    append_row: bool
    workers: int
    driver: bool = False


@dataclass
class Job:
    """A running job. `items[i]` is the number of files in mini-batch i."""

    items: Sequence[int]
    rules: Rules
    status: Status = Status.RUNNING
    cause: str = ""
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    out_of_tries: dict[int, Failure] = field(default_factory=dict)
    first_failure: Failure | None = None
    fatal: Failure | None = None
    processed_items: int = 0
    succeeded: int = 0
    failed: int = 0
    rows: int = 0
    init_failures: int = 0
    _loaded: bool = False
    _init_causes: set[str] = field(default_factory=set)

    @property
    def processed(self) -> int:
        """Mini-batches that ended: succeeded, or out of tries."""
        return len(self.outcomes) + len(self.out_of_tries)

    @property
    def summary(self) -> str:
        """The service's summary line [A]."""
        return (
            f"There are {len(self.items)} mini batches with {sum(self.items)} items. "
            f"Processed {self.processed} mini batches containing {self.processed_items} items, "
            f"{self.succeeded} succeeded, {self.failed} failed. The error threshold is {self.rules.error_threshold}."
        )

    @property
    def failed_mini_batches(self) -> int:
        """Mini-batches that are out of tries, or that lack results for some of their items."""
        return len(self.out_of_tries) + sum(outcome.failed > 0 for outcome in self.outcomes.values())

    @property
    def may_fare_better(self) -> bool:
        """Whether anything but bad files has failed: a retry of these changes nothing."""
        return bool(self.out_of_tries) or any(
            outcome.failed > len(outcome.bad_files) for outcome in self.outcomes.values()
        )

    @property
    def is_settled(self) -> bool:
        """Whether the job has failed already: only another outcome of a failed mini-batch could change that."""
        nothing = self.rules.append_row and not self.succeeded
        return self._exceeded or (self.processed == len(self.items) and nothing)

    @property
    def _exceeded(self) -> bool:
        return 0 <= self.rules.error_threshold < self.failed

    def start(self) -> list[Submit]:
        """The first tries: every mini-batch that has not ended, in plan order."""
        if self.status is not Status.RUNNING:
            return []
        ended = self.outcomes.keys() | self.out_of_tries.keys()
        return [Submit(number, 1) for number in range(len(self.items)) if number not in ended]

    def has_ended(self, mini_batch: int | None) -> bool:
        """Whether a mini-batch has ended."""
        return mini_batch in self.outcomes or mini_batch in self.out_of_tries

    def replay(self, ended: Iterable[Outcome | Failure]) -> None:
        """Take over how mini-batches ended in an earlier run of the same job."""
        for event in ended:
            if self.status is Status.RUNNING and event.mini_batch is not None and not self.has_ended(event.mini_batch):
                if isinstance(event, Outcome):
                    self._on_outcome(event)
                else:
                    self.first_failure = self.first_failure or event
                    self._give_up(event, event.mini_batch)

    def on(self, event: Event) -> list[Submit]:
        """Take one event; events after the end of the job change nothing."""
        self._loaded = self._loaded or not isinstance(event, Failure)
        if self.status is not Status.RUNNING or isinstance(event, Ready):
            return []
        if isinstance(event, Outcome):
            return self._on_outcome(event)
        self.first_failure = self.first_failure or event
        if event.kind in FATAL:
            self.fatal = event
            return self._end(Status.FAILED, event.message)
        if event.mini_batch is None:
            return self._on_init_failure(event)
        return self._on_failed_try(event, event.mini_batch)

    def cancel(self) -> list[Submit]:
        """Cancel in order: what is done stays done."""
        return [] if self.status is not Status.RUNNING else self._end(Status.CANCELED, "canceled by a signal")

    def fail(self, cause: str) -> None:
        """End as Failed, whatever the status was, because the runtime itself cannot go on."""
        self._end(Status.FAILED, cause)

    def _on_outcome(self, outcome: Outcome) -> list[Submit]:
        if self.has_ended(outcome.mini_batch):
            return []
        self.outcomes[outcome.mini_batch] = outcome
        self.rows += outcome.rows
        return self._count(outcome.succeeded, outcome.failed)

    def _on_failed_try(self, failure: Failure, mini_batch: int) -> list[Submit]:
        if failure.attempt < self.rules.tries:
            return [Submit(mini_batch, failure.attempt + 1)]
        return self._give_up(failure, mini_batch)

    def _give_up(self, failure: Failure, mini_batch: int) -> list[Submit]:
        self.out_of_tries[mini_batch] = failure
        return self._count(0, self.items[mini_batch])

    def _on_init_failure(self, failure: Failure) -> list[Submit]:
        if failure.kind != "init":
            return []
        self.init_failures += 1
        # What may differ between times or workers: numbers, addresses.
        self._init_causes.add(re.sub(r"0x[0-9a-f]+|\d+", "#", failure.message) if failure.traceback else "")
        if self.init_failures < self._init_failures_allowed * self.rules.workers:
            return []
        text = f"The init() function in the entry script had raised exception for {self.init_failures} times."
        return self._end(Status.FAILED, text)

    @property
    def _init_failures_allowed(self) -> int:
        """How often each worker may fail to start [A]. A model that fails to load everywhere alike gets no second
        chance [R].
        """
        is_hopeless = (
            self.rules.driver and not self._loaded and len(self._init_causes) == 1 and "" not in self._init_causes
        )
        return 1 if is_hopeless else INIT_FAILURES_PER_WORKER

    def _count(self, succeeded: int, failed: int) -> list[Submit]:
        self.succeeded += succeeded
        self.failed += failed
        self.processed_items += succeeded + failed
        if self._exceeded:
            threshold = self.rules.error_threshold
            text = f"The number of failed items is {self.failed}, which exceeds error threshold {threshold}."
            return self._end(Status.FAILED, text)
        if self.processed < len(self.items):
            return []
        if self.rules.append_row and not self.succeeded:
            return self._end(Status.FAILED, NOTHING_SUCCEEDED)
        return self._end(Status.COMPLETED, "")

    def _end(self, status: Status, cause: str) -> list[Submit]:
        self.status, self.cause = status, cause
        return []


class Way(StrEnum):
    """How to go on with a job that did not complete."""

    NONE = ""
    RESUME = "resume"
    RETRY = "retry"
    SCORE = "score"


def way_on(job: Job) -> Way:
    """Return how to go on with a job: only a retry changes what is settled, and no resume reads a corrected input.

    A completed job goes on if files have failed.
    """
    if job.status is Status.COMPLETED:
        return (Way.RETRY if job.may_fare_better else Way.SCORE) if job.failed else Way.NONE
    if job.fatal is not None and job.fatal.kind == "bad_file":
        return Way.SCORE
    return Way.RETRY if job.is_settled else Way.RESUME


def next_step(job: Job, root: Path, *, script: bool, changed: Sequence[str] = ()) -> str:
    """Return the command that goes on with the job in `root`, and what it runs; empty if nothing is left to run.

    `script`: the job has a scoring script, which may have to be changed. `changed` are sentences on changes that
    no resume accepts.
    """
    way = way_on(job)
    if way is Way.NONE:
        return ""
    if changed:
        more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
        return f"`batchtwin resume` refuses this job: {changed[0]}{more}; score again with --output {root} --overwrite"
    if way is Way.SCORE:
        files = "the file" if job.failed < 2 else f"the {job.failed} files"
        others = "" if job.failed else ". To score the other files without it, add --bad-files quarantine"
        return (
            f"Correct {files} and score again with --output {root} --overwrite: `batchtwin resume` refuses a changed "
            f"input{others}"
        )
    waiting, failed = len(job.items) - job.processed, job.failed_mini_batches
    what, parts = ("script or deployment", "code,deployment") if script else ("the deployment", "deployment")
    changed = f"; after a change of {what}, add --accept-changed {parts}; after one of an input, score again"
    command = f"batchtwin resume {root}"
    if job.status is Status.COMPLETED:
        return f"`{command} --retry-failed` runs {_count(failed, 'failed')} again{changed}"
    if way is Way.RETRY:
        runs = " and ".join([_count(failed, "failed"), *([f"the {waiting} waiting"] if waiting else [])])
        return f"`{command}` alone changes nothing; `{command} --retry-failed` runs {runs}{changed}"
    repeated = f"; with --retry-failed, {_count(failed, 'failed')} too" if failed else ""
    return f"`{command}` runs {_count(waiting, 'waiting')}{repeated}{changed}"


def _count(number: int, kind: str) -> str:
    return f"the {number} {kind} mini batch{'' if number == 1 else 'es'}"
