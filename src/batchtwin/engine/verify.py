"""Prove that a job's output is whole, and what these inputs, model and script gave; or say what is not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from batchtwin.engine.identity.changes import acceptances, changes_since
from batchtwin.engine.job import Way, next_step
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.difference import first_difference
from batchtwin.engine.output.folder import MANIFEST, SCORE, OutputFolder
from batchtwin.engine.output.manifest import Manifest
from batchtwin.engine.output.remote import RemoteOutput
from batchtwin.engine.output.row_counts import row_count_warnings
from batchtwin.engine.output.segments import range_problem
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.report.facts import RunEnd, read_end
from batchtwin.engine.resume import load_prepared
from batchtwin.engine.run import job_of
from batchtwin.errors import COMPLETED, FAILED, BatchTwinError
from batchtwin.inputs.plan import MiniBatch
from batchtwin.inputs.remote import RemoteError
from batchtwin.safe_open import open_file
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Failure, Outcome


@value_object
class Verdict:
    """`problems` is empty if all is well; `checked` is a line on what was checked.

    `warnings` are about what is valid but perhaps not meant.
    """

    problems: tuple[str, ...]
    checked: str
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong, else 1."""
        return COMPLETED if self.ok else FAILED

    def data(self) -> dict[str, Any]:
        """Return the verdict for programs."""
        lists = {"problems": list(self.problems), "warnings": list(self.warnings)}
        return {"ok": self.ok, "exit_code": self.exit_code, **lists, "checked": self.checked}


def verify(root: Path) -> Verdict:
    """Check inputs, model and script against the ledger, and every committed range against the output.

    Raises:
        BatchTwinError: there is no job, or its ledger or manifest cannot be read.
    """
    root = root.absolute()
    with closing(Ledger.open(OutputFolder(root).ledger)) as ledger:
        problems: list[str] = []
        try:
            prepared = load_prepared(ledger, root)
        except BatchTwinError as error:
            return Verdict((str(error),), "nothing: what the job was made of is gone")
        changes = changes_since(prepared, ledger)
        problems += [change.text for change in changes]
        ended = list(ledger.ended())
        outcomes = [event for event in ended if isinstance(event, Outcome)]
        mini_batches = prepared.plan.mini_batches
        output = prepared.output
        if not output.manifest.exists():
            fixed = [change.text for change in changes if change.fixed]
            problems.append(_incomplete(prepared, ended, read_end(ledger), fixed))
            problems += _segments(output, outcomes, mini_batches)
        else:
            manifest = Manifest.read(output.manifest)
            if manifest.runs != int(ledger.fact("runs") or 0):
                problems.append(f"{root}: a retry was cut off; finish it with `batchtwin resume {root}`")
                return Verdict(tuple(problems), "inputs, model and script")
            problems += _changed(manifest, set(problems))
            problems += _counts(manifest, prepared, outcomes)
            problems += _predictions(output, manifest, outcomes, mini_batches)
            problems += _published(prepared, manifest)
        rows = sum(outcome.rows for outcome in outcomes)
        counted = f"{len(outcomes)} of {len(mini_batches)} mini batches, {rows} rows"
        looked_at = f"{len(prepared.inputs.files)} input files, {counted}"
        for acceptance in acceptances(ledger):
            looked_at += f"; accepted before run {acceptance.change.run}: {'; '.join(acceptance.change.changes)}"
    return Verdict(tuple(problems), looked_at, tuple(row_count_warnings(mini_batches, outcomes)))


def _incomplete(prepared: Prepared, ended: list[Outcome | Failure], end: RunEnd | None, changed: list[str]) -> str:
    job, root = job_of(prepared), prepared.output.root
    job.replay(ended)
    if end is not None and end.way == Way.SCORE:  # the ledger has what ended it as a try only
        return f"{root}: the job failed by a bad file. {end.advice}"
    advice = next_step(job, root, script=prepared.script is not None, changed=changed)
    advice = advice or "it writes what is done to the output"
    if job.is_settled:
        return f"{root}: the job failed: {job.cause} {advice}"
    if changed:
        return f"{root}: the job is not complete. {advice}"
    return f"{root}: the job is not complete; finish it with `batchtwin resume {root}`: {advice}"


def _segments(output: OutputFolder, outcomes: list[Outcome], mini_batches: tuple[MiniBatch, ...]) -> Iterator[str]:
    """The committed ranges of a job that is not complete."""
    for outcome in outcomes if output.predictions else ():
        path = output.segments / outcome.segment
        if problem := range_problem(path, output.root, outcome, outcome.offset, mini_batches):
            yield problem


def _changed(manifest: Manifest, changed: set[str]) -> Iterator[str]:
    """Yield inputs that changed while the job ran, even if they have changed back."""
    for entry in manifest.changed_inputs:
        if entry.change not in changed:
            yield f"while the job ran: {entry.change}"


def _counts(manifest: Manifest, prepared: Prepared, outcomes: list[Outcome]) -> Iterator[str]:
    """Every item ends once: succeeded or failed; every row once."""
    manifest_path = prepared.output.manifest
    if manifest.fingerprint != prepared.plan.fingerprint:
        yield f"{manifest_path}: is of another job than the ledger"
    if manifest.succeeded + manifest.failed != prepared.plan.items or manifest.items != prepared.plan.items:
        ended = f"{manifest.succeeded} succeeded and {manifest.failed} failed"
        yield f"{manifest_path}: {ended} are not {prepared.plan.items} items"
    if manifest.rows != sum(outcome.rows for outcome in outcomes):
        yield f"{manifest_path}: {manifest.rows} rows, the ledger has {sum(outcome.rows for outcome in outcomes)}"


def _predictions(
    output: OutputFolder, manifest: Manifest, outcomes: list[Outcome], mini_batches: tuple[MiniBatch, ...]
) -> Iterator[str]:
    """Yield what is wrong with the output file, and where it first differs: what is missing moves the rest."""
    path = output.predictions
    if path is None or manifest.output is None:
        return
    if not os.path.lexists(path):
        yield f"{path}: is gone"
        return
    try:
        size, digest = os.lstat(path).st_size, _sha256(path)
    except OSError as error:
        yield f"{error.filename}: {error.strerror}"
        return
    if (size, digest) == (manifest.output.bytes, manifest.output.sha256):
        return
    if size != manifest.output.bytes:
        yield f"{path}: has {size} bytes, {manifest.output.bytes} were written"
    yield first_difference(path, output.root, outcomes, mini_batches, manifest.output.bytes)


def _published(prepared: Prepared, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the copy in a store, if there should be one."""
    url = prepared.request.publish
    if not url:
        return
    expected = {MANIFEST: _sha256(prepared.output.manifest)}
    if manifest.output:
        expected[f"{SCORE}/{manifest.output.file}"] = manifest.output.sha256
    for name, sha256 in expected.items():
        try:
            if RemoteOutput(url).sha256(name) != sha256:
                yield f"{url.rstrip('/')}/{name}: is not what was written"
        except RemoteError as error:
            yield str(error)


def _sha256(path: Path) -> str:
    with open_file(path) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
