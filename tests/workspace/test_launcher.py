"""The processes of jobs that a server starts: the first is a new process, later ones are forked and like the first."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import batchtwin
import batchtwin_node
from batchtwin.engine.backends.warm.key import matters
from batchtwin.locks import is_held
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.jobs import launcher
from batchtwin.workspace.jobs.launcher import IMPORTS, JobLauncher
from batchtwin.workspace.jobs.liveness import LOCK, Launch, Process
from support import batchtwin as command
from support import wait_for, wait_until_over

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

MODULE = "batchtwin.workspace.jobs.launcher"
# Each run of a file leaves a line; the job ends when it may.
PATIENT = """
import os, time
def run(files):
    with open("{folder}/runs", "a") as runs:
        runs.write("run\\n")
    while not os.path.exists("{folder}/go"):
        time.sleep(0.01)
    return files
"""
VARIABLES = """
import json, os
def run(files):
    return [json.dumps(dict(os.environ))]
"""
# What imports read of the environment, in a process of its own.
SPY = """
import importlib, os, sys
kind, names = type(os.environ), set()
get = kind.__getitem__
def spy(self, name):
    names.add(name)
    return get(self, name)
kind.__getitem__ = spy
for module in sys.argv[1:]:
    importlib.import_module(module)
assert len(os.listdir("/proc/self/task")) == 1
print(*names, sep="\\n")
"""


@pytest.fixture
def patient(rehearsal: Rehearsal, tmp_path: Path) -> Rehearsal:
    """A deployment whose jobs run until the file `go` is there."""
    rehearsal.deploy(PATIENT.format(folder=tmp_path), files=1)
    return rehearsal


@pytest.fixture
def own(rehearsal: Rehearsal) -> Iterator[JobLauncher]:
    """A launcher of the test's own."""
    with closing(JobLauncher()) as made:
        rehearsal.workspace.jobs.launch = made
        yield made


def process_of(rehearsal: Rehearsal, job: JobRecord) -> psutil.Process:
    process = rehearsal.process(job)
    assert process is not None
    return process


def is_forked(rehearsal: Rehearsal, job: JobRecord) -> bool:
    return MODULE in process_of(rehearsal, job).cmdline()


def forked(rehearsal: Rehearsal) -> JobRecord:
    """A job whose process was forked. The first job is not, nor are those that do not wait for slow imports."""
    job = rehearsal.invoke()
    while not is_forked(rehearsal, job):
        rehearsal.drop(job)
        job = rehearsal.invoke()
    return job


def fork_servers() -> list[psutil.Process]:
    """The fork servers of this process, the newest last."""
    children = psutil.Process().children()
    processes = psutil.process_iter(["cmdline", "create_time"])  # leaves out what ends meanwhile
    servers = [each for each in processes if each in children and MODULE in (each.info["cmdline"] or [])]
    return sorted(servers, key=lambda server: float(server.info["create_time"]))


def go(rehearsal: Rehearsal, job: JobRecord, folder: Path) -> JobRecord:
    """Let the job end."""
    (folder / "go").touch()
    return rehearsal.end(job)


def facts(process: psutil.Process, job: JobRecord) -> dict[str, Any]:
    """What a process has of those that started it, and what it has open."""
    folder = Path("/proc", str(process.pid))
    links = [os.readlink(link) for link in (folder / "fd").iterdir()]
    lines = (folder / "status").read_text().splitlines()
    status = {name: value for name, _, value in (line.partition(":") for line in lines)}
    first = {number: os.readlink(folder / "fd" / str(number)).replace(job.name, "JOB") for number in range(3)}
    return {
        "descriptors": sorted(re.sub(r"\d+", "N", link.replace(job.name, "JOB")) for link in links),
        "streams": first,
        "status": {name: status[name] for name in ("SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Groups")},
        "leads its session": os.getsid(process.pid) == process.pid,
        "session is its group": os.getsid(process.pid) == os.getpgid(process.pid),
        "leader is there": psutil.pid_exists(os.getsid(process.pid)),
        "parent": process.ppid(),
        "folder": process.cwd(),
        "limits": (folder / "limits").read_text(),
        "nice": process.nice(),
    }


def usual_facts(process: psutil.Process, job: JobRecord) -> dict[str, Any]:
    """The facts of a process most of the time; it opens files for a moment."""
    seen: list[dict[str, Any]] = []

    def is_usual() -> bool:
        try:
            seen.append(facts(process, job))
        except FileNotFoundError:  # a descriptor that was closed meanwhile
            return False
        return seen.count(seen[-1]) == 10

    wait_for(is_usual)
    return seen[-1]


