"""What a prepared job would do, and what about it looks wrong: the substance of `batchtwin plan`."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.logs import MINI_BATCHES, NOTHING
from batchtwin.engine.new_job import new_job
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import PlainProgress
from batchtwin.inputs.location import is_url, redact
from batchtwin.inputs.plan import Plan
from batchtwin.inputs.remote import heads
from batchtwin_node.readers import ending
from batchtwin_node.script.lint import lint

SHOWN = 10
HEAD_BYTES = 64 << 10  # of a file in a store: enough for a header


def summary(prepared: Prepared) -> dict[str, Any]:
    """Return the job in numbers and names, in the order to show them."""
    settings = prepared.deployment.settings
    count = len(prepared.plan.mini_batches)
    return {
        "deployment": f"{prepared.deployment.name} ({prepared.request.deployment})",
        "model": f"{prepared.model.path} ({', '.join(prepared.model.flavors) or 'no MLflow model'})",
        "scoring_script": "/".join(prepared.script) if prepared.script else "none: the MLflow driver scores",
        "input": str(prepared.inputs.root),
        "files": prepared.plan.items,
        "bytes": sum(file.size for file in prepared.inputs.files),
        "mini_batches": count,
        "mini_batch_size": settings.mini_batch_size,
        "workers": prepared.workers,
        "mini_batches_per_worker": -(-count // prepared.workers),
        "tries": settings.retry_settings.tries,
        "timeout_seconds": settings.retry_settings.timeout,
        "error_threshold": settings.error_threshold,
        "output": settings.output_action + (f" to {prepared.output.file_name}" if prepared.output.file_name else ""),
        "fingerprint": prepared.plan.fingerprint,
    }


def details(prepared: Prepared) -> dict[str, Any]:
    """Return the parts that only programs want to read."""
    return {
        "mini_batch_files": [[file.name for file in mini_batch.files] for mini_batch in prepared.plan.mini_batches],
        "left_out": [{"name": entry.name, "why": entry.why} for entry in prepared.inputs.left_out],
        "warnings": list(prepared.warnings),
    }


def warnings(prepared: Prepared) -> list[str]:
    """Say what would probably fail: mistakes in the script; files whose head lacks columns of the model's signature."""
    if prepared.script:
        return lint(Path(*prepared.script))
    problems = list(_head_problems(prepared))
    more = len(problems) - SHOWN
    return problems[:SHOWN] + ([f"and {more} more files"] if more > 0 else [])


def _head_problems(prepared: Prepared) -> Iterator[str]:
    required = prepared.model.required_columns
    paths = [file.path for file in prepared.inputs.files if ending(file.path) == ".csv"] if required else []
    for path, first in _first_records(prepared.inputs.root, paths):
        if isinstance(first, str):
            yield first
        elif missing := [name for name in required if name not in first]:
            yield f"{redact(path)}: missing columns {', '.join(missing)}; the model's signature requires them"


def _first_records(root: Path | str, paths: Sequence[str]) -> Iterator[tuple[str, list[str] | str]]:
    """Yield the fields of the first record of each file, or why there are none. Of a store only heads are read."""
    if is_url(root):
        for path, head in zip(paths, heads(str(root), paths, HEAD_BYTES), strict=True):
            if isinstance(head, str):
                yield path, head
            elif b"\n" in head or len(head) < HEAD_BYTES:
                yield path, _first_record(path, io.StringIO(head.decode("utf-8-sig", "replace"), newline=""))
        return
    for path in paths:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
            yield path, _first_record(path, stream)


def _first_record(path: str, stream: TextIO) -> list[str] | str:
    try:
        return next(csv.reader(stream), [])
    except csv.Error as error:
        return f"{redact(path)}: the first line is not CSV: {error}"


def dry_run(prepared: Prepared, backend: Backend) -> str:
    """Run the first mini-batch alone and say how long it took, and what the timeout is."""
    timeout = prepared.deployment.settings.retry_settings.timeout
    with tempfile.TemporaryDirectory(prefix="batchtwin-try-") as folder:
        plan = Plan(prepared.plan.fingerprint, prepared.plan.mini_batches[:1])
        output = OutputFolder(Path(folder) / "job", prepared.output.file_name)
        result = new_job(replace(prepared, plan=plan, output=output, workers=1), PlainProgress(io.StringIO()), backend)
        with (output.logs / MINI_BATCHES).open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["Mini-batch Id"] != NOTHING]
    if not rows:
        return f"{result.status.value}: {result.cause.splitlines()[0]}"
    seconds = float(rows[-1]["Run Method Seconds"])
    return f"{result.status.value}: mini batch 0 ran {seconds:.2f} s; the timeout is {timeout} s"
