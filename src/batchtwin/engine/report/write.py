"""A job's folder -> `report.html` in it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from batchtwin import atomic
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.collect import Collected, collect
from batchtwin.engine.report.facts import RunEnd, note_end
from batchtwin.engine.report.page import render
from batchtwin.engine.report.predictions import Earlier, Predictions, Range, read_predictions
from batchtwin_node.protocol import Outcome


def report_at_end(output: OutputFolder, ledger: Ledger, ended: RunEnd) -> str:
    """Record how a run ended, and write its report. A failure here does not change how the job ended.

    Returns why there is no report, empty if there is one.
    """
    try:
        note_end(ledger, ended)
        write_report(output, ledger)
    except Exception as error:
        return f"No report: {type(error).__name__}: {error}"
    return ""


def write_report(output: OutputFolder, ledger: Ledger) -> Path:
    """Write the report at the end of a job; of many rows it reads a sample.

    Raises:
        OSError: the report cannot be written.
        BatchTwinError: the ledger cannot be read.
    """
    job = collect(output, ledger)
    predictions, note = predictions_of(job, every_row=False)
    return _write(output, render(job, predictions, note))


def report(root: Path, earlier: Callable[[], Earlier] | None = None) -> Path:
    """Write the report of a job, even while it runs, over every row; return its path.

    `earlier` gives the job to compare with.

    Raises:
        BatchTwinError: there is no job, or its ledger cannot be read.
        OSError: the report cannot be written.
    """
    output = OutputFolder(root.absolute())
    while True:
        with closing(Ledger.open(output.ledger)) as ledger:
            job = collect(output, ledger)
            predictions, note = predictions_of(job, every_row=True)
            before = earlier() if earlier else None
            path = _write(output, render(job, predictions, note, before))
            # A job that has just ended wrote its own report: do not overwrite that with this one.
            if not job.is_running or collect(output, ledger).is_running:
                return path


def open_predictions(root: Path) -> tuple[str, Predictions | None]:
    """Read every row of another job; return its name and the distributions.

    Raises:
        BatchTwinError: there is no job, or its ledger cannot be read.
    """
    output = OutputFolder(root.absolute())
    with closing(Ledger.open(output.ledger)) as ledger:
        job = collect(output, ledger)
        return output.root.name, predictions_of(job, every_row=True)[0]


def _write(output: OutputFolder, html: str) -> Path:
    # Not synced: it can be made again.
    atomic.write_text(output.report, html, root=output.root, sync=False)
    return output.report


def predictions_of(job: Collected, *, every_row: bool) -> tuple[Predictions | None, str]:
    """Read the rows that a job has written so far; return them, and a sentence that describes them."""
    output = OutputFolder(job.root, job.about.output_file)
    if output.predictions is None:
        if job.about.yaml:
            return None, "The deployment says summary_only: its script writes what it wants, and no rows are collected."
        return None, "The job notes no output file: an earlier version of batchtwin ran it."
    if not job.counts.rows:
        return None, "No row was written."
    ranges, note = _ranges(job, output)
    try:
        rows, outputs = job.counts.rows, job.about.outputs
        return read_predictions(ranges, output.root, rows, every_row=every_row, outputs=outputs), note
    except OSError as error:
        return None, f"{error.filename}: {error.strerror}"


def _ranges(job: Collected, output: OutputFolder) -> tuple[list[Range], str]:
    """Return where the rows are: in the output of a complete job, else in the segments of its workers."""
    is_whole = len(job.ranges) == job.outcomes
    if output.predictions is not None and job.is_complete:
        if not is_whole:
            return [Range(output.predictions, 0, job.counts.bytes)], ""
        ranges, offset = [], 0
        for outcome in job.ranges:
            ranges.append(Range(output.predictions, offset, outcome.length, _label(job, outcome)))
            offset += outcome.length
        return ranges, ""
    ranges = [
        Range(output.segments / outcome.segment, outcome.offset, outcome.length, _label(job, outcome))
        for outcome in job.ranges
    ]
    of = "" if is_whole else f", {len(ranges)} of them, spread evenly"
    return ranges, f"The rows of the mini-batches that succeeded so far{of}; they are not yet an output."


def _label(job: Collected, outcome: Outcome) -> str:
    """Return the file of a mini-batch that has only one."""
    files = job.files.get(outcome.mini_batch, ())
    return Path(files[0]).name if len(files) == 1 else ""
