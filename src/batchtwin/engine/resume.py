"""The two ways into a run: a new job, and one that goes on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.backends.choice import backend_for
from batchtwin.engine.backends.local import LocalBackend
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.identity import Identity
from batchtwin.engine.job import Job, Status
from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.logs import now
from batchtwin.engine.output.folder import OutputFolder, failpoint, range_problem
from batchtwin.engine.output.manifest import Manifest
from batchtwin.engine.output.upload import publish, result_location
from batchtwin.engine.prepare import Asked, Prepared, Request, ask, workers_for
from batchtwin.engine.progress import Progress
from batchtwin.engine.run import Result, Run, rules
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.listing import InputFile, Inputs, list_inputs
from batchtwin.inputs.location import is_url
from batchtwin.inputs.plan import Plan, content_hash
from batchtwin.locks import locked
from batchtwin_node.protocol import Failure, Outcome

_requests: TypeAdapter[Request] = TypeAdapter(Request)


class ChangedError(BatchTwinError):
    """What a job was made of is not what is there now."""

    def __init__(self, root: Path, changes: list[str]) -> None:
        super().__init__(
            "\n".join(f"{root}: cannot be resumed: {change}" for change in changes)
            + "\nPut it back as it was, or score again: --overwrite"
        )


def new_job(prepared: Prepared, progress: Progress, backend: Backend | None = None) -> Result:
    """Run a prepared job from its beginning. Without `backend`, here, by workers that start by themselves.

    Raises:
        OutputError: the output folder is in use, or cannot be made.
    """
    if backend is None:
        with closing(LocalBackend()) as backend:
            return new_job(prepared, progress, backend)
    output = prepared.output
    with locked(output.root):
        output.check(prepared.request.overwrite)
        backend.connect(prepared.workers)
        output.clear()
        failpoint("cleared")
        request = _absolute(prepared.request, output.root)
        facts = {
            "request": _requests.dump_json(request).decode(),
            "identity": prepared.identity.model_dump_json(),
            "fingerprint": prepared.plan.fingerprint,
            "root": str(prepared.inputs.root),
            "started": now(),
            "key": secrets.token_hex(16),
        }
        ledger = Ledger.create(output.ledger, facts, prepared.plan.mini_batches, dict(prepared.hashes))
        failpoint("plan in the ledger")
        with closing(ledger):
            return Run(prepared, _job(prepared), ledger, progress, backend)()


def _absolute(request: Request, output: Path) -> Request:
    """The request as it can be made again from any folder."""
    model = _absolute_path(request.model) if request.model else None
    deployment, data = request.deployment.absolute(), _absolute_path(request.input)
    return replace(request, deployment=deployment, input=data, model=model, output=output)


def _absolute_path(path: Path | str) -> str:
    return str(path) if is_url(path) else str(Path(path).absolute())


def _job(prepared: Prepared) -> Job:
    return Job([len(mini_batch.files) for mini_batch in prepared.plan.mini_batches], rules(prepared))


Pooling = Literal["local"] | RayOptions
"""Where to run."""


def resume(
    root: Path,
    progress: Progress,
    workers: int | None = None,
    *,
    retry_failed: bool = False,
    where: Pooling | None = None,
) -> Result:
    """Finish an interrupted or failed job: run what the ledger lacks. A finished one is left as it is.

    It runs where it ran before, unless `where` says otherwise.

    Raises:
        BatchTwinError: there is no job, it is in use, or what it was made of has changed.
    """
    root = root.absolute()
    with locked(root, make=False), closing(Ledger.open(root / "job.sqlite")) as ledger:
        prepared = load_prepared(ledger, root, workers, where)
        job = _job(prepared)
        ended = list(ledger.ended())
        # A retry of what failed, itself cut off, leaves the manifest of the run before.
        complete = prepared.output.manifest.exists() and Manifest.read(prepared.output.manifest).runs == int(
            ledger.fact("runs") or 0
        )
        if complete and not (retry_failed and any(isinstance(event, Failure) or event.failed for event in ended)):
            job.replay(ended)
            publish(prepared, job, ledger)
            prepared.output.tidy()
            return Result(Status.COMPLETED, job.summary, "", result_location(prepared), job.processed_items, job.rows)
        changes = changes_since(prepared, ledger)
        if changes:
            raise ChangedError(root, changes)
        for name in new_files(prepared):
            progress.note(f"Warning: {name}: not there when the job began, and not part of it")
        asked = Asked(prepared.deployment, prepared.model, prepared.script)
        with closing(backend_for(asked, prepared.request.ray)) as backend:
            backend.connect(prepared.workers)
            if complete:
                ended = _restart_completed(prepared.output, ledger, ended)
            if retry_failed:
                ended = [event for event in ended if isinstance(event, Outcome) and not event.failed]
            job.replay(_drop_damaged(prepared, ended, progress))
            return Run(prepared, job, ledger, progress, backend)()


def _drop_damaged(
    prepared: Prepared, ended: list[Outcome | Failure], progress: Progress
) -> Iterator[Outcome | Failure]:
    """Leave out, and tell, what was committed and is not there: a machine lost its power, or a file was changed."""
    for event in ended:
        if isinstance(event, Outcome) and prepared.output.predictions:
            path = prepared.output.segments / event.segment
            if problem := range_problem(path, event, event.offset, prepared.plan.mini_batches):
                progress.note(f"Warning: {problem}; the mini-batch is run again")
                continue
        yield event


def _restart_completed(output: OutputFolder, ledger: Ledger, ended: list[Outcome | Failure]) -> list[Outcome | Failure]:
    """Have a complete job be one that is not, with its rows where the ledger then says, whatever happens."""
    run = int(ledger.fact("runs") or 0)
    ended = output.load_prepared(ended, f"complete-run{run}")
    failpoint("predictions linked")
    ledger.add([Entry(event, True) for event in ended], runs=run + 1)
    failpoint("ends rebased")
    return ended


def load_prepared(ledger: Ledger, root: Path, workers: int | None = None, where: Pooling | None = None) -> Prepared:
    """Prepare the job of a ledger again, with the plan as it was frozen.

    Raises:
        BatchTwinError: deployment, model or script are gone or wrong now.
    """
    request = _requests.validate_json(ledger.fact("request") or "")
    if where is not None:
        request = replace(request, ray=None if where == "local" else where)
    mini_batches, hashes = ledger.plan()
    asked = ask(request)
    plan = Plan(ledger.fact("fingerprint") or "", mini_batches)
    settings = asked.deployment.settings
    name = settings.output_file_name if settings.output_action == "append_row" else None
    count, capped = workers_for(workers or request.workers, asked.deployment, len(mini_batches), request.ray)
    files = tuple(file for mini_batch in mini_batches for file in mini_batch.files)
    return Prepared(
        request=request,
        deployment=asked.deployment,
        model=asked.model,
        inputs=Inputs(ledger.fact("root") or "", _is_folder(request.input, files), files),
        plan=plan,
        script=asked.script,
        workers=count,
        output=OutputFolder(root, name),
        warnings=tuple(capped),
        identity=asked.identity(),
        hashes=hashes,
    )


def _is_folder(path: Path | str, files: tuple[InputFile, ...]) -> bool:
    return files[0].path != path if is_url(path) else Path(path).is_dir()


def changes_since(prepared: Prepared, ledger: Ledger) -> list[str]:
    """Name what differs from when the job began: deployment, model, code, and every input file."""
    before = Identity.model_validate_json(ledger.fact("identity") or "")
    parts = [f"{part} has changed" for part in before.changes(prepared.identity)]
    files = prepared.inputs.files
    if files and is_url(files[0].path):
        from batchtwin.inputs.remote import changes

        return parts + list(changes(prepared.inputs))
    inputs = (_change(file, prepared.hashes.get(file.path)) for file in files)
    return parts + [change for change in inputs if change]


def _change(file: InputFile, sha256: str | None) -> str | None:
    """By size and time of change, or by content where that was hashed [R]."""
    try:
        info = os.stat(file.path)
    except OSError as error:
        return f"input {file.path}: {error.strerror}"
    if info.st_size != file.size:
        return f"input {file.path} has {info.st_size} bytes, {file.size} when the job began"
    if sha256:
        return None if content_hash(Path(file.path)) == sha256 else f"input {file.path} has changed"
    return None if info.st_mtime_ns == file.mtime_ns else f"input {file.path} was written since the job began"


def new_files(prepared: Prepared) -> list[str]:
    """Name the input files that have come since."""
    if not prepared.inputs.is_folder:
        return []
    known = {file.path for file in prepared.inputs.files}
    return [file.path for file in list_inputs(prepared.inputs.root).files if file.path not in known]
