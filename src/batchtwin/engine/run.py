"""Run a prepared job: job, pool, logs and output put together."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from batchtwin import errors
from batchtwin.engine.failures import write_failures
from batchtwin.engine.job import Command, Job, Replace, Rules, Status, Stop, Submit
from batchtwin.engine.launch import Launcher
from batchtwin.engine.logs import Logs
from batchtwin.engine.pool import LocalPool, Pool
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import Progress, progress_line
from batchtwin.errors import OutputError
from batchtwin.spec.messages import Failure

TICK_SECONDS = 0.2
OVERVIEW_SECONDS = 5.0
TRACEBACK_LINES = 12


@dataclass(frozen=True)
class Result:
    """How a job ended. `cause` says why, with the first real cause, where it did not complete."""

    status: Status
    summary: str
    cause: str
    written: Path
    files: int
    rows: int
    refused: bool

    @property
    def exit_code(self) -> int:
        """0 Completed, 1 Failed, 2 a script that cannot be run, 130 Canceled."""
        if self.refused:
            return errors.REFUSED
        return {Status.COMPLETED: errors.COMPLETED, Status.CANCELED: errors.CANCELED}.get(self.status, errors.FAILED)


class Run:
    """One job from its first command to its result."""

    def __init__(self, prepared: Prepared, progress: Progress) -> None:
        settings = prepared.deployment.settings
        rules = Rules(
            tries=settings.retry_settings.tries,
            error_threshold=settings.error_threshold,
            append_row=settings.output_action == "append_row",
            workers=prepared.workers,
        )
        self._prepared = prepared
        self._progress = progress
        self._plan = prepared.plan
        self._job = Job([len(mini_batch.files) for mini_batch in self._plan.mini_batches], rules)
        self._began = time.monotonic()
        prepared.output.make()
        self._logs = Logs(prepared.output.root / "logs")

    def __call__(self) -> Result:
        """Run to the end, and write what the job leaves."""
        count, items = len(self._plan.mini_batches), self._plan.items
        self._logs.progress(f"Scheduling finished. Scheduled {count} mini batches with {items} items in 0.0 seconds.")
        launcher = Launcher(self._prepared, self._logs)
        timeout = self._prepared.deployment.settings.retry_settings.timeout
        pool = LocalPool(self._prepared.workers, timeout, launcher)
        with closing(self._progress), closing(pool):
            self._drive(pool)
        shutil.rmtree(self._prepared.output.scratch, ignore_errors=True)
        return self._finish()

    def _drive(self, pool: Pool) -> None:
        with _signals() as caught:
            self._apply(pool, self._job.start())
            overview = self._began
            while self._job.status is Status.RUNNING:
                for event in pool.events(TICK_SECONDS):
                    if isinstance(event, Failure):
                        self._tell(event)
                    self._apply(pool, self._job.on(event))
                if caught:
                    self._apply(pool, self._job.cancel())
                self._progress.update(self._job)
                if time.monotonic() - overview > OVERVIEW_SECONDS:
                    overview = time.monotonic()
                    self._logs.progress(progress_line(self._job, overview - self._began))

    def _apply(self, pool: Pool, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Submit(number, attempt):
                    pool.submit(self._plan.mini_batches[number], attempt)
                case Replace(worker):
                    pool.replace(worker)
                case Stop():
                    return

    def _tell(self, failure: Failure) -> None:
        """Log every failed try; show the first at once, unless it ends the job and is shown then."""
        first = self._job.first_failure is None
        self._logs.failure(failure, self._file_of(failure))
        if first and failure.kind not in {"bad_file", "script", "write"}:
            self._progress.note("\n".join([f"First failure: {self._told(failure)}", *_end_of(failure.traceback)]))

    def _file_of(self, failure: Failure) -> str:
        if failure.bad_file:
            return failure.bad_file.file
        return self._plan.mini_batches[failure.mini_batch].files[0].path if failure.mini_batch is not None else ""

    def _told(self, failure: Failure) -> str:
        """A failure in one line: what, and in which file."""
        if failure.kind == "bad_file":
            return failure.message
        file = self._file_of(failure)
        where = f" (mini batch {failure.mini_batch}, {file}, try {failure.attempt})" if file else ""
        return f"{failure.message}{where}"

    def _finish(self) -> Result:
        job, output = self._job, self._prepared.output
        if job.status is Status.COMPLETED:
            try:
                output.assemble(job.outcomes[number] for number in sorted(job.outcomes))
            except OutputError as error:
                job.status, job.cause = Status.FAILED, str(error)
        failures = output.root / "failures.jsonl"
        any_failed = write_failures(failures, job, self._plan)
        if job.status is Status.COMPLETED:
            self._logs.progress(f"All {len(self._plan.mini_batches)} mini batches have been processed.")
        cause = self._cause()
        self._logs.result(job, cause)
        completed = job.status is Status.COMPLETED
        written = (output.predictions or output.score) if completed else failures if any_failed else self._logs.root
        refused = job.fatal is not None and job.fatal.kind == "script"
        return Result(job.status, job.summary, cause, written, job.processed_items, job.rows, refused)

    def _cause(self) -> str:
        job = self._job
        if job.status is Status.COMPLETED:
            return ""
        if job.fatal is not None:
            return self._told(job.fatal)
        if job.status is Status.FAILED and job.first_failure is not None:
            return f"{job.cause}\nFirst cause: {self._told(job.first_failure)}"
        return job.cause


def _end_of(trace: str) -> list[str]:
    """The last frames of a traceback, without its last line, which is the message, and without Python's carets."""
    lines = [line for line in trace.rstrip().splitlines() if line.strip(" ^~")]
    return lines[-TRACEBACK_LINES:-1]


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM; a second one kills this process, and with it the workers."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, _die)
        signal.signal(signal.SIGTERM, _die)

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die(number: int, frame: FrameType | None) -> None:
    os._exit(errors.CANCELED)


def run(prepared: Prepared, progress: Progress) -> Result:
    """Run a prepared job.

    Raises:
        OutputError: the output folder cannot be made.
    """
    return Run(prepared, progress)()
