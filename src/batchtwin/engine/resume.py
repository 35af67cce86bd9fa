"""Resume: finish a job from its ledger, running only what was not committed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from batchtwin.engine.backends.choice import backend_for
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.identity.changes import (
    Change,
    ChangedError,
    accept,
    changes_since,
    environment_change,
    environment_to_come,
    new_files,
    refused,
)
from batchtwin.engine.job import Job, Status, next_step
from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.output.folder import OutputFolder, failpoint
from batchtwin.engine.output.manifest import Manifest
from batchtwin.engine.output.result import JobResult
from batchtwin.engine.output.segments import range_problem
from batchtwin.engine.output.upload import publish, result_location
from batchtwin.engine.prepare import Prepared, place_request, requests, resolve
from batchtwin.engine.progress import Progress
from batchtwin.engine.report.facts import end_of
from batchtwin.engine.report.write import report_at_end
from batchtwin.engine.run import RunContext, job_of, run_job
from batchtwin.environments.named import Registered
from batchtwin.environments.placement import Placement
from batchtwin.inputs.listing import InputFile, Inputs
from batchtwin.inputs.location import is_url
from batchtwin.inputs.plan import Plan
from batchtwin.interrupts import Interrupts, of_a_command
from batchtwin_node.protocol import Failure, Outcome
from batchtwin_node.readers.bad_file import printable

Pooling = Literal["local"] | RayOptions
"""Where to run."""


def resume(
    root: Path,
    progress: Progress,
    workers: int | None = None,
    *,
    retry_failed: bool = False,
    where: Pooling | None = None,
    registered: Registered | None = None,
    accepted: Collection[str] = (),
    interrupts: Interrupts = of_a_command,
) -> JobResult:
    """Finish an interrupted or failed job: run what the ledger lacks. A complete one is left unchanged.

    A complete one whose predictions file is gone is scored again: its segments were removed when it was complete.

    It runs where it ran before, unless `where` says otherwise. `registered` looks up environments of a workspace.
    `accepted` names the parts, `code` and `deployment`, that may have changed: mini-batches that are done stay done.

    Raises:
        BatchTwinError: there is no job, it is in use, or what it was made of has changed.
    """
    root = root.absolute()
    output = OutputFolder(root)
    with output.hold(make=False), closing(Ledger.open(output.ledger)) as ledger:
        prepared = load_prepared(ledger, root, workers, where)
        job = job_of(prepared)
        ended = list(ledger.ended())
        complete = _is_complete(prepared, ledger)
        if complete and not (retry_failed and any(isinstance(event, Failure) or event.failed for event in ended)):
            return _finished(prepared, job, ended, ledger)
        changes = changes_since(prepared, ledger)
        to_come = [] if where is not None else environment_to_come(ledger, _planned_placement(prepared, registered))
        if refused(changes + to_come, accepted):
            changes += to_come
            raise ChangedError(root, changes, retry_failed=retry_failed)
        for name in new_files(prepared):
            progress.note(f"Warning: {printable(name)}: not there when the job began, and not part of it")
        placement = place_request(prepared.request, prepared.resolved, progress.note, registered=registered)
        prepared = prepared.placed(placement)
        with closing(backend_for(prepared.request, prepared.resolved, placement)) as backend:
            environment = backend.connect(prepared)
            if where is None:
                changes += environment_change(ledger, environment)
                if refused(changes, accepted):
                    raise ChangedError(root, changes, retry_failed=retry_failed)
            if complete:
                ended = _restart_completed(prepared.output, ledger, ended)
            if retry_failed:
                ended = [event for event in ended if isinstance(event, Outcome) and not event.failed]
            if prepared.request.strict_inputs:
                ended = _without_changed(prepared, ended, ledger)
            job.replay(_drop_damaged(prepared, ended, progress))
            if changes:
                _accept(ledger, prepared, environment, changes, job, progress)
            return run_job(RunContext(prepared, ledger, progress, backend, interrupts=interrupts), job)


def _is_complete(prepared: Prepared, ledger: Ledger) -> bool:
    """Whether the job is complete: a retry of failed mini-batches, itself cut off, leaves an earlier manifest."""
    manifest = prepared.output.manifest
    runs = int(ledger.fact("runs") or 0)
    return manifest.exists() and Manifest.read(manifest).runs == runs and not _is_gone(prepared)


def _is_gone(prepared: Prepared) -> bool:
    """Whether there is no predictions file; a store may have the only copy."""
    path = prepared.output.predictions
    return path is not None and not prepared.request.publish and not os.path.lexists(path)


def _finished(prepared: Prepared, job: Job, ended: Collection[Outcome | Failure], ledger: Ledger) -> JobResult:
    """Leave a complete job unchanged; do what was cut off after its manifest was written."""
    job.replay(ended)
    publish(prepared, job, ledger)
    prepared.output.tidy()
    changed = [change.text for change in changes_since(prepared, ledger) if change.fixed] if job.failed else []
    step = next_step(job, prepared.output.root, script=prepared.script is not None, changed=changed)
    advice = f"The job is complete. {step}" if step else ""
    if not prepared.output.report.exists():
        report_at_end(prepared.output, ledger, end_of(int(ledger.fact("runs") or 0), job, "", advice))
    return replace(JobResult.of(prepared, job, "", result_location(prepared), advice), status=Status.COMPLETED)


def _planned_placement(prepared: Prepared, registered: Registered | None) -> Placement:
    """Return where the job would run, before anything is built: building may take minutes, and be refused."""
    return place_request(prepared.request, prepared.resolved, lambda text: None, may_build=False, registered=registered)


def _accept(
    ledger: Ledger, prepared: Prepared, environment: str, changes: list[Change], job: Job, progress: Progress
) -> None:
    """Record the changes that a person accepts, and say so."""
    accept(ledger, prepared, environment, changes, job.processed)
    for change in changes:
        progress.note(f"Accepted: {change.text}")
    progress.note(f"{job.processed} of {len(job.items)} mini batches were done before, and stay done")
    if any("mini_batch_size" in change.text for change in changes):
        progress.note("settings.mini_batch_size: the mini-batches stay as they were planned when the job began")


def _without_changed(prepared: Prepared, ended: list[Outcome | Failure], ledger: Ledger) -> list[Outcome | Failure]:
    """Return the ends without mini-batches whose inputs changed meanwhile: they run again, or this is refused."""
    changed = {change.path for change in ledger.changes()}
    doubtful = {
        mini_batch.id
        for mini_batch in prepared.plan.mini_batches
        if any(file.path in changed for file in mini_batch.files)
    }
    ledger.forget_changes(doubtful)
    return [event for event in ended if event.mini_batch not in doubtful]


def _drop_damaged(
    prepared: Prepared, ended: list[Outcome | Failure], progress: Progress
) -> Iterator[Outcome | Failure]:
    """Return the ends without damaged rows, and warn: a machine lost its power, or a file was changed or removed."""
    output = prepared.output
    if output.manifest.exists() and _is_gone(prepared) and not output.segments.exists():
        progress.note(f"Warning: {output.predictions}: is gone; its rows are scored again")
        ended = [event for event in ended if isinstance(event, Failure)]
    for event in ended:
        if isinstance(event, Outcome) and output.predictions:
            path = output.segments / event.segment
            if problem := range_problem(path, output.root, event, event.offset, prepared.plan.mini_batches):
                progress.note(f"Warning: {problem}; the mini-batch is run again")
                continue
        yield event


def _restart_completed(output: OutputFolder, ledger: Ledger, ended: list[Outcome | Failure]) -> list[Outcome | Failure]:
    """Make a complete job incomplete again, with its rows where the ledger says, at every moment."""
    run = int(ledger.fact("runs") or 0)
    ended = output.predictions_as_segment(ended, f"complete-run{run}")
    failpoint("predictions linked")
    moved = [Entry(event, True) for event in ended if isinstance(event, Outcome)]
    ledger.add(moved, runs=run + 1)
    failpoint("ends rebased")
    return ended


def load_prepared(ledger: Ledger, root: Path, workers: int | None = None, where: Pooling | None = None) -> Prepared:
    """Prepare the job of a ledger again, with its frozen plan.

    Raises:
        BatchTwinError: deployment, model or script are missing or wrong now.
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
