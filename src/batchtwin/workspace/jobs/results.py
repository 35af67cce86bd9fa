"""The results of a job, for those who follow it and those who download it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from batchtwin import atomic
from batchtwin.engine.logs import JOB_RESULT
from batchtwin.engine.output.folder import SCORE, OutputFolder
from batchtwin.safe_open import open_file
from batchtwin.workspace.entities import FINAL, JobRecord
from batchtwin.workspace.errors import InvalidError, NotEndedError, NotFoundError

OUTPUT = "score"
# In the folder of a job: the id of the result that was delivered to the invocation's target.
DELIVERED = "delivered"


def lines(job: JobRecord) -> list[str]:
    """Return the progress overview so far; after the end also status, summary and cause. Only whole lines."""
    overviews = sorted(OutputFolder(job.output).logs.glob("job_progress_overview.*.txt"))
    progress = [line for file in overviews for line in _whole_lines(file)]
    if not job.status.is_final:
        return progress
    result = OutputFolder(job.output).logs / JOB_RESULT
    ended = _whole_lines(result) if result.exists() else []
    if not ended or ended[0] != job.status.value:
        ended = [job.status.value, *(job.error.splitlines() if job.error else [])]
    return progress + ended


def _whole_lines(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


def download(job: JobRecord, target: Path, output_name: str | None, *, everything: bool) -> Path:
    """Copy an output, the logs, or `everything` below `target`, and return the folder.

    Raises:
        NotEndedError: the job has not ended.
        NotFoundError: it has no such output.
        InvalidError: the output has no file, or the file system refuses.
    """
    if not job.status.is_final:
        raise NotEndedError(job.status.value, [status.value for status in FINAL])
    if output_name not in {None, OUTPUT}:
        raise NotFoundError("output", f"{output_name}' of job '{job.name}")
    if output_name is not None and not everything:
        _require_file(job)
    sources: dict[str, Path] = {}
    if everything or output_name is not None:
        sources[SCORE] = OutputFolder(job.output).score
    if everything or output_name is None:
        sources["artifacts/logs"] = OutputFolder(job.output).logs
    for name, source in sources.items():
        copy_below(source, target, name)
    if "artifacts/logs" in sources:
        _copy_report(OutputFolder(job.output), target / "artifacts")
    return target if everything else target / Path(next(iter(sources)))


def _copy_report(output: OutputFolder, folder: Path) -> None:
    """Copy the report beside the logs, if there is one; the folder is there."""
    with suppress(OSError), open_file(output.report, "rb", output.root) as stream:
        with atomic.replacing(folder / output.report.name, sync=False) as copy:
            shutil.copyfileobj(stream, copy)


def _require_file(job: JobRecord) -> None:
    if not any(names for _, _, names in os.walk(OutputFolder(job.output).score)):
        raise InvalidError(
            f"output '{OUTPUT}' of job '{job.name}': has no file, and the job is {job.status.value}; "
            "its logs say why: download without the name of an output"
        )


def deliver(folder: Path, target: str | None) -> None:
    """Copy a job's output to its invocation's target, if it has one; the job keeps its own. Once for each result.

    Raises:
        InvalidError: the file system refuses.
    """
    if target is not None and not is_complete(folder, target):
        result = _result(folder)
        copy_below(OutputFolder(folder).score, Path(target), ".")
        (folder / DELIVERED).write_text(result, encoding="utf-8")


def is_complete(folder: Path, target: str | None) -> bool:
    """Whether a job's output is whole, and delivered to its invocation's target."""
    result, note = _result(folder), folder / DELIVERED
    return bool(result) and (target is None or (note.exists() and note.read_text(encoding="utf-8") == result))


def _result(folder: Path) -> str:
    """Return an id of the present result, which `resume --retry-failed` replaces; empty without a result."""
    manifest = OutputFolder(folder).manifest
    return str(manifest.stat().st_mtime_ns) if manifest.exists() else ""


def copy_below(source: Path, target: Path, place: str) -> None:
    """Copy the files of a folder to `target/name`, each whole or not at all.

    Raises:
        InvalidError: a link below `target` leads out of it, or the file system refuses.
    """
    folder = target / place
    try:
        _require_below(folder, target)
        folder.mkdir(parents=True, exist_ok=True)
        for at, _, names in os.walk(source):
            inside = folder / Path(at).relative_to(source)
            _require_below(inside, target)
            inside.mkdir(exist_ok=True)
            for name in names:
                _copy(Path(at) / name, inside / name)
    except OSError as error:
        raise InvalidError(
            f"{error.filename or folder}: {error.strerror}; choose another place to download to"
        ) from None


def _require_below(folder: Path, target: Path) -> None:
    if not folder.resolve().is_relative_to(target.resolve()):
        raise InvalidError(f"{folder}: leads out of {target}; remove the link, or choose another place")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as stream, atomic.replacing(target, sync=False) as copy:
        shutil.copyfileobj(stream, copy)
