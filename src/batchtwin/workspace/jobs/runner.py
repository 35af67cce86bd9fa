"""The process of one job: `python -m batchtwin.workspace.jobs.runner JOB FOLDER`, which the workspace starts.

It imports next to nothing before it has printed its pid: the command that invoked the job waits for that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from batchtwin.engine.tracking.choice import SWITCH as MLFLOW
from batchtwin.redaction import hide, print_traceback
from batchtwin.subprocesses import collect_rarely

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from batchtwin.engine.job import Job, Status
    from batchtwin.engine.output.result import JobResult
    from batchtwin.engine.tracking.logged import LogReader
    from batchtwin.workspace.database.store import Store
    from batchtwin.workspace.entities import JobStatus
    from batchtwin.workspace.jobs.mlflow_run import Measured
    from batchtwin.workspace.jobs.recorder import Recorder

# The working folder of a workspace's jobs, beside their own folders; workers have others.
WORKING = ".working"


class Canceled(BaseException):
    """The job was canceled while the engine did not listen."""


@contextmanager
def cancellable() -> Iterator[None]:
    """Raise `Canceled` on SIGTERM; after the block the signal has no effect."""

    def catch(number: int, frame: FrameType | None) -> None:
        raise Canceled

    signal.signal(signal.SIGTERM, catch)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class JobMonitor:
    """The engine's progress: a job that runs is Running, and Finalizing once its mini-batches have ended."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self.job: Job | None = None
        self.recorder: Recorder | None = None

    def update(self, job: Job) -> None:
        """Record the status of the job."""
        self.job = job
        if self.recorder is not None:
            self.recorder.tick()

    def note(self, text: str) -> None:
        """Write a line to the job's own log."""
        print(hide(text), flush=True)

    def close(self) -> None:
        """Record that output and manifest follow."""
        from batchtwin.workspace.entities import JobStatus
        from batchtwin.workspace.errors import StoreError
        from batchtwin.workspace.jobs import states

        with suppress(StoreError):  # a failure to write the state must not fail the job
            states.advance(self._store, self._name, JobStatus.FINALIZING)


def main(name: str, folder: Path) -> None:
    """Run the job to its end, record how it ended, and add its MLflow run."""
    collect_rarely()
    from batchtwin.workspace.database.store import VARIABLE, Store
    from batchtwin.workspace.jobs import states

    store = Store.open()
    os.environ.pop(VARIABLE)  # not for the scoring script
    own_tracking()
    began = time.time()
    watch = JobMonitor(store, name)
    row: RowMapping | None = None
    try:
        with cancellable():
            row = states.claim(store, name)
            if row is None:
                return
            status, error = run(store, row, folder, watch)
    except Canceled:
        status, error = canceled(row, folder)
    states.end(store, name, status, error)
    print(status, error or "", flush=True)
    if row is not None:
        record(store, name, watch, measured(watch, began))
    store.close()


def own_tracking() -> None:
    """Send the script's log to the job's run; registered models still come from the caller's tracking URI."""
    from batchtwin.engine.tracking.choice import REGISTRY, URI, absolute

    uri = os.environ.pop(URI, None)
    if uri:
        os.environ.setdefault(REGISTRY, absolute(uri))


def run(store: Store, row: RowMapping, folder: Path, watch: JobMonitor) -> tuple[JobStatus, str | None]:
    """Score, as `batchtwin score` does; return how the job ended, and why if it did not complete."""
    from batchtwin.errors import BatchTwinError
    from batchtwin.workspace.entities import JobStatus
    from batchtwin.workspace.jobs import results, states
    from batchtwin.workspace.jobs.concurrency import job_slot

    def wait() -> None:
        states.advance(store, row["name"], JobStatus.QUEUED)

    try:
        with job_slot(store.root, wait):
            states.advance(store, row["name"], JobStatus.PREPARING)
            result = score(store, row, folder, watch)
        status = JobStatus(result.status.value)
        if status is JobStatus.COMPLETED:
            results.deliver(folder, row["request"]["output_path"])
        return status, result.cause if status is JobStatus.FAILED else None
    except BatchTwinError as error:
        return JobStatus.FAILED, str(error)
    except Exception as error:
        print_traceback()
        reason = hide(f"{type(error).__name__}: {error}")
        return JobStatus.FAILED, f"{reason}; the traceback is in {folder / 'runner.log'}"


