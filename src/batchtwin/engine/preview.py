"""What a prepared job would do, and what looks wrong with it: what `batchtwin plan` shows."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.deployment.model_code import code_in_model, table_problem
from batchtwin.deployment.schema import Deployment
from batchtwin.engine.backends.base import Backend
from batchtwin.engine.checks import no_parts
from batchtwin.engine.job import Status
from batchtwin.engine.logs import MINI_BATCHES, NOTHING
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared, Request, Resolved, workers_for, workers_of_parts
from batchtwin.engine.progress import PlainProgress
from batchtwin.engine.tracking.deliver import dropped
from batchtwin.environments.differences import is_listed, missing_module
from batchtwin.environments.installed import missing_modules
from batchtwin.environments.placement import requested_or_reason
from batchtwin.inputs.location import is_url, redact, without_query
from batchtwin.inputs.parts import bytes_per_part
from batchtwin.inputs.plan import Plan
from batchtwin.inputs.remote import heads
from batchtwin_node.codec import value_object
from batchtwin_node.readers import ending
from batchtwin_node.readers.bad_file import advice_on, listed
from batchtwin_node.readers.file_kind import CSV, PARQUET, other_kind
from batchtwin_node.script.imports import changes_path, lies_elsewhere, similar_module, top_imports
from batchtwin_node.script.lint import lint
from batchtwin_node.script.siblings import lacking_names

if TYPE_CHECKING:
    from batchtwin.environments.named import Registered
    from batchtwin.environments.placement import Placement

SHOWN = 10
NO_INPUT = "none given: all but the data is checked"
WRITE_A_SCRIPT = "write a scoring script that reads it, and name it in code_configuration"
HEAD_BYTES = 64 << 10  # enough for most headers
LONGEST_LINE = 1 << 24
FORMATS = {".csv": CSV, ".parquet": PARQUET, ".pqt": PARQUET}
# How many files are looked at if the model requires no columns: only whether their content fits their ending.
LOOKED_AT = 100


def summary(prepared: Prepared) -> dict[str, Any]:
    """Return the job in numbers and names, in the order to show them."""
    count = len(prepared.plan.mini_batches)
    return {
        **_names(prepared.request, prepared.resolved),
        "input": str(prepared.inputs.root),
        "files": len(prepared.plan.files),
        "bytes": sum(file.size for file in prepared.inputs.files),
        "mini_batches": count,
        "mini_batch_size": prepared.deployment.settings.mini_batch_size,
        "workers": prepared.workers,
        "mini_batches_per_worker": -(-count // prepared.workers),
        **_split_rows(prepared),
        **_rules(prepared.deployment),
        "fingerprint": prepared.plan.fingerprint,
    }


def summary_without_input(request: Request, resolved: Resolved) -> dict[str, Any]:
    """Return what is known of a job without its data, in the order to show it."""
    deployment = resolved.deployment
    workers, _ = workers_for(request.workers, deployment, request.workers or deployment.workers, request.ray)
    return {
        **_names(request, resolved),
        "input": NO_INPUT,
        "mini_batch_size": deployment.settings.mini_batch_size,
        "workers": workers,
        **_rules(deployment),
    }


def _names(request: Request, resolved: Resolved) -> dict[str, Any]:
    model = resolved.model
    return {
        "deployment": f"{resolved.deployment.name} ({request.deployment})",
        "model": f"{model.path} ({', '.join(model.flavors) or 'no MLflow model'})",
        "scoring_script": "/".join(resolved.script) if resolved.script else "none: the MLflow driver scores",
        "code_in_model": ", ".join(code_in_model(model)) or "none found",
    }


def _rules(deployment: Deployment) -> dict[str, Any]:
    settings = deployment.settings
    return {
        "tries": settings.retry_settings.tries,
        "timeout_seconds": settings.retry_settings.timeout,
        "error_threshold": settings.error_threshold,
        "output": settings.output_action + (f" to {deployment.output_file}" if deployment.output_file else ""),
    }


def _split_rows(prepared: Prepared) -> dict[str, Any]:
    """Return how many parts files have; without parts, whether they would help: one file is most of the work."""
    parts = Counter(batch.files[0].name for batch in prepared.plan.mini_batches if batch.part is not None)
    if parts:
        files = f"{len(parts)} files" if len(parts) > 1 else next(iter(parts))
        return {"split_rows": f"{sum(parts.values())} parts of {files}"}
    request, files_bytes = prepared.request, sum(file.size for file in prepared.inputs.files)
    if request.split_rows:
        return {"split_rows": "no parts: whole files are scored"}
    largest = max(prepared.inputs.files, key=lambda file: file.size)
    workers = workers_of_parts(request, prepared.deployment)
    part_bytes = bytes_per_part(files_bytes, max(2, workers))
    is_most = largest.size > part_bytes and largest.size * 2 > files_bytes
    if not is_most or ending(without_query(largest.path)) not in FORMATS:
        return {}
    share = f"{largest.name} has {largest.size * 100 // files_bytes} % of the bytes, and one worker scores it whole"
    reason = no_parts(prepared.request, prepared.resolved)
    if reason:
        return {"split_rows": f"not available: {share}, but {reason}"}
    if workers < 2:
        return {"split_rows": f"would not help: {share}, but there is only 1 worker (--workers N overrides)"}
    return {
        "split_rows": f"would help: {share}; "
        f"--split-rows auto makes about {-(-largest.size // part_bytes)} parts for {workers} workers"
    }


def details(prepared: Prepared) -> dict[str, Any]:
    """Return the parts that only programs read."""
    return {
        "mini_batch_files": [[file.name for file in mini_batch.files] for mini_batch in prepared.plan.mini_batches],
        "left_out": [{"name": entry.name, "why": entry.why} for entry in prepared.inputs.left_out],
        "warnings": list(prepared.warnings),
    }


def warnings(prepared: Prepared) -> list[str]:
    """Return probable failures: mistakes in the script; data that the model's signature does not fit."""
    doubts = warnings_without_input(prepared.resolved, {ending(file.path) for file in prepared.inputs.files})
    if prepared.script:
        return doubts
    problems = list(_head_problems(prepared))
    more = len(problems) - SHOWN
    return doubts + problems[:SHOWN] + ([f"and {more} more files"] if more > 0 else [])


