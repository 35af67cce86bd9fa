"""The files of a job that gave no result, and why: the lines of failures.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from batchtwin import atomic
from batchtwin.engine.job import Job
from batchtwin.inputs.location import redact
from batchtwin.inputs.plan import MiniBatch, Plan
from batchtwin_node.protocol import BadFile, Failure, Outcome

Record = dict[str, object]
# The longest message that is repeated for many files.
LONGEST_COPY = 500


def write_failures(path: Path, job: Job, plan: Plan) -> bool:
    """Write one JSON object per failed file, in plan order; no file, and False, if nothing failed."""
    lines = (json.dumps(record) + "\n" for record in failure_records(job, plan))
    first = next(lines, None)
    if first is None:
        path.unlink(missing_ok=True)
        return False
    atomic.write_text(path, chain([first], lines))
    return True


def failure_records(job: Job, plan: Plan) -> Iterator[Record]:
    """Yield one record per failed file. A shortfall of which no file is known is one record with `files`."""
    failures = dict(job.out_of_tries)
    if (fatal := _fatal(job)) and fatal.mini_batch is not None:
        failures[fatal.mini_batch] = fatal
    for mini_batch in plan.mini_batches:
        if mini_batch.id in failures:
            yield from _failed(failures[mini_batch.id], mini_batch)
        elif mini_batch.id in job.outcomes:
            yield from _short(job.outcomes[mini_batch.id], mini_batch)


def files_that_ended_the_job(job: Job, plan: Plan) -> int:
    """Count the files whose failure ended the job at once. `job.failed` lacks them: their mini-batch never ended."""
    fatal = _fatal(job)
    if fatal is None or fatal.mini_batch is None or job.has_ended(fatal.mini_batch):
        return 0
    return sum(1 for _ in _failed(fatal, plan.mini_batches[fatal.mini_batch]))


def _fatal(job: Job) -> Failure | None:
    """Return the failure that ended the job at once, if one did."""
    fatal = job.fatal
    return None if fatal is None or fatal.mini_batch is None or fatal.kind == "write" else fatal


def _failed(failure: Failure, mini_batch: MiniBatch) -> Iterator[Record]:
    base: Record = {"mini_batch": mini_batch.id, "attempts": failure.attempt, "kind": failure.kind}
    if failure.bad_file:
        yield base | _known(failure.bad_file)
        return
    cause = failed_file(failure, mini_batch)
    if cause is None and (current := file_at(failure, mini_batch)):
        base |= {"at": current}
    for at, file in enumerate(mini_batch.files):
        if cause in (None, file.path):
            yield base | {
                "file": file.path,
                "message": _copy(failure.message) if at and cause is None else failure.message,
            }
        else:
            message = f"not scored: another file of its mini-batch failed: {redact(cause or '')}"
            yield base | {"file": file.path, "message": message, "because_of": cause}


def _copy(message: str) -> str:
    """Return the message for a file that is not the first of its mini-batch: a mini-batch may have many files."""
    return message if len(message) <= LONGEST_COPY else f"{message[:LONGEST_COPY]}... (in full at its first file)"


def failed_file(failure: Failure, mini_batch: MiniBatch) -> str | None:
    """Return the path of the failed file; None if it is not known which of several files failed."""
    if len(mini_batch.files) == 1:
        return mini_batch.files[0].path
    path = failure.bad_file.file if failure.bad_file else failure.file
    return path if any(file.path == path for file in mini_batch.files) else None


def file_at(failure: Failure, mini_batch: MiniBatch) -> str | None:
    """Return the path of the file that the script was at; None if it is not known."""
    path = failure.at[0] if failure.at else None
    return path if any(file.path == path for file in mini_batch.files) else None


def _known(bad_file: BadFile) -> Record:
    """What is known of a bad file."""
    return {name: value for name, value in asdict(bad_file).items() if value is not None}


def _short(outcome: Outcome, mini_batch: MiniBatch) -> Iterator[Record]:
    base: Record = {"mini_batch": mini_batch.id, "attempts": outcome.attempt}
    for bad in outcome.bad_files:
        yield base | {"kind": "bad_file"} | _known(bad)
    short = outcome.failed - len(outcome.bad_files)
    if short:
        names = [file.path for file in mini_batch.files]
        message = f"run() returned {outcome.succeeded} results for {len(names)} files; return one per file"
        yield base | {"kind": "shortfall", "files": names, "failed": short, "message": message}
