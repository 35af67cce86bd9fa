"""What the user sees while a job runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from batchtwin.engine.job import Job
from batchtwin.engine.logs import duration
from batchtwin_node.readers.bad_file import LINES, printable

PLAIN_SECONDS = 10.0


class Progress(Protocol):
    """Shows a job. `update` is called often; `note` shows a line of its own."""

    def update(self, job: Job) -> None:
        """Show the status of the job."""

    def note(self, text: str) -> None:
        """Show a line, or several."""

    def close(self) -> None:
        """Restore the screen."""


def progress_line(job: Job, seconds: float) -> str:
    """Return the service's line, with the estimate of what remains [A]."""
    remaining = remaining_seconds(job, seconds)
    left = "" if remaining is None else f" Estimate remaining {duration(remaining)}."
    return f"Processed {job.processed} of {len(job.items)} mini batches in {duration(seconds)}.{left}"


def remaining_seconds(job: Job, seconds: float) -> float | None:
    """Estimate what remains of a job that runs for `seconds`; None while no mini-batch has ended."""
    return seconds / job.processed * (len(job.items) - job.processed) if job.processed else None


class PlainProgress:
    """Writes a line every few seconds, and none for jobs that end before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = self._last_shown = time.monotonic()

    def update(self, job: Job) -> None:
        """Write a line if the last one is old enough."""
        now = time.monotonic()
        if now - self._last_shown >= PLAIN_SECONDS:
            self._last_shown = now
            self.note(progress_line(job, now - self._began))

    def note(self, text: str) -> None:
        """Write a line."""
        print(printable(text, LINES), file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: there is nothing to restore."""


class BarProgress:
    """A bar with mini-batches, files, rows, rate, time left and failures."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._began = time.monotonic()
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting workers", total=None)
        self._bar.start()

    def update(self, job: Job) -> None:
        """Move the bar."""
        if not job.processed:
            return
        rate = job.rows / (time.monotonic() - self._began)
        failed = f" · [red]{job.failed:,} failed[/]" if job.failed else ""
        text = f"mini-batches · {job.processed_items:,} files · {job.rows:,} rows · {rate:,.0f} rows/s{failed}"
        self._bar.update(self._task, total=len(job.items), completed=job.processed, description=text)

    def note(self, text: str) -> None:
        """Show a line above the bar, as it is."""
        self._bar.console.print(printable(text, LINES), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the bar: the summary follows."""
        self._bar.stop()


def progress_for(stream: TextIO | None = None) -> Progress:
    """Return a bar where `stream` (by default the present standard error) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    return BarProgress() if stream.isatty() else PlainProgress(stream)
