"""Run a prepared job: job, pool, report and output put together."""

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
from batchtwin.engine.job import Command, Job, Replace, Rules, Status, Submit
from batchtwin.engine.launch import Launcher
from batchtwin.engine.logs import Logs
from batchtwin.engine.pool import LocalPool, Pool
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import Progress
from batchtwin.engine.report import Report
from batchtwin.errors import OutputError
from batchtwin.spec.messages import Event, Ready

TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Result:
    """How a job ended. `cause` says why, with the first real cause, where it did not complete.

    `written` is the predictions file, else the place to look at; `refused` means that the script could not be run.
    """

    status: Status
    summary: str
    cause: str
    written: Path
    files: int
    rows: int
    refused: bool

    @property
    def exit_code(self) -> int:
        """0 Completed, 1 Failed, 2 refused, 130 Canceled."""
        if self.refused:
            return errors.REFUSED
        return {Status.COMPLETED: errors.COMPLETED, Status.CANCELED: errors.CANCELED}.get(self.status, errors.FAILED)


def run(prepared: Prepared, progress: Progress) -> Result:
    """Run a prepared job to its end, and write what it leaves.

    Raises:
        OutputError: the output folder cannot be made.
    """
    began = time.monotonic()
    prepared.output.make()
    with closing(Logs(prepared.output.root / "logs")) as logs:
        job = new_job(prepared)
        report = Report(prepared.plan, logs, progress)
        pool = LocalPool(
            prepared.workers, prepared.deployment.settings.retry_settings.timeout, Launcher(prepared, logs)
        )
        scheduled = f"Scheduled {len(job.items)} mini batches with {sum(job.items)} items"
        logs.progress(f"Scheduling finished. {scheduled} in {time.monotonic() - began:.3f} seconds.")
        with closing(progress), closing(pool), _signals() as caught:
            _drive(prepared, job, pool, report, caught)
        shutil.rmtree(prepared.output.scratch, ignore_errors=True)
        return _finish(prepared, job, report, logs)


def new_job(prepared: Prepared) -> Job:
    """Return the state machine of a prepared job."""
    settings = prepared.deployment.settings
    rules = Rules(
        tries=settings.retry_settings.tries,
        error_threshold=settings.error_threshold,
        append_row=settings.output_action == "append_row",
        workers=prepared.workers,
    )
    return Job([len(mini_batch.files) for mini_batch in prepared.plan.mini_batches], rules)


def _drive(prepared: Prepared, job: Job, pool: Pool, report: Report, caught: list[int]) -> None:
    """Pass events to the job and its commands to the pool until the job has ended."""
    _apply(prepared, pool, job.start())
    while job.status is Status.RUNNING:
        for event in pool.events(TICK_SECONDS):
            _apply(prepared, pool, _take(event, job, report))
        if caught:
            job.cancel()
        report.tick(job, pool)


def _take(event: Event, job: Job, report: Report) -> list[Command]:
    report.happened(event)
    before = job.processed
    commands = job.on(event)
    if job.processed > before and not isinstance(event, Ready) and event.mini_batch is not None:
        report.ended(event.mini_batch, event)
    return commands


def _apply(prepared: Prepared, pool: Pool, commands: list[Command]) -> None:
    for command in commands:
        match command:
            case Submit(number, attempt):
                pool.submit(prepared.plan.mini_batches[number], attempt)
            case Replace(worker):
                pool.replace(worker)


def _finish(prepared: Prepared, job: Job, report: Report, logs: Logs) -> Result:
    output = prepared.output
    if job.status is Status.COMPLETED:
        try:
            output.assemble(job.outcomes[number] for number in sorted(job.outcomes))
            logs.progress(f"All {len(job.items)} mini batches have been processed.")
        except OutputError as error:
            job.status, job.cause = Status.FAILED, str(error)
    failures = output.root / "failures.jsonl"
    any_failed = write_failures(failures, job, prepared.plan)
    cause = _cause(job, report)
    logs.result(job, cause)
    if job.status is Status.COMPLETED:
        written = output.predictions or output.score
    else:
        written = failures if any_failed else logs.root
    refused = job.fatal is not None and job.fatal.kind == "script"
    return Result(job.status, job.summary, cause, written, job.processed_items, job.rows, refused)


def _cause(job: Job, report: Report) -> str:
    """Why the job did not complete; with the first real cause, for the service's own texts hide it [+]."""
    if job.fatal is not None:
        return report.told(job.fatal)
    if job.status is Status.FAILED and job.first_failure is not None:
        return f"{job.cause}\nFirst cause: {report.told(job.first_failure)}"
    return job.cause


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM; a second one kills this process, and with it the workers."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            os._exit(errors.CANCELED)
        caught.append(number)

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