def score(store: Store, row: RowMapping, folder: Path, watch: JobMonitor) -> JobResult:
    """Run the job through the engine."""
    from batchtwin.engine.backends.choice import backend_for
    from batchtwin.engine.backends.warm.settings import is_warm
    from batchtwin.engine.prepare import Request, place_request, prepare, resolve
    from batchtwin.workspace.entities import JobStatus
    from batchtwin.workspace.jobs import states
    from batchtwin.workspace.jobs.preview import environment_options
    from batchtwin.workspace.jobs.recorder import Recorder
    from batchtwin_node.script.azureml_core import EXPERIMENT_VARIABLE

    os.environ[EXPERIMENT_VARIABLE] = row["experiment"]
    request = Request(
        folder / "deployment.yml",
        fetched(store, row, watch),
        output=folder,
        warm=is_warm(os.environ, True),
        environment=environment_options(),
    )
    resolved = resolve(request)
    placement = place_request(request, resolved, watch.note)
    with closing(backend_for(request, resolved, placement)) as backend:
        from batchtwin.engine.new_job import new_job  # while the node starts

        prepared = prepare(request, resolved).placed(placement)
        for warning in prepared.warnings:
            watch.note(f"Warning: {warning}")
        states.advance(store, row["name"], JobStatus.RUNNING)
        if os.environ.get(MLFLOW) != "off":
            watch.recorder = Recorder(store, row["name"], folder, time.time())
        return new_job(prepared, watch, backend, kept)


def fetched(store: Store, row: RowMapping, watch: JobMonitor) -> Path:
    """Return the job's input on this machine; one on the web is fetched first."""
    address = row["request"]["input"]
    if "://" not in address:
        return Path(address)
    from batchtwin.inputs.public_blobs import fetch
    from batchtwin.inputs.public_web import Limits, PublicWeb, allows_private

    watch.note(f"Fetching {address}")
    web = PublicWeb(Limits(), allows_private())
    return fetch(web, address, row["request"].get("input_type"), store.root)


def kept(logged: LogReader, status: Status, name: str) -> str | None:
    """Keep what the script logged for the run of the job; without a run it stays, and the sentence says where."""
    from batchtwin.engine.tracking.deliver import logged_counts

    if logged.is_empty():
        logged.remove()
        return None
    if os.environ.get(MLFLOW) != "off":
        return None
    logged.take()
    return f"MLflow: the job logged {logged_counts(logged)}; {MLFLOW}=off, so they stay in {logged.folder}"


def canceled(row: RowMapping | None, folder: Path) -> tuple[JobStatus, str | None]:
    """Return how a canceled job ended: Completed if its output is complete."""
    from batchtwin.workspace.entities import JobStatus
    from batchtwin.workspace.jobs import results

    is_complete = row is not None and results.is_complete(folder, row["request"]["output_path"])
    return (JobStatus.COMPLETED if is_complete else JobStatus.CANCELED), None


def measured(watch: JobMonitor, began: float) -> Measured:
    """Return the figures of the job, times in seconds."""
    from batchtwin.workspace.jobs.mlflow_run import Measured

    job = watch.job
    if job is None:
        return Measured(began, time.time(), "", {})
    seconds = max(time.time() - began, 1e-9)
    figures = {
        "files": job.processed_items,
        "succeeded": job.succeeded,
        "failures": job.failed,
        "mini_batches": job.processed,
        "rows": job.rows,
        "seconds": seconds,
        "rows_per_second": job.rows / seconds,
    }
    return Measured(began, time.time(), job.summary, figures)


def record(store: Store, name: str, watch: JobMonitor, figures: Measured) -> None:
    """Add the MLflow run. A failure here does not change how the job ended."""
    from batchtwin.workspace.jobs.mlflow_run import JobRun

    if os.environ.get(MLFLOW) == "off" or (watch.recorder is not None and watch.recorder.end(figures)):
        return
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.nice(10)  # seconds of imports: the next job has priority
    try:
        JobRun(store, name, figures.began).end(figures)
    except ModuleNotFoundError as error:
        print(f"No MLflow run: {error}", flush=True)
    except Exception:
        print_traceback()


def detach(folder: Path) -> None:
    """Fork, print the pid of the child and exit; go on in the child."""
    pid = os.fork()
    if pid:
        os.write(1, str(pid).encode())
        os._exit(0)
    enter(folder)


def enter(folder: Path) -> None:
    """Write to the job's `runner.log` from now on, and go to the working folder of the jobs."""
    log = os.open(folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    # All jobs have the same working folder: relative names mean the same for the imports of each.
    working = folder.parent / WORKING
    working.mkdir(exist_ok=True)
    os.chdir(working)


if __name__ == "__main__":
    job_folder = Path(sys.argv[2])
    detach(job_folder)
    main(sys.argv[1], job_folder)
