"""What the ledger and the report add to a job's MLflow run: curves, the distribution, two artifacts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.report.collect import collect
from batchtwin.engine.report.usage import BINS
from batchtwin.engine.report.write import predictions_of
from batchtwin.errors import BatchTwinError
from batchtwin.predictions.file import LineLayout, line_layout
from batchtwin.safe_open import open_file
from batchtwin_node.codec import value_object

# Seconds between two points of a curve.
STEP_SECONDS = 10.0
HEAD_LINES, HEAD_BYTES = 20, 1 << 16
# The largest report that becomes an artifact.
MOST_REPORT = 4 << 20
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HEADERS = {LineLayout.ROWS: "row,prediction,file_name\n", LineLayout.IMAGES: "prediction,file_name\n"}
NOT_IN_A_NAME = re.compile(r"[^\w. -]", re.ASCII)


@value_object
class Value:
    """A value of a metric at a time (seconds since the epoch)."""

    key: str
    value: float
    at: float
    step: int


@dataclass
class Curves:
    """The curves of a job in folder `root` that began at `began`; each call of `take` goes on from the one before."""

    root: Path
    began: float
    _read: int = 0
    _bin: int | None = None
    _rows: int = 0
    _ended: int = 0
    _failed: int = 0
    _values: list[Value] = field(default_factory=list)

    def take(self, *, is_end: bool = False) -> list[Value]:
        """Return the points since the last call, of past seconds only; at the end also the last one."""
        with suppress(BatchTwinError, OSError), closing(Ledger.open(OutputFolder(self.root).ledger)) as ledger:
            for number, text in ledger.events_after(self._read):
                self._read = number
                self._add(json.loads(text))
        if is_end and self._bin is not None:
            self._point(self._bin)
        values, self._values = self._values, []
        return values

    def _add(self, event: dict[str, Any]) -> None:
        at = max(0, int((event["started"] + event["seconds"] - self.began) / STEP_SECONDS))
        if self._bin is not None and at > self._bin:
            self._point(self._bin)
            self._rows = 0
        self._bin = at if self._bin is None else max(at, self._bin)
        if event["type"] == "outcome":
            self._rows += int(event["rows"])
            self._ended += 1
        else:
            self._failed += 1

    def _point(self, step: int) -> None:
        at = self.began + (step + 1) * STEP_SECONDS
        curves = {
            "rows_per_second": self._rows / STEP_SECONDS,
            "mini_batches_done": self._ended,
            "failed_tries": self._failed,
        }
        self._values += [Value(f"progress/{key}", value, at, step) for key, value in curves.items()]


def at_the_end(root: Path) -> Iterator[Value]:
    """Yield the memory of the workers over time, and the distribution of the predictions; nothing without a ledger."""
    output = OutputFolder(root)
    with suppress(BatchTwinError, OSError), closing(Ledger.open(output.ledger)) as ledger:
        job = collect(output, ledger)
        for node in job.usage:
            for at, used in enumerate(node.workers):
                if used is not None:
                    time = job.began + (job.ended - job.began) * (at + 0.5) / BINS
                    yield Value(f"progress/{_name(node.name)}/worker_memory_mb", used / 1e6, time, at)
        predictions, _ = predictions_of(job, every_row=False)
        for name, column in (predictions.columns if predictions else {}).items():
            prefix = f"predictions/{_name(name)}"
            yield Value(f"{prefix}/missing_share", column.missing / max(column.rows, 1), job.ended, 0)
            if column.kind == "classes":
                for value, share in zip(column.values, column.shares(list(column.values)), strict=True):
                    yield Value(f"{prefix}/share of {_name(value)}", share, job.ended, 0)
            elif column.kind == "numbers":
                for at_share, number in zip(QUANTILES, column.quantiles(QUANTILES), strict=True):
                    yield Value(f"{prefix}/quantile {at_share:g}", number, job.ended, 0)


def _name(text: str) -> str:
    """A part of the name of a metric: what MLflow takes."""
    return NOT_IN_A_NAME.sub("_", text)[:100] or "_"


def predictions_head(predictions: Path, root: Path) -> str:
    """Return the first lines of the predictions, below a header where the layout has one; empty if there are none."""
    try:
        with open_file(predictions, "rb", root) as stream:
            data = stream.read(HEAD_BYTES)
    except OSError:
        return ""
    lines = data.split(b"\n")[: data.count(b"\n") or 1]
    layout = line_layout(lines) if data else None
    text = "".join(f"{line.decode('utf-8', 'replace')}\n" for line in lines[:HEAD_LINES] if line)
    return HEADERS.get(layout, "") + text if layout else text


def report_html(root: Path) -> str:
    """Return the report, empty if there is none."""
    try:
        with open_file(OutputFolder(root).report, "rb", root) as stream:
            data = stream.read(MOST_REPORT + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= MOST_REPORT else ""