def test_a_forked_process_is_like_a_new_one(
    patient: Rehearsal, own: JobLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHTWIN_WARM", "0")
    new = patient.reach(patient.invoke(), JobStatus.RUNNING)
    assert not is_forked(patient, new)
    wait_for((tmp_path / "runs").exists)
    expected = usual_facts(process_of(patient, new), new)
    patient.drop(new)
    patient.drop(forked(patient))
    (tmp_path / "runs").unlink()
    job = patient.reach(patient.invoke(), JobStatus.RUNNING)
    assert is_forked(patient, job)
    wait_for((tmp_path / "runs").exists)
    process = process_of(patient, job)
    assert usual_facts(process, job) == expected
    assert process.name() == f"job {job.name.removeprefix('batchjob-')}"[:15]
    assert go(patient, job, tmp_path).status is JobStatus.COMPLETED
    assert not fork_servers()[-1].children()


def test_the_environment_is_that_of_the_invocation(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal.deploy(VARIABLES, files=1)
    monkeypatch.setenv("BATCHTWIN_OF_THE_SERVER", "1")
    rehearsal.end(rehearsal.invoke())
    monkeypatch.delenv("BATCHTWIN_OF_THE_SERVER")
    large = {f"BATCHTWIN_LARGE_{number}": "x" * 100_000 for number in range(4)}
    for name, value in {**large, "BATCHTWIN_BYTES": os.fsdecode(b"\xff")}.items():
        monkeypatch.setenv(name, value)
    job = rehearsal.end(rehearsal.invoke())
    variables = json.loads((job.output / "named-outputs/score/predictions.csv").read_text())
    assert large.items() <= variables.items()
    assert variables["BATCHTWIN_BYTES"] == os.fsdecode(b"\xff")
    assert not {"BATCHTWIN_OF_THE_SERVER", "BATCHTWIN_WORKSPACE"} & variables.keys()


def test_a_variable_that_imports_may_read_needs_a_new_process(
    patient: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.drop(forked(patient))
    with monkeypatch.context() as patch:
        patch.setenv("PYDANTIC_DISABLE_PLUGINS", "1")
        job = patient.invoke()
        assert not is_forked(patient, job)
        patient.drop(job)
    job = patient.invoke()
    assert is_forked(patient, job)
    patient.drop(job)


def test_imports_read_no_variable_that_may_differ() -> None:
    words = [sys.executable, "-P", "-c", SPY, MODULE, *IMPORTS]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in names if not matters(name)] == []


def test_no_process_is_forked_where_the_environment_says_so(
    patient: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.drop(forked(patient))
    monkeypatch.setenv("BATCHTWIN_NO_FORK", "1")
    job = patient.invoke()
    assert not is_forked(patient, job)
    patient.drop(job)


def test_a_forked_job_is_cancelled(patient: Rehearsal) -> None:
    job = patient.reach(forked(patient), JobStatus.RUNNING)
    process = process_of(patient, job)
    patient.workspace.jobs.cancel(job.name)
    wait_until_over(process.pid)
    assert patient.status(job) is JobStatus.CANCELED


def test_another_process_with_the_lock_of_another_job_is_not_it(patient: Rehearsal) -> None:
    job = patient.reach(forked(patient), JobStatus.RUNNING)
    pid = process_of(patient, job).pid
    assert Process(pid, 0.0).is_of(job.output)
    assert not Process(pid, 0.0).is_of(job.output.with_name("other"))
    patient.drop(job)


def test_failpoints_are_those_of_the_job(rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal.deploy()
    rehearsal.end(rehearsal.invoke())
    with monkeypatch.context() as patch:
        patch.setenv("BATCHTWIN_CRASH_AT", f"parent:committed:{tmp_path / 'crash'}")
        job = rehearsal.end(rehearsal.invoke())
    assert (tmp_path / "crash").exists()
    assert (job.status, "process is gone" in (job.error or "")) == (JobStatus.FAILED, True)
    assert command("resume", job.output).code == 0
    assert rehearsal.status(job) is JobStatus.COMPLETED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_fork_server_that_does_not_answer(
    patient: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    patient.drop(forked(patient))
    (tmp_path / "runs").unlink(missing_ok=True)
    server = fork_servers()[-1]
    server.send_signal(number)
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "ANSWER_SECONDS", 0.5)
        job = patient.reach(patient.invoke(), JobStatus.RUNNING)
    assert not is_forked(patient, job)
    assert server.pid not in psutil.pids()
    assert go(patient, job, tmp_path).status is JobStatus.COMPLETED
    assert (tmp_path / "runs").read_text() == "run\n"
    assert is_held(job.output / LOCK) is False
    (tmp_path / "go").unlink()
    patient.drop(forked(patient))


def test_a_job_that_was_forked_without_an_answer_runs_once(
    patient: Rehearsal, start: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.drop(forked(patient))
    (tmp_path / "runs").unlink(missing_ok=True)
    (tmp_path / "go").touch()
    server = fork_servers()[-1]

    def held_up(name: str, folder: Path, address: str, lock: int) -> Process:
        os.mkfifo(folder / "runner.log")  # whoever opens it waits for a reader
        return start(name, folder, address, lock)

    def processes() -> list[int]:
        """The forked process, and the new one and its parent, which waits for it."""
        every = psutil.process_iter(["name", "cmdline"])
        return [p.pid for p in every if p.info["name"] == "job held-up" or "held-up" in (p.info["cmdline"] or [])]

    patient.workspace.jobs.launch = held_up
    monkeypatch.setattr(launcher, "ANSWER_SECONDS", 0.5)
    with ThreadPoolExecutor() as pool:
        invoked = pool.submit(patient.invoke, job_name="held-up")
        wait_for(lambda: len(processes()) == 2)
        assert server.pid not in psutil.pids()
        pids = processes()
        reader = os.open(patient.workspace.root / "jobs/held-up/runner.log", os.O_RDONLY | os.O_NONBLOCK)
        for pid in pids:
            wait_until_over(pid)
        job = invoked.result()
    assert patient.end(job).status is JobStatus.COMPLETED
    os.close(reader)
    assert (tmp_path / "runs").read_text() == "run\n"
    assert is_held(job.output / LOCK) is False


def test_many_threads_at_once(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    with ThreadPoolExecutor(5) as pool:
        jobs = [future.result() for future in [pool.submit(rehearsal.invoke) for _ in range(5)]]
    assert [rehearsal.end(job).status for job in jobs] == [JobStatus.COMPLETED] * 5


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which processes import from now on."""
    folder = tmp_path / "src"
    for package in (batchtwin, batchtwin_node):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, folder / source.name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return folder


def test_a_change_of_what_was_imported_starts_another_fork_server(
    patient: Rehearsal, edited: Path, own: JobLauncher
) -> None:
    patient.drop(forked(patient))
    first = fork_servers()[-1]
    (edited / "added.py").touch()
    patient.drop(forked(patient))
    second = fork_servers()[-1]
    module = edited / "batchtwin/workspace/jobs/runner.py"
    module.write_text(module.read_text().replace('".working"', '".edited"'))
    job = patient.reach(forked(patient), JobStatus.RUNNING)
    assert Path(process_of(patient, job).cwd()).name == ".edited"
    assert len({first.pid, second.pid, fork_servers()[-1].pid}) == 3
    assert not {first.pid, second.pid} & {*psutil.pids()}
    patient.drop(job)


def test_a_fork_server_that_always_fails_is_given_up(
    patient: Rehearsal, edited: Path, own: JobLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    module = edited / "batchtwin/workspace/jobs/launcher.py"
    module.write_text(module.read_text().replace('"jinja2"', '"no_such_module"'))
    before = fork_servers()
    for number in range(launcher.MOST_FAILURES + 2):  # the first job does not ask for one
        assert bool(caplog.messages) == (number > launcher.MOST_FAILURES)
        job = patient.invoke()
        assert not is_forked(patient, job)
        patient.drop(job)
    assert len(caplog.messages) == 1
    assert "jobs get new processes from now on" in caplog.messages[0]
    assert fork_servers() == before


def test_the_end_of_the_launcher_is_that_of_its_fork_server(
    patient: Rehearsal, own: JobLauncher, tmp_path: Path
) -> None:
    running = patient.reach(forked(patient), JobStatus.RUNNING)
    server = fork_servers()[-1]
    own.close()
    assert server.pid not in psutil.pids()
    assert go(patient, running, tmp_path).status is JobStatus.COMPLETED
    (tmp_path / "go").unlink()
    job = patient.invoke()
    assert not is_forked(patient, job)
    patient.drop(job)


def test_coverage_is_measured_in_forked_processes(
    patient: Rehearsal, own: JobLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "coverage.ini"
    settings.write_text(f"[run]\nparallel = true\nsigterm = true\ndata_file = {tmp_path / 'data'}\n")
    monkeypatch.setenv("COVERAGE_PROCESS_START", str(settings))
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # of a measurement of these tests
    monkeypatch.setenv("BATCHTWIN_WARM", "0")
    job = forked(patient)
    pid = process_of(patient, job).pid
    assert go(patient, job, tmp_path).status is JobStatus.COMPLETED
    assert any(f"pid{pid}." in path.name for path in tmp_path.glob("data.*"))
