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
from batchtwin_node.protocol import INIT_TIMEOUT, Failure
from batchtwin_node.script.imports import lies_elsewhere, similar_module

# The end of a traceback where a script reads a variable that is not set: `os.environ[NAME]`.
UNSET = re.compile(r"""(?:/os\.py|<frozen os>)", line \d+, in __getitem__\n(?: .*\n)*KeyError: '(\w+)'\s*\Z""")


def first_cause(job: Job, describe: Callable[[Failure], str]) -> str:
    """Return why the job did not complete, with the first real cause, which the service's own texts hide [+].

    `describe` makes a text of a failure.
    """
    if job.fatal is not None:
        return describe(job.fatal)
    if job.status is Status.FAILED and job.first_failure is not None:
        return f"{job.cause}\nFirst cause: {describe(job.first_failure)}"
    return job.cause


def what_to_change(failure: Failure, files: int) -> str:
    """Return what a user may change about a failure that the service's texts do not explain; mostly empty.

    `files` is how many its mini-batch has.
    """
    if failure.kind == "timeout":
        return "; raise settings.retry_settings.timeout" + (", or lower settings.mini_batch_size" if files > 1 else "")
    if failure.kind == "init" and failure.message.startswith(INIT_TIMEOUT) and not failure.traceback:
        return " It has 3 times settings.retry_settings.timeout, and 30 seconds: raise the timeout."
    unset = UNSET.search(failure.traceback)
    if unset is None:
        return ""
    return f"; the variable {unset[1]} is not set: give a default in the script, or add it to environment_variables"


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
