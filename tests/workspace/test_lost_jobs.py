"""Jobs that are cancelled, killed, lost, and found again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import TYPE_CHECKING

import pytest

from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.jobs import states
from batchtwin.workspace.jobs.liveness import LOCK, Process
from support import batchtwin, wait_for, wait_until_over

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

PATIENT = """
import os, time
def run(files):
    while not os.path.exists("{go}"):
        time.sleep(0.01)
    return [open(file).read().strip() for file in files]
"""
# A file of the output that is read for ever: the other side of a terminal that nobody opens.
ENDLESS = """
import os
def run(files):
    os.symlink("/dev/ptmx", os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], "endless"))
    return ["done"]
"""


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that a patient script waits for."""
    return tmp_path / "go"


def kill(rehearsal: Rehearsal, job: JobRecord) -> None:
    """Kill the job's process as the kernel does when memory runs out."""
    process = rehearsal.process(job)
    assert process is not None
    process.kill()
    wait_until_over(process.pid)


def test_a_running_job_is_cancelled(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    assert rehearsal.workspace.jobs.cancel(job.name).status in {JobStatus.CANCEL_REQUESTED, JobStatus.CANCELED}
    ended = rehearsal.reach(job, JobStatus.CANCELED)
    assert ended.error is None
    assert ended.ended is not None
    wait_for(lambda: rehearsal.process(job) is None)


def test_a_job_is_cancelled_before_it_begins(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.invoke()
    rehearsal.workspace.jobs.cancel(job.name)
    rehearsal.reach(job, JobStatus.CANCELED)


def test_a_cancelled_job_is_resumed(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    wait_for(lambda: rehearsal.workspace.jobs.log_lines(job.name)[1] > 0)
    rehearsal.workspace.jobs.cancel(job.name)
    rehearsal.reach(job, JobStatus.CANCELED)
    go.touch()
    assert batchtwin("resume", job.output).code == 0
    assert rehearsal.workspace.jobs.get(job.name).status is JobStatus.COMPLETED


def test_an_ended_job_is_not_cancelled(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    assert rehearsal.workspace.jobs.cancel(job.name) == job


def test_a_killed_job_is_failed_and_can_be_resumed(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    wait_for(lambda: rehearsal.workspace.jobs.log_lines(job.name)[1] > 0)
    kill(rehearsal, job)
    lost = rehearsal.workspace.jobs.get(job.name)
    assert lost.status is JobStatus.FAILED
    assert lost.error == f"the job's process is gone; resume: batchtwin resume {job.output}"
    assert lost.ended is not None
    assert rehearsal.workspace.jobs.log_lines(job.name)[0][-2:] == ["Failed", lost.error]
    go.touch()
    assert batchtwin("resume", job.output).code == 0
    assert (job.output / "named-outputs/score/predictions.csv").read_text() == "0\n1\n"
    found = rehearsal.workspace.jobs.get(job.name)
    assert (found.status, found.error) == (JobStatus.COMPLETED, None)


def test_a_list_finds_the_killed_too(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    kill(rehearsal, job)
    assert [listed.status for listed in rehearsal.workspace.jobs.list()] == [JobStatus.FAILED]


def test_a_job_killed_at_its_start_says_what_to_do(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.invoke()
    kill(rehearsal, job)
    lost = rehearsal.workspace.jobs.get(job.name)
    assert lost.status is JobStatus.FAILED
    assert lost.error is not None
    assert lost.error.startswith("the job's process is gone; ")


def test_a_killed_job_that_was_to_be_cancelled_is_cancelled(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    (job.output / "manifest.json").unlink()
    stand_in(where, job, JobStatus.CANCEL_REQUESTED)
    assert rehearsal.status(job) is JobStatus.CANCELED


def test_a_job_killed_after_its_last_word_is_complete(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    stand_in(where, job, JobStatus.FINALIZING)
    assert rehearsal.status(job) is JobStatus.COMPLETED


def stand_in(where: str, job: JobRecord, status: JobStatus, pid: int | None = None) -> None:
    """Have the record be of a job with this pid, which another process has now: without a name, this one."""
    store = Store.open(where)
    with store.write() as connection:
        states.change(connection, job.name, {"status": status, "pid": pid or os.getpid(), "pid_started": 1.0})
    store.close()


def set_clock(where: str, job: JobRecord) -> None:
    """Have the record be of a job that runs on a machine whose clock was set by an hour since."""
    store = Store.open(where)
    with store.write() as connection:
        started = states.row_of(connection, job.name)["pid_started"]
        states.change(connection, job.name, {"pid_started": started - 3600})
    store.close()


def test_a_clock_that_is_set_leaves_a_running_job_alone(rehearsal: Rehearsal, where: str, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    set_clock(where, job)
    assert rehearsal.status(job) is JobStatus.RUNNING
    go.touch()
    assert rehearsal.end(job).status is JobStatus.COMPLETED


def test_a_job_is_cancelled_after_the_clock_was_set(rehearsal: Rehearsal, where: str, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    set_clock(where, job)
    rehearsal.workspace.jobs.cancel(job.name)
    assert rehearsal.end(job).status is JobStatus.CANCELED


def test_a_job_that_an_earlier_batchtwin_started_has_no_lock(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    (job.output / LOCK).unlink()
    assert rehearsal.status(job) is JobStatus.RUNNING
    kill(rehearsal, job)
    assert rehearsal.status(job) is JobStatus.FAILED


def test_what_is_resumed_goes_where_the_invocation_said(rehearsal: Rehearsal, go: Path, tmp_path: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(output_path=str(tmp_path / "away")), JobStatus.RUNNING)
    wait_for(lambda: rehearsal.workspace.jobs.log_lines(job.name)[1] > 0)
    kill(rehearsal, job)
    assert rehearsal.status(job) is JobStatus.FAILED
    go.touch()
    assert batchtwin("resume", job.output).code == 0
    assert rehearsal.status(job) is JobStatus.COMPLETED
    assert (tmp_path / "away/predictions.csv").read_text() == "0\n1\n"


def test_what_is_resumed_and_cannot_be_delivered_is_failed(rehearsal: Rehearsal, go: Path, tmp_path: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(output_path=str(tmp_path / "file/away")), JobStatus.RUNNING)
    wait_for(lambda: rehearsal.workspace.jobs.log_lines(job.name)[1] > 0)
    kill(rehearsal, job)
    assert rehearsal.status(job) is JobStatus.FAILED
    (tmp_path / "file").touch()
    go.touch()
    assert batchtwin("resume", job.output).code == 0
    failed = rehearsal.workspace.jobs.get(job.name)
    assert (failed.status, "file/away" in (failed.error or "")) == (JobStatus.FAILED, True)


def deliver(rehearsal: Rehearsal, target: Path) -> JobRecord:
    """A job that is about to copy its output to `target`, and does not get on."""
    rehearsal.deploy(script=ENDLESS, files=1)
    job = rehearsal.invoke(output_path=str(target))
    wait_for(lambda: any(target.glob(".endless.*")) or rehearsal.status(job).is_final)
    return rehearsal.reach(job, JobStatus.FINALIZING)


def test_a_job_killed_while_it_delivers_is_complete_once_it_has(rehearsal: Rehearsal, tmp_path: Path) -> None:
    job = deliver(rehearsal, tmp_path / "away")
    (tmp_path / "away/predictions.csv").unlink(missing_ok=True)
    kill(rehearsal, job)
    (job.output / "named-outputs/score/endless").unlink()
    assert rehearsal.status(job) is JobStatus.COMPLETED
    assert (tmp_path / "away/predictions.csv").read_text() == "done\n"


def test_a_job_cancelled_while_it_delivers_is_not_complete(rehearsal: Rehearsal, tmp_path: Path) -> None:
    job = deliver(rehearsal, tmp_path / "away")
    rehearsal.workspace.jobs.cancel(job.name)
    assert rehearsal.end(job).status is JobStatus.CANCELED


def test_a_job_killed_when_it_was_to_stop_delivering_is_cancelled(
    rehearsal: Rehearsal, where: str, tmp_path: Path
) -> None:
    job = deliver(rehearsal, tmp_path / "away")
    kill(rehearsal, job)
    stand_in(where, job, JobStatus.CANCEL_REQUESTED)
    assert rehearsal.status(job) is JobStatus.CANCELED


def test_a_pid_that_is_used_again_is_not_the_job() -> None:
    this = Process.this()
    assert this.is_alive
    assert not Process(this.pid, this.started - 100).is_alive


def test_who_uses_a_pid_again_is_not_cancelled(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    with Popen(["cat"], stdin=PIPE) as other:
        stand_in(where, job, JobStatus.RUNNING, other.pid)
        rehearsal.workspace.jobs.cancel(job.name)
    assert other.returncode == 0


def test_a_job_whose_process_cannot_start(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    code = (
        "import sys\nfrom batchtwin.workspace.workspace import Workspace\n"
        "from batchtwin.workspace.jobs.invocation import Invocation\n"
        "sys.executable = '/bin/false'\n"
        "Workspace.open(sys.argv[1]).jobs.invoke(Invocation('test-endpoint', input=sys.argv[2], job_name='x'))"
    )
    words = [sys.executable, "-c", code, where, str(rehearsal.project.inputs)]
    done = run(words, capture_output=True, text=True, check=False)
    assert "the job's process did not start" in done.stderr
    job = rehearsal.workspace.jobs.get("x")
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "did not start" in job.error


def test_the_script_sees_no_address_of_the_workspace(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(script="import os\ndef run(files): return [os.environ.get('BATCHTWIN_WORKSPACE')]", files=1)
    job = rehearsal.end(rehearsal.invoke())
    assert (job.output / "named-outputs/score/predictions.csv").read_text().strip() in {"", "None"}


def test_two_processes_do_not_run_one_job(rehearsal: Rehearsal, where: str, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    words = [sys.executable, "-m", "batchtwin.workspace.jobs.runner", job.name, str(job.output)]
    run(words, env={**os.environ, "BATCHTWIN_WORKSPACE": where}, check=True, capture_output=True)
    go.touch()
    assert rehearsal.end(job).status is JobStatus.COMPLETED
