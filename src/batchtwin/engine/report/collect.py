"""A job's folder -> what its report shows of the job itself. One pass over the tries in the ledger."""

from __future__ import annotations

import heapq
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from batchtwin.engine.job import Status
from batchtwin.engine.ledger import Ledger, LedgerError, Totals
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.output.manifest import Manifest, ManifestError
from batchtwin.engine.report.causes import Causes
from batchtwin.engine.report.facts import About, RunEnd, read_about, read_end
from batchtwin.engine.report.text import parse_time
from batchtwin.engine.report.timeline import Timeline
from batchtwin.engine.report.usage import NodeUsage, read_usage
from batchtwin.locks import is_held
from batchtwin_node.protocol import BadFile, Failure, Outcome

SLOWEST = 10
MOST_NOTES = 30
# How many ranges of rows are kept, for jobs whose rows are not assembled: spread evenly over the mini-batches.
MOST_RANGES = 64
# Rows in `complete-run...` segments were counted in an earlier run.
REBASED = "complete-run"
INTERRUPTED = "Interrupted"
# The kind of failure that ends the job at once, so that its mini-batch never ends.
FATAL = "bad_file"


@dataclass
class Counts:
    """Files and rows. `rows_in` counts `counted` files, of which the script said how many rows they have."""

    succeeded: int = 0
    failed: int = 0
    rows: int = 0
    rows_in: int = 0
    counted: int = 0
    bytes: int = 0


@dataclass
class Collected:
    """A job from its ledger and logs. Times are seconds since the epoch."""

    root: Path
    about: About
    environment: str
    status: str
    summary: str
    cause: str
    way: str
    advice: str
    began: float
    ended: float
    runs: int
    totals: Totals
    timeline: Timeline
    causes: Causes = field(default_factory=Causes)
    counts: Counts = field(default_factory=Counts)
    slowest: list[tuple[float, int, Outcome]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ranges: list[Outcome] = field(default_factory=list)
    outcomes: int = 0
    usage: list[NodeUsage] = field(default_factory=list)
    more_nodes: int = 0
    files: dict[int, list[str]] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether a process works on the job."""
        return self.status == Status.RUNNING

    @property
    def is_complete(self) -> bool:
        """Whether the output is whole."""
        return self.status == Status.COMPLETED


def collect(output: OutputFolder, ledger: Ledger) -> Collected:
    """Read a job as it stands.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    about, end, totals = read_about(ledger), read_end(ledger), ledger.totals()
    status = end.status if end else _status(output, ledger)
    began = parse_time(ledger.fact("started") or "") or time.time()
    ended = max(began, _ended_at(status, end, ledger))
    job = Collected(
        root=output.root,
        about=about,
        environment=ledger.fact("environment") or "",
        status=status,
        summary=end.summary if end else "",
        cause=end.cause if end else "",
        way=end.way if end else "",
        advice=end.advice if end else "",
        began=began,
        ended=ended,
        runs=int(ledger.fact("runs") or 0),
        totals=totals,
        timeline=Timeline(began, ended - began, totals.tries),
    )
    _read_tries(job, ledger)
    job.summary = job.summary or _summary(job)
    job.usage, job.more_nodes = read_usage(output.logs, output.root, began, ended - began)
    numbers = [outcome.mini_batch for _, _, outcome in job.slowest]
    numbers += [number for cause in job.causes.groups.values() for number in cause.mini_batches]
    job.files = ledger.files_of([*numbers, *(outcome.mini_batch for outcome in job.ranges)], SLOWEST)
    return job


def _status(output: OutputFolder, ledger: Ledger) -> str:
    """Return the status of a job whose last run recorded no end: it runs, was killed, or is an earlier version's."""
    if is_held(output.lock):
        return Status.RUNNING
    try:
        complete = output.manifest.exists() and Manifest.read(output.manifest).runs == int(ledger.fact("runs") or 0)
    except ManifestError:
        complete = False
    return Status.COMPLETED if complete else INTERRUPTED


def _ended_at(status: str, end: RunEnd | None, ledger: Ledger) -> float:
    if status == Status.RUNNING:
        return time.time()
    at = parse_time(end.at) if end else None
    last = ledger.last_event()
    return at or (last.started + last.seconds if last else 0.0)


def _summary(job: Collected) -> str:
    """Return the beginning of the summary line, for a job that has not ended."""
    ended, counts = job.totals, job.counts
    return (
        f"There are {ended.mini_batches} mini batches with {ended.files} items. Processed {ended.ended} mini batches: "
        f"items succeeded {counts.succeeded}, failed {counts.failed}."
    )


def _read_tries(job: Collected, ledger: Ledger) -> None:
    step = -(-job.totals.ended // MOST_RANGES) or 1
    fatal: dict[int, int] = {}
    for text, is_last in ledger.tries():
        event = _event(text)
        is_rebased = isinstance(event, Outcome) and event.segment.startswith(REBASED)
        if not is_rebased:
            job.timeline.add(event)
        items = job.totals.items[event.mini_batch] if event.mini_batch is not None else 0
        is_fatal = not is_last and _is_fatal(job, event) and event.mini_batch not in fatal
        if is_fatal and isinstance(event, Failure) and event.mini_batch is not None:
            items = fatal[event.mini_batch] = 1 if event.bad_file else items
        elif is_last and event.mini_batch is not None:
            fatal.pop(event.mini_batch, None)
        job.causes.add(event, is_last or is_fatal, items)
        if is_last and isinstance(event, Failure):
            job.counts.failed += items
        if is_last and isinstance(event, Outcome):
            _count(job, event)
            if job.outcomes % step == 0:
                job.ranges.append(event)
            job.outcomes += 1
    job.counts.failed += sum(fatal.values())
    job.ranges.sort(key=lambda outcome: outcome.mini_batch)  # the output is in the order of the plan
    if job.is_running and job.timeline.first is not None:
        job.timeline.last = job.timeline.seconds  # work goes on
    job.slowest.sort(reverse=True, key=lambda entry: entry[:2])


def _is_fatal(job: Collected, event: Outcome | Failure) -> bool:
    """Whether this failure ended the job: its file is lost, although its mini-batch never ended."""
    return job.status == Status.FAILED and isinstance(event, Failure) and event.kind == FATAL


def _event(text: str) -> Outcome | Failure:
    """Decode an event without checking each field: the checks would take most of the time.

    Raises:
        LedgerError: it is none.
    """
    try:
        data = json.loads(text)
        if data.pop("type") == Outcome.TYPE:
            data["bad_files"] = tuple(BadFile(**bad) for bad in data.get("bad_files", ()))
            return Outcome(**data)
        if data.get("bad_file"):
            data["bad_file"] = BadFile(**data["bad_file"])
        return Failure(**data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError(f"the ledger holds an event that cannot be read: {error}") from None


def _count(job: Collected, outcome: Outcome) -> None:
    counts = job.counts
    counts.succeeded += outcome.succeeded
    counts.failed += outcome.failed
    counts.rows += outcome.rows
    counts.bytes += outcome.length
    for read, _ in outcome.file_rows or ():
        counts.rows_in += read
        counts.counted += 1
    for note in outcome.notes:
        if note not in job.notes and len(job.notes) < MOST_NOTES:
            job.notes.append(note)
    entry = (outcome.seconds, outcome.mini_batch, outcome)
    if len(job.slowest) < SLOWEST:
        heapq.heappush(job.slowest, entry)
    elif entry[:2] > job.slowest[0][:2]:
        heapq.heapreplace(job.slowest, entry)
