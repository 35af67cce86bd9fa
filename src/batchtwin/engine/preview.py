"""What a prepared job would do, and what about it looks wrong: the substance of `batchtwin plan`."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.logs import MINI_BATCHES, NOTHING
from batchtwin.engine.new_job import new_job
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import PlainProgress
from batchtwin.engine.tracking.deliver import dropped
from batchtwin.inputs.location import is_url, redact, without_query
from batchtwin.inputs.plan import Plan
from batchtwin.inputs.remote import heads
from batchtwin_node.readers import ending
from batchtwin_node.readers.bad_file import listed
from batchtwin_node.readers.file_kind import CSV, PARQUET, other_kind
from batchtwin_node.script.lint import lint

SHOWN = 10
HEAD_BYTES = 64 << 10  # enough for most headers
LONGEST_LINE = 1 << 24
FORMATS = {".csv": CSV, ".parquet": PARQUET, ".pqt": PARQUET}
# Files that are looked at if the model requires no columns: only whether they are what their ending says.
LOOKED_AT = 100


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
        return lint(Path(*prepared.script), prepared.deployment.model_name)
    problems = list(_head_problems(prepared))
    more = len(problems) - SHOWN
    return problems[:SHOWN] + ([f"and {more} more files"] if more > 0 else [])


def _head_problems(prepared: Prepared) -> Iterator[str]:
    required = prepared.model.required_columns
    files = [file.path for file in prepared.inputs.files if ending(without_query(file.path)) in FORMATS]
    paths = files if required else files[:LOOKED_AT]
    for path, head in _heads(prepared.inputs.root, paths):
        problem = head if isinstance(head, str) else _problem(path, head, required)
        if problem:
            yield f"{redact(path)}: {problem}"


def _problem(path: str, head: bytes, required: Sequence[str]) -> str | None:
    """Say what would fail, of a file that begins like this: it is something else, or lacks columns."""
    wanted = FORMATS[ending(without_query(path))]
    kind = other_kind(head, wanted)
    if wanted != CSV or (b"\n" not in head and len(head) >= HEAD_BYTES):
        return kind
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline="")), [])
    except csv.Error as error:
        return kind or f"the first line is not CSV: {error}"
    missing = [name for name in required if name not in set(names)]
    twins = [name for name in required if names.count(name) > 1] if len(set(names)) < len(names) else []
    if missing:
        return kind or f"missing columns {listed(missing, str)}; the model's signature requires them"
    if twins:
        return f"more than one column is called {listed(twins)}: the first is read"
    return None if required else kind


def _heads(root: Path | str, paths: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    """Yield the beginning of each file, its first line at least, or why it cannot be read."""
    if is_url(root):
        yield from zip(paths, heads(str(root), paths, HEAD_BYTES), strict=True)
        return
    for path in paths:
        try:
            with open(path, "rb") as stream:
                head = stream.read(HEAD_BYTES)
                yield path, head if b"\n" in head else head + stream.readline(LONGEST_LINE)
        except OSError as error:
            yield path, f"cannot be read: {error.strerror}"


def dry_run(prepared: Prepared, backend: Backend) -> str:
    """Run the first mini-batch alone and say how long it took, and what the timeout is."""
    timeout = prepared.deployment.settings.retry_settings.timeout
    with tempfile.TemporaryDirectory(prefix="batchtwin-try-") as folder:
        plan = Plan(prepared.plan.fingerprint, prepared.plan.mini_batches[:1])
        output = OutputFolder(Path(folder) / "job", prepared.output.file_name)
        result = new_job(
            replace(prepared, plan=plan, output=output, workers=1), PlainProgress(io.StringIO()), backend, dropped
        )
        with (output.logs / MINI_BATCHES).open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["Mini-batch Id"] != NOTHING]
    if not rows:
        return f"{result.status.value}: {result.cause.splitlines()[0]}"
    seconds = float(rows[-1]["Run Method Seconds"])
    return f"{result.status.value}: mini batch 0 ran {seconds:.2f} s; the timeout is {timeout} s"
