"""Why a job did not complete, in words that help."""

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


def first_cause(job: Job, tell: Callable[[Failure], str]) -> str:
    """Return why the job did not complete, with the first real cause: the service's own texts hide it [+].

    `tell` puts a failure in words.
    """
    if job.fatal is not None:
        return tell(job.fatal)
    if job.status is Status.FAILED and job.first_failure is not None:
        return f"{job.cause}\nFirst cause: {tell(job.first_failure)}"
    return job.cause


def why_missing(resolved: Resolved, environment: str, cause: str) -> str:
    """Say of a module that a cause names as missing why it is, and how to have it; empty if it names none.

    `environment` is where the job ran, as its ledger has it.
    """
    missing = re.search(r"No module named '([\w.]+)'", cause)
    if missing is None:
        return ""
    with suppress(BatchTwinError, OSError):  # what tells it may be gone
        if resolved.script and (place := lies_elsewhere(Path(resolved.script[0]), resolved.script[1], missing[1])):
            return place
        requested, unknown = requested_or_reason(resolved.deployment, resolved.folder, resolved.model)
        near = similar_module(Path(resolved.script[0]), missing[1]) if resolved.script else ""
        return missing_module(missing[1], requested, unknown, here=environment.startswith("here"), near=near)
    return ""
