"""The log tree of a job (folder `logs/`), laid out as in the service."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from batchtwin import atomic
from batchtwin.engine.job import Job
from batchtwin.inputs.plan import MiniBatch
from batchtwin.redaction import hide
from batchtwin.safe_open import open_file
from batchtwin_node.protocol import INIT_TIMEOUT, Failure, Outcome, Usage
from batchtwin_node.readers.bad_file import LINES, printable

README = """\
Logs of a batch job, laid out as in Azure Machine Learning.

job_progress_overview.<time>.txt        what happened, line by line
job_result.txt                          status, summary, cause
user/error.txt                          one line per distinct error, with counts and the first file
user/error/<node>/<process>.txt         full tracebacks of init() and run()
user/stdout/<node>/<process>.stdout.txt what the scoring script printed
user/stderr/<node>/<process>.stderr.txt what it wrote to stderr, Python's logging among it
user/entry_script_log/<node>/           what it wrote through EntryScript().logger
user/mlflow/                            what it logged with MLflow, where no run could take it
sys/node/<node>/<process>.txt           what each worker did, mini-batch by mini-batch
sys/job_report/processed_mini-batches.csv  one line per try of a mini-batch
sys/metrics/<time>/progress.csv         counts and times while the job ran, one folder per run
perf/<node>/                            CPU and memory over time
"""
# Seconds before a worker's log lines are written: each worker has a file, and there may be a thousand.
KEEP_SECONDS = 0.5
# Tables for tools: times as `TABLE_TIME` in UTC, `N/A` for nothing [A].
TABLE_TIME = "%Y-%m-%dT%H:%M:%S.%f"
NOTHING = "N/A"
JOB_RESULT = "job_result.txt"
MINI_BATCHES = "sys/job_report/processed_mini-batches.csv"
NODE_USAGE = "time,cpu_percent,memory_used_bytes,memory_total_bytes\n"
PROCESS_USAGE = "time,process,pid,cpu_percent,memory_rss_bytes\n"
REPORT = (
    "Mini-batch Id",
    "Picked Count",
    "Process",
    "Process Start Time",
    "Total",
    "Succeeded",
    "Failed",
    "Elapsed Seconds",
    "Process Seconds",
    "Run Method Seconds",
    "Status",
    "Error Category",
    "Error Message",
    "Mini-batch Detail",
)
PROGRESS = (
    "Datetime",
    "Total Tasks",
    "Scheduled Tasks",
    "Completed Tasks",
    "Failed Tasks",
    "Elapsed Time",
    "Estimated Remaining Time",
)


def at(seconds: float) -> str:
    """Return a time (seconds since the epoch) as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def timestamp() -> str:
    """Return the present time, as `at` formats it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def table_time(seconds: float) -> str:
    """Return a time (seconds since the epoch) as in the tables."""
    return datetime.fromtimestamp(seconds, UTC).strftime(TABLE_TIME)


def status_of(end: Outcome | Failure) -> str:
    """Return the service engine's word for how a try ended [A]."""
    if isinstance(end, Outcome):
        return "RUN_DONE"
    if end.mini_batch is not None:
        return "RUN_TIMEOUT" if end.kind == "timeout" else "RUN_EXCEPTION"
    # A script may raise the same words, and then there is a traceback.
    is_late = end.message.startswith(INIT_TIMEOUT) and not end.traceback
    return "INIT_TIMEOUT" if is_late else "INIT_EXCEPTION"


