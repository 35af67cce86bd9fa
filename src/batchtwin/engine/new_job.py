"""A new job: from a prepared request to the first run."""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.backends.local import LocalBackend
from batchtwin.engine.identity.changes import MADE_OF, MadeOf
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import timestamp
from batchtwin.engine.output.folder import claim_folder, failpoint
from batchtwin.engine.output.result import JobResult
from batchtwin.engine.prepare import Prepared, Request, requests
from batchtwin.engine.progress import Progress
from batchtwin.engine.run import RunContext, job_of, run_job
from batchtwin.engine.tracking.deliver import OnLogged, at_end
from batchtwin.inputs.location import is_url
from batchtwin.interrupts import Interrupts, of_a_command


def new_job(
    prepared: Prepared,
    progress: Progress,
    backend: Backend | None = None,
    on_logged: OnLogged = at_end,
    interrupts: Interrupts = of_a_command,
) -> JobResult:
    """Run a prepared job from its beginning. Without `backend`, on this machine, by workers without a fork server.

    `on_logged` gets what the script logged with MLflow.

    Raises:
        OutputError: the output folder is in use, or cannot be made.
    """
    if backend is None:
        with closing(LocalBackend()) as backend:
            return new_job(prepared, progress, backend, on_logged, interrupts)
    if prepared.request.output is None:
        folder = replace(prepared.output, root=claim_folder(prepared.output.root))
        prepared = replace(prepared, output=folder)
    output = prepared.output
    with output.hold():
        output.check(prepared.request.overwrite)
        environment = backend.connect(prepared)
        output.clear()
        failpoint("cleared")
        request = _absolute(prepared.request, output.root)
        facts = {
            "request": requests.dump_json(request).decode(),
            "identity": prepared.identity.model_dump_json(),
            MADE_OF: MadeOf.of(prepared.resolved).model_dump_json(),
            "fingerprint": prepared.plan.fingerprint,
            "root": str(prepared.inputs.root),
            "started": timestamp(),
            "key": secrets.token_hex(16),
            "environment": environment,
        }
        ledger = Ledger.create(output.ledger, facts, prepared.plan.mini_batches, prepared.hashes)
        failpoint("plan in the ledger")
        with closing(ledger):
            context = RunContext(prepared, ledger, progress, backend, on_logged, interrupts)
            return run_job(context, job_of(prepared))


def _absolute(request: Request, output: Path) -> Request:
    """Return the request with absolute paths, so that it can be repeated from any folder."""
    model = _absolute_path(request.model) if request.model else None
    deployment, data = request.deployment.absolute(), _absolute_path(request.input)
    return replace(request, deployment=deployment, input=data, model=model, output=output)


def _absolute_path(path: Path | str) -> str:
    return str(path) if is_url(path) else str(Path(path).absolute())
