"""How many jobs run at once, and what becomes of those that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchtwin.workspace.entities import JobRecord, JobStatus
from support import wait_until_over

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

WAITING = """
import signal

def run(files):
    signal.pause()
"""


@pytest.fixture
def queue(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> tuple[JobRecord, JobRecord]:
    """A job that runs for ever, and one that waits for its place."""
    monkeypatch.setenv("BATCHTWIN_JOBS", "1")
    rehearsal.deploy(WAITING)
    first = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    return first, rehearsal.reach(rehearsal.invoke(), JobStatus.QUEUED)


def test_a_job_waits_until_another_has_ended(rehearsal: Rehearsal, queue: tuple[JobRecord, JobRecord]) -> None:
    first, second = queue
    rehearsal.drop(first)
    rehearsal.reach(second, JobStatus.RUNNING)
    rehearsal.drop(second)


def test_a_job_that_is_killed_gives_its_place_back(rehearsal: Rehearsal, queue: tuple[JobRecord, JobRecord]) -> None:
    first, second = queue
    process = rehearsal.process(first)
    assert process is not None
    process.kill()
    wait_until_over(process.pid)
    rehearsal.reach(second, JobStatus.RUNNING)
    rehearsal.drop(second)


def test_a_job_that_waits_can_be_cancelled(rehearsal: Rehearsal, queue: tuple[JobRecord, JobRecord]) -> None:
    first, second = queue
    rehearsal.workspace.jobs.cancel(second.name)
    assert rehearsal.end(second).status is JobStatus.CANCELED
    assert rehearsal.status(first) is JobStatus.RUNNING
    rehearsal.drop(first)


@pytest.mark.parametrize("count", ["0", "-1", "many", ""])
def test_the_number_of_places_is_one_or_more(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("BATCHTWIN_JOBS", count)
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    assert job.status is JobStatus.FAILED
    assert job.error == f"BATCHTWIN_JOBS={count}: must be the number of jobs that may run at once, 1 or more"
