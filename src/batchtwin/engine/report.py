"""What a job tells while it runs: events to the log tree, the first failure and the progress to the person."""

from __future__ import annotations

import time

from batchtwin.engine.job import Job
from batchtwin.engine.logs import Logs
from batchtwin.engine.output.failures import failed_file
from batchtwin.engine.progress import Progress, progress_line
from batchtwin.inputs.location import redact
from batchtwin.inputs.plan import Plan
from batchtwin_node.protocol import Event, Failure, Outcome, Ready

OVERVIEW_SECONDS = 5.0
TRACEBACK_LINES = 12
# These end the job, and are shown as its cause.
SHOWN_AT_THE_END = frozenset({"bad_file", "write"})


class Report:
    """Listens to one job. Decides nothing."""

    def __init__(self, plan: Plan, logs: Logs, progress: Progress) -> None:
        self._plan = plan
        self._logs = logs
        self._progress = progress
        self._began = self._overview = time.monotonic()
        self._picked: dict[int, float] = {}
        self._shown = False
        self._noted: set[str] = set()

    def happened(self, event: Event) -> None:
        """Log an event; show the first failure of the job at once [+]."""
        if isinstance(event, Ready):
            return
        if event.mini_batch is not None:
            self._picked.setdefault(event.mini_batch, event.started)
        if isinstance(event, Outcome):
            self._logs.outcome(event)
            for note in event.notes:
                if note not in self._noted:
                    self._noted.add(note)
                    self.note(note)
            return
        self._logs.failure(event, self.file_of(event))
        if not self._shown and event.kind not in SHOWN_AT_THE_END:
            self._shown = True
            self._progress.note("\n".join([f"First failure: {self.told(event)}", *_end_of(event.traceback)]))

    def note(self, text: str) -> None:
        """Tell a sentence to the person, and to the overview."""
        self._progress.note(text)
        self._logs.progress(text)

    def ended(self, mini_batch: int, event: Outcome | Failure) -> None:
        """Log that a mini-batch succeeded or is out of tries."""
        self._logs.ended(self._plan.mini_batches[mini_batch], event, time.time() - self._picked[mini_batch])

    def tick(self, job: Job) -> None:
        """Show progress; called often, writes seldom."""
        self._progress.update(job)
        self._logs.tick()
        if time.monotonic() - self._overview > OVERVIEW_SECONDS:
            self._overview = time.monotonic()
            self._logs.progress(progress_line(job, self._overview - self._began))

    def file_of(self, failure: Failure) -> str:
        """The file that failed, or, if that is not known, the first of its mini-batch; empty for a worker's start."""
        if failure.mini_batch is None:
            return ""
        known = failed_file(failure, self._plan.mini_batches[failure.mini_batch])
        return redact(known or self._plan.mini_batches[failure.mini_batch].files[0].path)

    def told(self, failure: Failure) -> str:
        """A failure in one line: what, and in which file, or in which files, where it may be any of them."""
        if failure.kind == "bad_file" or failure.mini_batch is None:
            return failure.message
        mini_batch = self._plan.mini_batches[failure.mini_batch]
        others = 0 if failed_file(failure, mini_batch) else len(mini_batch.files) - 1
        files = self.file_of(failure) + (f" or one of {others} more" if others else "")
        return f"{failure.message} (mini batch {failure.mini_batch}, {files}, try {failure.attempt})"


def _end_of(trace: str) -> list[str]:
    """The last frames of a traceback, without its last line, which is the message, and without Python's carets."""
    lines = [line for line in trace.rstrip().splitlines() if line.strip(" ^~")]
    return lines[-TRACEBACK_LINES:-1]