def duration(seconds: float) -> str:
    """`H:MM:SS`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Logs:
    """The controller's logs. A worker is named `node/process`; its node writes its output below `user/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stack = ExitStack()
        self._opened = cache(self._open)
        self._kept: defaultdict[str, list[str]] = defaultdict(list)
        self._written = time.monotonic()
        self._errors: Counter[str] = Counter()
        self._first_file: dict[str, str] = {}
        self._overview = f"job_progress_overview.{datetime.now(UTC):%Y%m%d%H%M%S}.txt"
        self._report = csv.writer(self._opened(MINI_BATCHES), lineterminator="\n")
        report = root / MINI_BATCHES
        if not report.stat().st_size:  # a resumed job adds to it
            self._report.writerow(REPORT)
        # The folder of the latest run sorts last.
        metrics = f"sys/metrics/{datetime.now(UTC):%Y%m%d%H%M%S%f}/progress.csv"
        self._metrics = csv.writer(self._opened(metrics), lineterminator="\n")
        self._metrics.writerow(PROGRESS)
        atomic.write_text(root / "readme.txt", README, root=root.parent, sync=False)

    def _open(self, name: str) -> TextIO:
        return self._stack.enter_context(self._append(name))

    def started(self, worker: str, pid: int, how: str) -> None:
        """Record that a worker was started, or forked from the fork server."""
        self._node(worker, f"{how}, pid {pid}")

    def usage(self, usage: Usage) -> None:
        """Add a sample of CPU and memory, of every node that has a worker in it: one machine may host several."""
        nodes = {process.worker.partition("/")[0] for process in usage.processes}
        stamp = timestamp()
        for name in sorted(nodes):
            line = f"{stamp},{usage.cpu_percent},{usage.memory_used},{usage.memory_total}\n"
            self._add_row(f"perf/{name}/node_resource_usage.csv", NODE_USAGE, line)
        for process in usage.processes:
            name, _, worker = process.worker.partition("/")
            line = f"{stamp},{worker},{process.pid},{process.cpu_percent},{process.rss}\n"
            self._add_row(f"perf/{name}/processes_resource_usage.csv", PROCESS_USAGE, line)

    def _add_row(self, name: str, header: str, line: str) -> None:
        self._add(name, line if (self.root / name).exists() else header + line)

    def _add(self, name: str, text: str) -> None:
        """Append to a file, and close it: each worker has one, and workers are replaced without limit."""
        with self._append(name) as stream:
            stream.write(text)

    def _append(self, name: str) -> TextIO:
        stream = open_file(self.root / name, "ab", self.root.parent, make=True)
        return TextIOWrapper(stream, encoding="utf-8", line_buffering=True)

    def _node(self, worker: str, text: str) -> None:
        self._kept[worker].append(f"{timestamp()} {text}\n")

    def tick(self) -> None:
        """Write the recent lines of workers; called often, writes seldom."""
        if self._kept and time.monotonic() - self._written > KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all lines of workers so far."""
        self._written = time.monotonic()
        for worker in list(self._kept):
            self._add(f"sys/node/{worker}.txt", "".join(self._kept[worker]))
            del self._kept[worker]

    def progress(self, message: str) -> None:
        """Add a line to the progress overview."""
        self._opened(self._overview).write(f"{timestamp()} {printable(hide(message), LINES)}\n")

    def outcome(self, outcome: Outcome) -> None:
        """Record a mini-batch that succeeded."""
        text = (
            f"mini batch {outcome.mini_batch}, try {outcome.attempt}, pid {outcome.pid}: "
            f"{outcome.succeeded + outcome.failed} items, {outcome.succeeded} succeeded, {outcome.failed} failed, "
            f"started {at(outcome.started)}, {outcome.seconds:.3f} s, run() {outcome.run_seconds:.3f} s"
        )
        self._node(outcome.worker, text)

    def failure(self, failure: Failure, first_file: str) -> None:
        """Write the full text of a failed try, and count it for the digest."""
        attempt = f"mini batch {failure.mini_batch}, try {failure.attempt}" if failure.attempt else "start"
        text = failure.traceback.rstrip() or failure.message
        self._add(f"user/error/{failure.worker}.txt", f"{timestamp()} {attempt}: {failure.kind}: {text}\n")
        message = _one_line(failure.message)
        self._node(failure.worker, f"{attempt}, pid {failure.pid}: {failure.kind}, {failure.seconds:.3f} s: {message}")
        self.count(failure, first_file)

    def count(self, failure: Failure, first_file: str) -> None:
        """Count a failed try for the digest: of this run, or of an earlier one."""
        key = _one_line(failure.message)
        self._errors[key] += 1
        self._first_file.setdefault(key, first_file)

    def tried(self, mini_batch: MiniBatch | None, end: Outcome | Failure, elapsed: float) -> None:
        """Add the row of a try, which ended `elapsed` seconds after its mini-batch was first picked.

        Without `mini_batch` it is about a worker that did not start.
        """
        files = mini_batch.files if mini_batch else ()
        if isinstance(end, Outcome):
            counts, verdict = (end.succeeded, end.failed), (NOTHING, NOTHING)
        else:
            counts, verdict = (0, len(files)), (end.kind, _one_line(end.message) or NOTHING)
        picked = (mini_batch.id, end.attempt) if mini_batch else (NOTHING, NOTHING)
        items = (len(files), *counts) if mini_batch else (NOTHING, NOTHING, NOTHING)
        self._report.writerow(
            [
                *(*picked, end.worker, table_time(end.started), *items),
                *(f"{seconds:.3f}" for seconds in (elapsed, end.seconds, end.run_seconds)),
                *(status_of(end), *verdict),
                (" ".join(file.name for file in files) or NOTHING) + (_rows(mini_batch) if mini_batch else ""),
            ]
        )

    def metrics(self, job: Job, elapsed: float, remaining: float | None) -> None:
        """Add a row to the table of progress; `remaining` seconds are None while unknown."""
        left = NOTHING if remaining is None else duration(remaining)
        total, failed = len(job.items), len(job.out_of_tries)
        counts = (total, total, job.processed, failed)
        self._metrics.writerow([table_time(time.time()), *counts, duration(elapsed), left])

    def result(self, job: Job, cause: str) -> None:
        """Write `job_result.txt` (status, summary line, cause) and the digest of errors."""
        write_result(self.root, job, cause)
        if self._errors:
            counted = self._errors.most_common()
            digest = [f"{count} x {text} (first: {printable(self._first_file[text])})\n" for text, count in counted]
            atomic.write_text(self.root / "user/error.txt", digest, root=self.root.parent, sync=False)

    def close(self) -> None:
        """Close the files. Lines that a full disk refuses are lost."""
        with suppress(OSError):
            self.flush()
        with suppress(OSError):
            self._stack.close()


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def write_result(root: Path, job: Job, cause: str) -> None:
    """Write `job_result.txt` to a job's log folder: status, summary line, cause."""
    lines = [job.status.value, job.summary, *([cause] if cause else [])]
    atomic.write_text(root / JOB_RESULT, printable("\n".join(lines), LINES) + "\n", root=root.parent, sync=False)


def with_parent(path: Path) -> Path:
    """Return `path` after making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _rows(mini_batch: MiniBatch) -> str:
    part = mini_batch.part
    return f" rows {part.row} to {part.row + part.rows - 1}" if part else ""
