"""`az ml job`."""

from __future__ import annotations

import signal
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from batchtwin.azure import web
from batchtwin.azure.cli import options
from batchtwin.azure.cli import views as shapes
from batchtwin.azure.cli.command import CommandError, say
from batchtwin.azure.cli.options import option
from batchtwin.azure.connection import NoServerError
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.workspace import Workspace

# Seconds between two looks at a streamed job.
PAUSE = 0.2


def show(
    workspace: Workspace,
    name: options.JobName,
    show_page: Annotated[
        bool, option("--web", "-e", help="Show the job's page, or its address; starts the server if none runs.")
    ] = False,
) -> dict[str, Any]:
    """Show details for a job."""
    job, tracking = workspace.jobs.get(name), workspace.jobs.mlflow_uri()
    if show_page:
        _open(workspace, job)
    return shapes.job(job, tracking)


def _open(workspace: Workspace, job: JobRecord) -> None:
    """Open the job's page in a browser; without a browser or a terminal, print its address."""
    try:
        address = web.page_link(workspace.root, job.name)
    except NoServerError:
        pid = web.start_server()
        say(f"batchtwin serve was started; end it with: kill {pid}", err=True)
        address = web.page_link(workspace.root, job.name)
    if not (sys.stdout.isatty() and webbrowser.open(address)):
        say(address, err=True)


def _page(workspace: Workspace, job: JobRecord) -> str:
    """Return the address of the job's page if a server runs, else that of its report."""
    try:
        return web.page_link(workspace.root, job.name)
    except NoServerError:
        return OutputFolder(job.output).report.absolute().as_uri()


def list_all(
    workspace: Workspace,
    max_results: options.MaxResults = 50,
    all_results: Annotated[Literal["true", "false"], option("--all-results", help="All, however many.")] = "false",
    parent_job_name: Annotated[
        str | None, option("--parent-job-name", "-p", help="Only the children of this job.")
    ] = None,
    archived_only: options.ArchivedOnly = False,
    include_archived: options.IncludeArchived = False,
) -> list[dict[str, Any]]:
    """List jobs, the newest first."""
    if archived_only:
        return []
    jobs = [workspace.jobs.child(parent_job_name)] if parent_job_name else workspace.jobs.list()
    tracking = workspace.jobs.mlflow_uri()
    return [shapes.job(job, tracking) for job in jobs[: None if all_results == "true" else max_results]]


def stream(workspace: Workspace, name: options.JobName) -> None:
    """Print what a job logs until it ends; a failed job is an error."""
    job = workspace.jobs.get(name)
    try:
        with interrupts() as caught:
            _head(workspace, job)
            job = follow(workspace, name, caught)
    except KeyboardInterrupt:
        raise CommandError(
            "The output streaming for the run interrupted.\nBut the run is still executing on the compute target.\n"
            f"To cancel it: batchtwin ml job cancel --name {name}"
        ) from None
    say("\nExecution Summary\n=================")
    _head(workspace, job)
    if job.status is JobStatus.FAILED:
        raise CommandError(f"Exception : \n {job.error or 'The job failed; its logs say why.'}")


def _head(workspace: Workspace, job: JobRecord) -> None:
    say(f"RunId: {job.name}\nWeb View: {_page(workspace, job)}")


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C: callbacks of libraries may swallow its exception."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, catch)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)


def follow(workspace: Workspace, name: str, caught: list[int]) -> JobRecord:
    """Print the lines of a job's log as they come; return the job when it has ended.

    Raises:
        KeyboardInterrupt: a signal was `caught`.
    """
    printed = 0
    while True:
        if caught:
            raise KeyboardInterrupt
        # Before the log: if the state is final, the log is complete.
        job = workspace.jobs.get(name)
        lines, following = workspace.jobs.log_lines(name, printed)
        if lines and not printed:
            title = "Streaming logs/job_progress_overview.txt"
            say(f"\n{title}\n{'=' * len(title)}\n")
        for line in lines:
            say(line)
        printed = following
        if job.status.is_final:
            return job
        time.sleep(PAUSE)


def download(
    workspace: Workspace,
    name: options.JobName,
    target: options.Target = Path(),
    output_name: Annotated[str | None, option("--output-name", help="The output to download, as in score.")] = None,
    everything: Annotated[bool, option("--all", help="All outputs, and the logs.")] = False,
) -> None:
    """Download an output of a job to named-outputs/NAME; without a name its logs to artifacts."""
    say(f"Downloading artifacts of job {name} to {target.absolute()}", err=True)
    workspace.jobs.download(name, target, output_name=output_name, all=everything)


def cancel(workspace: Workspace, name: options.JobName) -> None:
    """Cancel a job."""
    workspace.jobs.cancel(name)
