"""The parent of a job at 1,000 workers and 10 million mini-batches, without them: `make bench WHAT=parent`.

Plan, ledger, job, logs, progress and assembly are the real ones. The pool is not: its workers answer at once, in
lines of JSON as real ones write, so that what is measured is how many mini-batches a second the parent can follow, and
what it holds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchtwin.engine.backends.ray.node import Try
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import Logs
from batchtwin.engine.new_job import new_job
from batchtwin.engine.prepare import Prepared, Request, prepare
from batchtwin.engine.progress import PlainProgress
from batchtwin.inputs.listing import InputFile
from batchtwin.inputs.plan import MiniBatch, Plan
from batchtwin_node.codec import any_from_json
from batchtwin_node.protocol import EVENTS, Event, JobContext
from benchmarks.scale import make

ROWS = b"0,1,00000000.csv\n"


class Answering:
    """A pool of `crew.workers` workers that are never slow: each call of `events` brings what `batch` of them did."""

    def __init__(self, context: JobContext, batch: int) -> None:
        from zlib import crc32

        self._queue: deque[Try] = deque()
        self._workers, self._batch, self._next = context.workers, batch, 0
        self._offsets = [0] * context.workers
        self._crc = crc32(ROWS)
        self._segments = Path(context.root) / "segments"
        for number in range(context.workers):
            (self._segments / self._segment(number)).touch()
        self.fed = time.perf_counter()

    def _segment(self, number: int) -> str:
        return f"run1-node{number // 16}-process{number % 16:03}.segment"

    def submit(self, mini_batch: MiniBatch, attempt: int) -> None:
        """Queue a mini-batch."""
        self._queue.append((mini_batch, attempt))

    def events(self, timeout: float) -> Sequence[Event]:
        """Answer for the next workers, in lines of JSON that are read as real ones are."""
        count = min(self._batch, len(self._queue))
        return [any_from_json(EVENTS, self._line(*self._queue.popleft())) for _ in range(count)]

    def _line(self, mini_batch: MiniBatch, attempt: int) -> str:
        number, self._next = self._next, (self._next + 1) % self._workers
        offset = self._offsets[number]
        self._offsets[number] += len(ROWS)
        return json.dumps(
            {
                **{"type": "outcome", "mini_batch": mini_batch.id, "attempt": attempt, "crc": self._crc, "rows": 1},
                **{"worker": f"node{number // 16}/process{number % 16:03}", "segment": self._segment(number)},
                **{"offset": offset, "length": len(ROWS), "succeeded": 1, "failed": 0, "pid": 1},
                **{"started": time.time(), "seconds": 0.1, "run_seconds": 0.1},
            }
        )

    def close(self) -> None:
        """Write what the workers would have written."""
        for number, size in enumerate(self._offsets):
            (self._segments / self._segment(number)).write_bytes(ROWS * (size // len(ROWS)))


class Nowhere:
    """A site whose workers answer at once."""

    def __init__(self, batch: int) -> None:
        self._batch = batch

    def connect(self, prepared: Prepared) -> str:
        """Nothing to connect to."""
        return ""

    def pool(self, context: JobContext, logs: Logs, note: Callable[[str], None]) -> Answering:
        """Return the pool."""
        return Answering(context, self._batch)

    def explain(self, cause: str) -> str:
        """The cause as it is."""
        return cause

    def close(self) -> None:
        """Nothing to leave."""


def peak() -> float:
    """The most memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Figures:
    """What one job took. `cpu`: seconds of this process, from the first event to the manifest."""

    exit_code: int
    text: str
    cpu: float = 0.0


def measure(mini_batches: int, workers: int, batch: int) -> Figures:
    """Plan, run and assemble a job of so many mini-batches; `batch` events arrive at once."""
    with tempfile.TemporaryDirectory(prefix="batchtwin-bench-") as name:
        folder = Path(name)
        make(folder, 1)
        request = Request(folder / "deployment.yml", folder / "in", output=folder / "out", workers=workers)
        one = prepare(request)
        began, empty = time.perf_counter(), peak()
        files = tuple(InputFile(f"/data/{number:08}.csv", 100, 1) for number in range(mini_batches))
        plan = Plan.make(files, 1, one.plan.fingerprint)
        planned, plan_peak = time.perf_counter(), peak()
        prepared = replace(one, plan=plan, inputs=replace(one.inputs, files=files), workers=workers)
        used = time.process_time()
        result = new_job(prepared, PlainProgress(io.StringIO()), Nowhere(batch))
        used, ended = time.process_time() - used, time.perf_counter()
        if result.exit_code:
            why = result.cause or result.summary
            return Figures(result.exit_code, f"{result.status.value} after {ended - planned:.0f} s: {why}")
        size = sum(path.stat().st_size for path in folder.rglob("job.sqlite*"))
        logs = sum(path.stat().st_size for path in (folder / "out/logs").rglob("*") if path.is_file())
        manifest = os.path.getsize(folder / "out/manifest.json")
        reopened = time.perf_counter()
        ledger = Ledger.open(folder / "out/job.sqlite")
        count = sum(1 for _ in ledger.ended())
        ledger.close()
        read = time.perf_counter() - reopened
    each = (ended - planned) / mini_batches
    lines = [
        f"{mini_batches:,} mini-batches, {workers:,} workers: {result.status.value}, {count:,} in ledger",
        f"plan {planned - began:.1f} s, {plan_peak - empty:.0f} MiB",
        f"job {ended - planned:.1f} s, {each * 1e6:.0f} us each, {1 / each:,.0f}/s; {peak():.0f} MiB at most; "
        f"CPU {used / mini_batches * 1e6:.0f} us each",
        f"ledger {size >> 20} MiB, read again {read:.1f} s; logs {logs >> 20} MiB; manifest {manifest >> 20} MiB",
    ]
    return Figures(0, "\n".join(lines), used)


def main() -> int:
    """Measure as the options say; print what each took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mini-batches", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16, help="events that arrive at once")
    asked = parser.parse_args()
    figures = measure(asked.mini_batches, asked.workers, asked.batch)
    print(figures.text)
    return figures.exit_code


if __name__ == "__main__":
    sys.exit(main())