def warnings_without_input(resolved: Resolved, endings: Collection[str] = (".csv",)) -> list[str]:
    """Return probable failures that do not depend on data: mistakes in the script; a model that takes no table."""
    if resolved.script:
        return [*lint(Path(*resolved.script), resolved.deployment.model_name), *lacking_names(*resolved.script)]
    problems = (table_problem(resolved.model, kind) for kind in sorted(endings))
    return [f"{resolved.model.path}: {problem}; {WRITE_A_SCRIPT}" for problem in problems if problem]


def missing_imports(resolved: Resolved, placement: Placement, registered: Registered | None = None) -> list[str]:
    """Name the modules that the script imports at its top and that its environment lacks.

    `registered` looks up environments of a workspace. Nothing is known of an image, nor of a script that changes its
    path. An environment that is still to be built is known by what it lists; it probably has no module that is not
    installed here either.
    """
    if resolved.script is None or placement.image:
        return []
    folder, script = Path(resolved.script[0]), resolved.script[1]
    variables = resolved.deployment.settings.environment_variables
    if changes_path(folder, script) or "PYTHONPATH" in variables:
        return []
    imports = list(top_imports(folder, script))
    tops = dict.fromkeys(line.name.partition(".")[0] for line in imports)
    missing = missing_modules(placement.python, [*tops])
    requested, unknown = requested_or_reason(resolved.deployment, resolved.folder, resolved.model, registered)
    is_here, end = placement.kind == "here", ""
    if placement.would_build:
        missing = {name for name in missing if requested is None or not is_listed(name, requested)}
        end = ", unless another package brings it"
    reasons = {
        name: lies_elsewhere(folder, script, name)
        or missing_module(name, requested, unknown, is_here=is_here, near=similar_module(folder, name)) + end
        for name in missing
    }
    named = ((line, line.name.partition(".")[0]) for line in imports)
    return [f"{line.file}:{line.line}: import {line.name}: {reasons[top]}" for line, top in named if top in missing]


def _head_problems(prepared: Prepared) -> Iterator[str]:
    required = prepared.model.required_columns
    files = [file.path for file in prepared.inputs.files if ending(without_query(file.path)) in FORMATS]
    paths = files if required else files[:LOOKED_AT]
    for path, head in _heads(prepared.inputs.root, paths):
        problem = head if isinstance(head, str) else _problem(path, head, required)
        if problem:
            yield f"{redact(path)}: {problem}"


def _problem(path: str, head: bytes, required: Sequence[str]) -> str | None:
    """Say what would fail with a file that begins so: it has another format, or lacks columns."""
    format_ = FORMATS[ending(without_query(path))]
    kind = other_kind(head, format_)
    if format_ != CSV or (b"\n" not in head and len(head) >= HEAD_BYTES):
        return kind
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"), newline="")), [])
    except csv.Error as error:
        return kind or f"the first line is not CSV: {error}"
    counts = Counter(names)
    missing = [name for name in required if not counts[name]]
    twins = [name for name in required if counts[name] > 1]
    if missing:
        problem = f"missing columns {listed(missing, str)}; the model's signature requires them"
        advice = advice_on(missing, names, required)
        return kind or (problem if advice.startswith("add what") else f"{problem}; {advice}")
    if twins:
        return f"more than one column is called {listed(twins)}: the first is read"
    return None if required else kind


def _heads(root: Path | str, paths: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    """Yield the beginning of each file, at least its first line, or why it cannot be read."""
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


@value_object
class DryRun:
    """The result of one mini-batch: `text` in a line, `cause` with the first failure and the end of its traceback."""

    text: str
    cause: str
    exit_code: int


def dry_run(prepared: Prepared, backend: Backend) -> DryRun:
    """Run the first mini-batch alone; return its time beside the timeout, or why it failed."""
    from batchtwin.engine.new_job import new_job

    timeout = prepared.deployment.settings.retry_settings.timeout
    notes = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="batchtwin-try-") as folder:
        plan = Plan(prepared.plan.fingerprint, prepared.plan.mini_batches[:1])
        output = OutputFolder(Path(folder) / "job", prepared.output.file_name)
        request = replace(prepared.request, publish=None)
        first = replace(prepared, request=request, plan=plan, output=output, workers=1)
        result = new_job(first, PlainProgress(notes), backend, dropped)
        with (output.logs / MINI_BATCHES).open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["Mini-batch Id"] != NOTHING]
    cause = "" if result.status is Status.COMPLETED else f"{notes.getvalue()}{result.recalled_cause or result.cause}"
    if not rows:
        return DryRun(f"{result.status.value}: {result.cause.splitlines()[0]}", cause, result.exit_code)
    seconds = float(rows[-1]["Run Method Seconds"])
    text = f"{result.status.value}: mini batch 0 ran {seconds:.2f} s; the timeout is {timeout} s"
    return DryRun(text, cause, result.exit_code)
