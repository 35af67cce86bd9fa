"""A completed job -> its manifest."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from batchtwin import __version__
from batchtwin.engine.identity.changes import acceptances
from batchtwin.engine.job import Job
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import timestamp
from batchtwin.engine.output.folder import Assembled
from batchtwin.engine.output.manifest import ChangedInput, Manifest, ManifestInput, ManifestOutput
from batchtwin.engine.output.row_counts import row_counts
from batchtwin.engine.prepare import Prepared


def write_manifest(prepared: Prepared, job: Job, assembled: Assembled | None, ledger: Ledger) -> None:
    """Write the manifest of a job that has just completed. `ledger` knows when it began and what has changed since.

    Raises:
        OSError: it cannot be written.
    """
    name = prepared.output.file_name
    manifest = Manifest(
        batchtwin=__version__,
        python=platform.python_version(),
        deployment=prepared.deployment.name,
        fingerprint=prepared.plan.fingerprint,
        identity=prepared.identity,
        started=ledger.fact("started") or "",
        ended=timestamp(),
        runs=int(ledger.fact("runs") or 0),
        workers=prepared.workers,
        mini_batches=len(job.items),
        items=sum(job.items),
        succeeded=job.succeeded,
        failed=job.failed,
        rows=job.rows,
        output=ManifestOutput(file=name, bytes=assembled.bytes, sha256=assembled.sha256)
        if name and assembled
        else None,
        accepted=tuple(acceptance.change for acceptance in acceptances(ledger)),
        changed_inputs=tuple(ChangedInput(path=change.path, change=change.text) for change in ledger.changes()),
        inputs=(),
    )
    manifest.write(prepared.output.manifest, _inputs(prepared, job))


def _inputs(prepared: Prepared, job: Job) -> Iterator[ManifestInput]:
    for mini_batch in prepared.plan.mini_batches:
        outcome = job.outcomes.get(mini_batch.id)
        bad = {entry.file for entry in outcome.bad_files} if outcome else set()
        counted = {counts.path: counts for counts in row_counts(mini_batch, outcome)} if outcome else {}
        for file in mini_batch.files:
            counts = counted.get(file.path)
            yield ManifestInput(
                path=file.path,
                size=file.size,
                mtime_ns=file.mtime_ns,
                sha256=prepared.hashes.get(file.path),
                mini_batch=mini_batch.id,
                rows_in=counts.rows_in if counts else None,
                rows_out=counts.rows_out if counts else None,
                failed=outcome is None or file.path in bad,
                first_row=mini_batch.part.row if mini_batch.part else None,
            )
