"""Resume: finish a job from its ledger, running only what was not committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from batchtwin.engine.backends.choice import backend_for
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.identity import Identity
from batchtwin.engine.job import Status
from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.output.folder import OutputFolder, failpoint
from batchtwin.engine.output.manifest import Manifest
from batchtwin.engine.output.segments import range_problem
from batchtwin.engine.output.upload import publish, result_location
from batchtwin.engine.prepare import Prepared, place_request, requests, resolve
from batchtwin.engine.progress import Progress
from batchtwin.engine.report import counts
from batchtwin.engine.run import Result, job_of, run_job
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.changes import change_of
from batchtwin.inputs.listing import InputFile, Inputs, list_inputs
from batchtwin.inputs.location import is_url
from batchtwin.inputs.plan import Plan
from batchtwin_node.protocol import Failure, Outcome


class ChangedError(BatchTwinError):
    """What a job was made of is not what is there now."""

    def __init__(self, root: Path, changes: list[str]) -> None:
        super().__init__(
            "\n".join(f"{root}: cannot be resumed: {change}" for change in changes)
            + "\nPut it back as it was, or score again: --overwrite"
        )


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
    output = OutputFolder(root)
    with output.hold(make=False), closing(Ledger.open(output.ledger)) as ledger:
        prepared = load_prepared(ledger, root, workers, where)
        job = job_of(prepared)
        ended = list(ledger.ended())
        # A retry of what failed, itself cut off, leaves the manifest of the run before.
        complete = prepared.output.manifest.exists() and Manifest.read(prepared.output.manifest).runs == int(
            ledger.fact("runs") or 0
        )
        if complete and not (retry_failed and any(isinstance(event, Failure) or event.failed for event in ended)):
            job.replay(ended)
            publish(prepared, job, ledger)
            prepared.output.tidy()
            return Result(Status.COMPLETED, job.summary, "", result_location(prepared), counts(job, prepared.plan))
        changes = changes_since(prepared, ledger)
        if changes:
            raise ChangedError(root, changes)
        for name in new_files(prepared):
            progress.note(f"Warning: {name}: not there when the job began, and not part of it")
        placement = place_request(prepared.request, prepared.resolved, progress.note)
        with closing(backend_for(prepared.request, prepared.resolved, placement)) as backend:
            environment, before = backend.connect(prepared), ledger.fact("environment")
            if before and where is None and environment != before:
                raise ChangedError(root, [f"it ran in another environment ({before}); this is {environment}"])
            if complete:
                ended = _restart_completed(prepared.output, ledger, ended)
            if retry_failed:
                ended = [event for event in ended if isinstance(event, Outcome) and not event.failed]
            if prepared.request.strict_inputs:
                ended = _without_changed(prepared, ended, ledger)
            job.replay(_drop_damaged(prepared, ended, progress))
            return run_job(prepared, job, ledger, progress, backend)


def _without_changed(prepared: Prepared, ended: list[Outcome | Failure], ledger: Ledger) -> list[Outcome | Failure]:
    """Leave out mini-batches whose inputs changed while they ran; they are as they were now, or this is refused."""
    changed = {change.path for change in ledger.changes()}
    doubtful = {
        mini_batch.id
        for mini_batch in prepared.plan.mini_batches
        if any(file.path in changed for file in mini_batch.files)
    }
    return [event for event in ended if event.mini_batch not in doubtful]


def _drop_damaged(
    prepared: Prepared, ended: list[Outcome | Failure], progress: Progress
) -> Iterator[Outcome | Failure]:
    """Leave out, and tell, what was committed and is not there: a machine lost its power, or a file was changed."""
    for event in ended:
        if isinstance(event, Outcome) and prepared.output.predictions:
            path = prepared.output.segments / event.segment
            if problem := range_problem(path, prepared.output.root, event, event.offset, prepared.plan.mini_batches):
                progress.note(f"Warning: {problem}; the mini-batch is run again")
                continue
        yield event


def _restart_completed(output: OutputFolder, ledger: Ledger, ended: list[Outcome | Failure]) -> list[Outcome | Failure]:
    """Have a complete job be one that is not, with its rows where the ledger then says, whatever happens."""
    run = int(ledger.fact("runs") or 0)
    ended = output.predictions_as_segment(ended, f"complete-run{run}")
    failpoint("predictions linked")
    ledger.add([Entry(event, True) for event in ended], runs=run + 1)
    failpoint("ends rebased")
    return ended


def load_prepared(ledger: Ledger, root: Path, workers: int | None = None, where: Pooling | None = None) -> Prepared:
    """Prepare the job of a ledger again, with the plan as it was frozen.

    Raises:
        BatchTwinError: deployment, model or script are gone or wrong now.
    """
    request = requests.validate_json(ledger.fact("request") or "")
    request = replace(request, workers=workers or request.workers)
    if where is not None:
        request = replace(request, ray=None if where == "local" else where)
    mini_batches, hashes = ledger.plan()
    files = Plan("", mini_batches).files
    inputs = Inputs(ledger.fact("root") or "", _is_folder(request.input, files), files)
    plan = Plan(ledger.fact("fingerprint") or "", mini_batches)
    return Prepared.of(request, resolve(request), inputs, plan, root, hashes)


def _is_folder(path: Path | str, files: tuple[InputFile, ...]) -> bool:
    return files[0].path != path if is_url(path) else Path(path).is_dir()


def changes_since(prepared: Prepared, ledger: Ledger) -> list[str]:
    """Name what differs from when the job began: deployment, model, code, and every input file."""
    before = Identity.model_validate_json(ledger.fact("identity") or "")
    parts = [f"{part} has changed" for part in before.changes(prepared.identity)]
    files = prepared.inputs.files
    if files and is_url(files[0].path):
        from batchtwin.inputs.remote import changes

        return parts + [change.text for change in changes(prepared.inputs)]
    inputs = (change_of(file, prepared.hashes.get(file.path)) for file in files)
    return parts + [change.text for change in inputs if change]


def new_files(prepared: Prepared) -> list[str]:
    """Name the input files that have come since."""
    if not prepared.inputs.is_folder:
        return []
    known = {file.path for file in prepared.inputs.files}
    return [file.path for file in list_inputs(prepared.inputs.root).files if file.path not in known]
