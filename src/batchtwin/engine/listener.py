"""What a job reports while it runs: events to the log tree, the first failure and the progress to the user."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from batchtwin.engine.cause import what_to_change
from batchtwin.engine.job import Job
from batchtwin.engine.logs import Logs
from batchtwin.engine.output.failures import failed_file, file_at
from batchtwin.engine.output.folder import USER_LOGS
from batchtwin.engine.output.row_counts import row_count_warnings
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import Progress, progress_line, remaining_seconds
from batchtwin.engine.report.causes import script_line
from batchtwin.inputs.changes import InputChange
from batchtwin.inputs.location import redact
from batchtwin.inputs.plan import Plan
from batchtwin.redaction import Redactor, hide
from batchtwin_node.protocol import BadFile, Event, Failure, Outcome, Ready
from batchtwin_node.readers.bad_file import printable

OVERVIEW_SECONDS = 5.0
# The table of progress gets a row this long after the last one if the counts have changed, else after OVERVIEW_SECONDS.
METRICS_SECONDS = 1.0
TRACEBACK_LINES = 12
# Lines of a message, and the length of a line, that are shown; the rest is in the log only.
HEAD_LINES, TAIL_LINES = 4, 3
LONGEST_LINE = 2000
USER_ERRORS = f"{USER_LOGS}/error"
CHANGES_SHOWN = 50
# These end the job, and are shown as its cause.
SHOWN_AT_THE_END = frozenset({"bad_file", "write"})


class Listener:
    """Reports on one job. It decides nothing."""

    def __init__(self, plan: Plan, logs: Logs, progress: Progress) -> None:
        self._plan = plan
        self._logs = logs
        self._progress = progress
        self._began = self._overview = self._measured = time.monotonic()
        self._processed = self._changed = 0
        self._picked: dict[int, float] = {}
        self._first_failure: Failure | None = None
        self._noted: set[str] = set()

    def prepared(self, prepared: Prepared) -> None:
        """Log where the job runs, and the warnings of its preparation."""
        if prepared.environment:
            self._logs.progress(f"Environment: {prepared.environment}")
        for warning in prepared.warnings:
            self._logs.progress(f"Warning: {warning}")

    def row_counts(self, job: Job) -> None:
        """Warn of files that gave more or fewer rows than they have."""
        outcomes = [job.outcomes[number] for number in sorted(job.outcomes)]
        for text in row_count_warnings(self._plan.mini_batches, outcomes):
            with suppress(OSError):  # a full disk: the manifest and `verify` report it too
                self.note(text)

    def happened(self, event: Event) -> None:
        """Log an event; show the first failure of the job at once [+]."""
        if isinstance(event, Ready):
            return
        self._tried(event)
        if isinstance(event, Outcome):
            self._logs.outcome(event)
            for note in event.notes:
                if note not in self._noted:
                    self._noted.add(note)
                    self.note(note)
            return
        self._logs.failure(event, self.file_of(event))
        if self._first_failure is None and event.kind not in SHOWN_AT_THE_END:
            self._first_failure = event
            self._progress.note("\n".join([f"First failure: {self.brief(event)}", *_end_of(event)]))

    def note(self, text: str) -> None:
        """Show a sentence to the user, and add it to the overview."""
        text = hide(text)
        self._progress.note(text)
        self._logs.progress(text)

    def changed(self, change: InputChange) -> None:
        """Warn of an input that changed while the job ran: the user sees the first ones, the overview lists all."""
        self._changed += 1
        text = f"Warning: {redact(change.text)}; it changed while the job ran, and its rows may be of either content"
        if self._changed <= CHANGES_SHOWN:
            self.note(text)
            return
        self._logs.progress(text)
        if self._changed == CHANGES_SHOWN + 1:
            self._progress.note("Warning: more inputs have changed; the manifest lists them")

    def happened_before(self, failures: Iterable[Failure]) -> None:
        """Take over what failed in earlier runs of the job."""
        for failure in failures:
            self._logs.count(failure, self.file_of(failure))

    def _tried(self, event: Outcome | Failure) -> None:
        """Log a try. An idle worker that was killed has tried nothing."""
        if event.mini_batch is not None:
            picked = self._picked.setdefault(event.mini_batch, event.started)
            self._logs.tried(self._plan.mini_batches[event.mini_batch], event, time.time() - picked)
        elif event.kind != "crashed":
            self._logs.tried(None, event, event.seconds)

    def tick(self, job: Job) -> None:
        """Show progress; called often, writes seldom."""
        self._progress.update(job)
        self._logs.tick()
        since = time.monotonic() - self._measured
        if since > OVERVIEW_SECONDS or (since > METRICS_SECONDS and job.processed != self._processed):
            self.measure(job)
        if time.monotonic() - self._overview > OVERVIEW_SECONDS:
            self._overview = time.monotonic()
            self._logs.progress(progress_line(job, self._overview - self._began))

    def measure(self, job: Job) -> None:
        """Add a row to the table of progress."""
        self._measured, self._processed = time.monotonic(), job.processed
        elapsed = self._measured - self._began
        self._logs.metrics(job, elapsed, remaining_seconds(job, elapsed))

    def file_of(self, failure: Failure) -> str:
        """The file that failed or that the script was at, else the mini-batch's first; empty for a worker's start."""
        if failure.mini_batch is None:
            return ""
        mini_batch = self._plan.mini_batches[failure.mini_batch]
        return redact(failed_file(failure, mini_batch) or file_at(failure, mini_batch) or mini_batch.files[0].path)

    def brief(self, failure: Failure) -> str:
        """Return a failure as text: the message, and the file, or all files that it may be.

        Of a long message: the first and the last lines.
        """
        lines = self.full_text(failure).split("\n")
        left_out = len(lines) - HEAD_LINES - TAIL_LINES
        if left_out > 1:
            note = f"... ({left_out} lines left out; {USER_ERRORS}/{failure.worker}.txt has them)"
            lines[HEAD_LINES:-TAIL_LINES] = [note]
        return "\n".join(map(_shortened, lines))

    def full_text(self, failure: Failure) -> str:
        """Return a failure with its whole message. The file, and what to change, are named on the first line."""
        summary, newline, rest = failure.message.partition("\n")
        if failure.kind == "bad_file" or failure.mini_batch is None:
            return f"{summary}{what_to_change(failure, 0)}{newline}{rest}"
        mini_batch = self._plan.mini_batches[failure.mini_batch]
        change = what_to_change(failure, len(mini_batch.files))
        files = printable(self.file_of(failure))
        if failed_file(failure, mini_batch) is None:
            if failure.at and file_at(failure, mini_batch):
                files = f"while at {files}, {failure.at[1]}"
            else:
                files += f" or one of {len(mini_batch.files) - 1} more"
        return f"{summary} (mini batch {failure.mini_batch}, {files}, try {failure.attempt}){change}{newline}{rest}"

    def reminder(self, failure: Failure) -> str:
        """Return a failure for a reader who may have seen it as the first failure: then its first line is enough.

        For a script that cannot be used, not even that is repeated.
        """
        if failure is self._first_failure and failure.kind == "script":
            return "The scoring script cannot be used: see the first failure above"
        text = self.brief(failure)
        summary, _, rest = text.partition("\n")
        return f"{summary} ... (see the first failure above)" if rest and failure is self._first_failure else text


def redacted(events: Iterable[Event]) -> list[Event]:
    """Return events without secrets: scripts and libraries put addresses and keys into what they raise."""
    hidden = Redactor()

    def bad(file: BadFile) -> BadFile:
        value = None if file.value is None else hidden(file.value)
        return replace(file, message=hidden(file.message), value=value)

    def event_of(event: Event) -> Event:
        if isinstance(event, Failure):
            bad_file = None if event.bad_file is None else bad(event.bad_file)
            return replace(event, message=hidden(event.message), traceback=hidden(event.traceback), bad_file=bad_file)
        if isinstance(event, Outcome) and (event.notes or event.bad_files):
            return replace(event, notes=tuple(map(hidden, event.notes)), bad_files=tuple(map(bad, event.bad_files)))
        return event

    return [event_of(event) for event in events]


def counts(job: Job, plan: Plan, ended_it: int = 0) -> str:
    """Return how many files gave rows, how many rows, and how many files gave none; the parts of a file are one file.

    `ended_it` counts the failed files that ended the job.
    """
    parts: dict[str, list[Outcome | None]] = {}
    scored = empty = failed = 0
    for mini_batch in plan.mini_batches:
        outcome = job.outcomes.get(mini_batch.id)
        if mini_batch.part is not None:
            parts.setdefault(mini_batch.files[0].path, []).append(outcome)
        elif outcome is not None:
            scored, failed = scored + outcome.succeeded, failed + outcome.failed
            empty += sum(written == 0 for _, written in outcome.file_rows or ())
        elif mini_batch.id in job.out_of_tries:
            failed += len(mini_batch.files)
    scored += sum(all(outcomes) for outcomes in parts.values())
    ended_badly = {plan.mini_batches[number].files[0].path for number in job.out_of_tries}
    failed += len(ended_badly & parts.keys())
    others = {"without rows": empty, "failed": failed, "failed and ended the job, whatever the threshold": ended_it}
    texts = (f"; {n} {'file' if n == 1 else 'files'} {kind}" for kind, n in others.items() if n)
    return f"{scored - empty} files, {job.rows} rows" + "".join(texts)


def _end_of(failure: Failure) -> list[str]:
    """The last frames of a traceback and, if they lack it, the line of the script; without Python's carets.

    A traceback ends with the message, of as many lines as it has.
    """
    lines = failure.traceback.rstrip().split("\n")[: -len(failure.message.rstrip().split("\n"))]
    shown = [line for line in lines if line.strip(" ^~")][1 - TRACEBACK_LINES :]
    script, end = script_line("\n".join(lines)), script_line("\n".join(shown))
    return [_shortened(line) for line in shown] + ([f"In the script at {script}"] if script != end else [])


def _shortened(line: str) -> str:
    left_out = len(line) - LONGEST_LINE
    return f"{line[:LONGEST_LINE]}... ({left_out} characters left out)" if left_out > 0 else line
