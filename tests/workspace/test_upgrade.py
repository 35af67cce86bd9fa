"""Databases of other versions of batchtwin."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchtwin.workspace.entities import JobStatus
from batchtwin.workspace.errors import ConflictError, StoreError
from batchtwin.workspace.workspace import Workspace

if TYPE_CHECKING:
    from workspace.conftest import Crowd, Rehearsal

DOWNGRADE = """
ALTER TABLE jobs RENAME COLUMN request TO "order";
ALTER TABLE jobs RENAME COLUMN fingerprint TO request;
UPDATE workspace SET value = '1' WHERE key = 'schema';
"""


def change(where: str, script: str) -> None:
    """Run SQL on the database of a workspace."""
    with closing(sqlite3.connect(Path(where) / "workspace.sqlite")) as connection:
        connection.executescript(script)


def test_a_workspace_of_version_1_keeps_its_jobs(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke(job_name="nightly"))
    rehearsal.workspace.close()
    change(where, DOWNGRADE)
    with Workspace.open(where) as workspace:
        assert workspace.jobs.get("nightly") == job
        rehearsal.workspace = workspace
        assert rehearsal.invoke(job_name="nightly") == job
        with pytest.raises(ConflictError):
            rehearsal.invoke(job_name="nightly", mini_batch_size=1)
        assert rehearsal.end(rehearsal.invoke()).status is JobStatus.COMPLETED


def test_a_workspace_is_upgraded_by_one_of_many_processes(workspace: Workspace, where: str, crowd: Crowd) -> None:
    workspace.close()
    change(where, DOWNGRADE)
    assert crowd(10, where, "return len(workspace.jobs.list())") == [0] * 10


def test_a_workspace_of_a_later_version_is_refused(workspace: Workspace, where: str) -> None:
    workspace.close()
    change(where, "UPDATE workspace SET value = '99' WHERE key = 'schema'")
    with pytest.raises(StoreError, match="is a workspace of version 99; this batchtwin reads version 2"):
        Workspace.open(where)
