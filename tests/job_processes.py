"""The processes of jobs, and what starts them."""

from __future__ import annotations

from contextlib import suppress

import psutil

from batchtwin.workspace.jobs import states
from batchtwin.workspace.jobs.liveness import Process
from batchtwin.workspace.workspace import Workspace


def process_of(workspace: Workspace, job: str) -> psutil.Process | None:
    """The job's process, if it is there."""
    with workspace.store.read() as connection:
        row = states.row_of(connection, job)
    if Process(row["pid"], row["pid_started"]).is_of(workspace.root / row["output"]):
        with suppress(psutil.NoSuchProcess):  # it may have ended since
            return psutil.Process(row["pid"])
    return None
