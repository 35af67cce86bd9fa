"""Changes of a job's record: by the command that invokes it, its process, or a reader after that process has ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from batchtwin.engine.output.folder import OutputFolder
from batchtwin.locks import is_held
from batchtwin.workspace.database.rows import first, utc_now
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.database.tables import jobs
from batchtwin.workspace.entities import JobStatus
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.jobs import results
from batchtwin.workspace.jobs.liveness import LOCK, Process


def row_of(connection: Connection, name: str) -> RowMapping:
    """Return the record of a job.

    Raises:
        NotFoundError: no job has this name.
    """
    row = first(connection, select(jobs).where(jobs.c.name == name))
    if row is None:
        raise NotFoundError("job", name)
    return row


def change(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Write to the record of a job."""
    connection.execute(update(jobs).where(jobs.c.name == name).values(**values))


def hand_over(store: Store, name: str, process: Process) -> None:
    """Record the process of a job, unless it has claimed the job already."""
    with store.write() as connection:
        if not row_of(connection, name)["claimed"]:
            change(connection, name, {"pid": process.pid, "pid_started": process.started})


def claim(store: Store, name: str) -> RowMapping | None:
    """Take the job for this process and return its record; None if the job has ended or another process has it."""
    this = Process.this()
    with store.write() as connection:
        row = row_of(connection, name)
        status = JobStatus(row["status"])
        if status.is_final or row["claimed"]:
            return None
        if status is JobStatus.CANCEL_REQUESTED:
            change(connection, name, {"status": JobStatus.CANCELED, "ended": utc_now()})
            return None
        values = {"status": JobStatus.STARTING, "started": utc_now(), "claimed": True}
        change(connection, name, {**values, "pid": this.pid, "pid_started": this.started})
        return row_of(connection, name)


def advance(store: Store, name: str, status: JobStatus) -> None:
    """Set the status of a running job; a request to cancel it stays."""
    with store.write() as connection:
        current = JobStatus(row_of(connection, name)["status"])
        if not current.is_final and current is not JobStatus.CANCEL_REQUESTED:
            change(connection, name, {"status": status})


def end(store: Store, name: str, status: JobStatus, error: str | None) -> None:
    """Record how a job ended, and when."""
    with store.write() as connection:
        change(connection, name, {"status": status, "ended": utc_now(), "error": error})


def reconcile(store: Store, row: RowMapping) -> RowMapping:
    """Return the record, brought up to date: a job without its process has ended; a resumed job may be complete.

    Complete output is delivered first.
    """
    folder = store.root / row["output"]
    if JobStatus(row["status"]).is_final:
        changes = None if row["status"] == JobStatus.COMPLETED else _resumed(row, folder)
    else:
        changes = None if _is_alive(row, folder) else _orphaned(row, folder)
    if changes is None:
        return row
    with store.write() as connection:
        # The process may have set the final status, and ended, since the row was read.
        current = row_of(connection, row["name"])
        if (current["status"], current["pid"]) == (row["status"], row["pid"]):
            change(connection, row["name"], {"ended": utc_now(), **changes})
        return row_of(connection, row["name"])


def _is_alive(row: RowMapping, folder: Path) -> bool:
    is_alive = is_held(folder / LOCK)
    return Process(row["pid"], row["pid_started"]).is_alive if is_alive is None else is_alive


def _resumed(row: RowMapping, folder: Path) -> dict[str, Any] | None:
    manifest = OutputFolder(folder).manifest
    if not manifest.exists() or (row["ended"] and manifest.stat().st_mtime < row["ended"].timestamp()):
        return None
    return _whole(row, folder)


def _orphaned(row: RowMapping, folder: Path) -> dict[str, Any]:
    is_unwanted = row["status"] == JobStatus.CANCEL_REQUESTED
    if is_unwanted and not results.is_complete(folder, row["request"]["output_path"]):
        return {"status": JobStatus.CANCELED}
    output = OutputFolder(folder)
    if output.manifest.exists():
        return _whole(row, folder)
    advice = f"resume: batchtwin resume {folder}" if output.ledger.exists() else "invoke the endpoint again"
    return {"status": JobStatus.FAILED, "error": f"the job's process is gone; {advice}"}


def _whole(row: RowMapping, folder: Path) -> dict[str, Any]:
    """Return the record of a job with whole output: it is complete once that is delivered to its target."""
    try:
        results.deliver(folder, row["request"]["output_path"])
    except InvalidError as error:
        return {"status": JobStatus.FAILED, "error": str(error)}
    return {"status": JobStatus.COMPLETED, "error": None}
