"""The log of a job at an address with a signature, which the SDK fetches without a token."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.scope import WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.workspace.entities import JobRecord

# The name that the SDK streams from a pipeline job.
STREAMED = "logs/azureml/executionlogs.txt"
SECONDS = 3600

router = APIRouter()


def address(state: AppState, scope: WorkspaceScope, job: JobRecord) -> str:
    """The address of the log, for an hour."""
    return f"{scope.origin}/logs/{job.name}/executionlogs.txt?{state.sas.token(_subject(job.name), SECONDS, 'r')}"


@router.get("/logs/{name}/executionlogs.txt")
def log(state: State, request: Request, name: str) -> PlainTextResponse:
    """The log so far."""
    if not state.sas.check(_subject(name), request.query_params, "r"):
        raise ArmError(
            403, "AuthenticationFailed", "the signature is not for this log, or has expired; ask for the run's details"
        )
    lines, _ = state.workspace.jobs.log_lines(name)
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _subject(name: str) -> str:
    """Return the subject of the signature. No container can have this name."""
    return f"log of {name}"
