"""Why a job did not complete, with advice."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchtwin.engine.job import Job, Status
from batchtwin.engine.prepare import Resolved
from batchtwin.environments.differences import missing_module
from batchtwin.environments.placement import requested_or_reason
from batchtwin.errors import BatchTwinError
from batchtwin_node.protocol import Failure
from batchtwin_node.script.imports import lies_elsewhere, similar_module


def first_cause(job: Job, describe: Callable[[Failure], str]) -> str:
    """Return why the job did not complete, with the first real cause, which the service's own texts hide [+].

    `describe` makes a text of a failure.
    """
    if job.fatal is not None:
        return describe(job.fatal)
    if job.status is Status.FAILED and job.first_failure is not None:
        return f"{job.cause}\nFirst cause: {describe(job.first_failure)}"
    return job.cause


def why_missing(resolved: Resolved, environment: str, cause: str) -> str:
    """Explain why a module is missing that a cause names, and how to get it; empty if the cause names none.

    `environment` is where the job ran, as in its ledger.
    """
    missing = re.search(r"No module named '([\w.]+)'", cause)
    if missing is None:
        return ""
    with suppress(BatchTwinError, OSError):  # the files may be gone
        if resolved.script and (location := lies_elsewhere(Path(resolved.script[0]), resolved.script[1], missing[1])):
            return location
        requested, unknown = requested_or_reason(resolved.deployment, resolved.folder, resolved.model)
        near = similar_module(Path(resolved.script[0]), missing[1]) if resolved.script else ""
        return missing_module(missing[1], requested, unknown, is_here=environment.startswith("here"), near=near)
    return ""
