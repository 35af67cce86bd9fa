"""A workspace of the test's own, a project to deploy in it, and a crowd of processes that use it at once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from job_processes import process_of

from batchtwin.workspace.entities import DeploymentRecord, JobRecord, JobStatus
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.jobs.launcher import JobLauncher
from batchtwin.workspace.jobs.liveness import Launch
from batchtwin.workspace.workspace import Workspace
from support import DEADLINE, Project, wait_for, wait_until_over

ECHO = """
def run(files):
    return [open(file).read().strip() for file in files]
"""
CROWD = """
import json, os, sys
from pathlib import Path
import psycopg, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite  # here once, not in each process
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.workspace import Workspace

def act(number, workspace):
{body}

ready, go = os.pipe()
answers = []
for number in range({count}):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)  # until the parent closes its end: all at once
        with Workspace.open({where!r}) as workspace:
            answer = act(number, workspace)
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    answers.append((pid, read))
os.close(go)
print(json.dumps([json.loads(os.read(read, 1 << 20) or b"null") for _, read in answers]))
sys.exit(max(os.waitpid(pid, 0)[1] for pid, _ in answers) != 0)
"""
Crowd = Callable[[int, str, str], list[Any]]


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare jobs the seconds that MLflow takes."""
    monkeypatch.setenv("BATCHTWIN_MLFLOW", "off")


@pytest.fixture
def where(tmp_path: Path) -> str:
    """The folder of a workspace that is not there yet."""
    return str(tmp_path / "place")


@pytest.fixture
def workspace(where: str) -> Iterator[Workspace]:
    """An empty workspace."""
    with Workspace.open(where) as opened:
        yield opened


@dataclass
class Rehearsal:
    """A project, and its deployment `test-deployment` on the endpoint `test-endpoint` of a workspace."""

    project: Project
    workspace: Workspace

    def deploy(self, script: str = ECHO, files: int = 2, **settings: Any) -> DeploymentRecord:
        """Create compute, endpoint and deployment; write the input files."""
        self.project.script = script
        self.project.settings = settings
        if files:
            self.project.files(files)
        self.workspace.computes.create("cluster")
        self.workspace.endpoints.create("test-endpoint")
        return self.workspace.deployments.create(self.project.write())

    def invoke(self, **options: Any) -> JobRecord:
        """Start a job over the project's input."""
        return self.workspace.jobs.invoke(Invocation("test-endpoint", **{"input": str(self.project.inputs), **options}))

    def status(self, job: JobRecord) -> JobStatus:
        """Where the job stands."""
        return self.workspace.jobs.get(job.name).status

    def reach(self, job: JobRecord, status: JobStatus) -> JobRecord:
        """Wait until the job is in this state."""
        wait_for(lambda: self.status(job) is status or self.status(job).is_final)
        reached = self.workspace.jobs.get(job.name)
        assert reached.status is status, f"{reached.error}\n{(reached.output / 'runner.log').read_text()}"
        return reached

    def end(self, job: JobRecord) -> JobRecord:
        """Wait until the job's process has ended, without a share of the CPUs that it needs itself."""
        process = self.process(job)
        if process is not None:
            wait_until_over(process.pid)
        ended = self.workspace.jobs.get(job.name)
        assert ended.status.is_final, (ended.output / "runner.log").read_text()
        return ended

    def drop(self, job: JobRecord) -> None:
        """End a job whose result nobody looks at."""
        self.workspace.jobs.cancel(job.name)
        self.end(job)

    def process(self, job: JobRecord) -> psutil.Process | None:
        """The job's process, if it is there."""
        return process_of(self.workspace, job.name)


@pytest.fixture(scope="session")
def start() -> Iterator[Launch]:
    """What starts the jobs of the tests, as a server does."""
    with closing(JobLauncher()) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, start: Launch) -> Iterator[tuple[Rehearsal, JobRecord]]:
    """A job over three files that has completed; it is only looked at."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch, Workspace.open(str(folder / "place")) as opened:
        patch.setenv("BATCHTWIN_MLFLOW", "off")
        opened.jobs.launch = start
        rehearsal = Rehearsal(Project(folder / "project"), opened)
        rehearsal.deploy(files=3)
        yield rehearsal, rehearsal.end(rehearsal.invoke())


@pytest.fixture
def rehearsal(project: Project, workspace: Workspace, start: Launch) -> Rehearsal:
    """A project with nothing deployed yet."""
    workspace.jobs.launch = start
    return Rehearsal(project, workspace)


@pytest.fixture
def crowd() -> Crowd:
    """Call the body of `act(number, workspace)` in so many processes at once; return what each of them returned."""

    def run(count: int, where: str, body: str) -> list[Any]:
        script = CROWD.format(count=count, where=where, body=textwrap.indent(textwrap.dedent(body), "    "))
        words = [sys.executable, "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return run
