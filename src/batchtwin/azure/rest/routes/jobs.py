"""Jobs in ARM's form: a pipeline with one child, `batchscoring`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest import content
from batchtwin.azure.rest.pages import session
from batchtwin.azure.rest.resources import described, system_data
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.deployment.reference import PROVIDER, is_reference
from batchtwin.workspace.entities import JobRecord
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.names import CHILD_SUFFIX, asset_reference

PATH = f"{WORKSPACE_PATH}/jobs"

router = APIRouter()


@router.get(PATH)
def list_all(state: State, scope: Scope) -> dict[str, Any]:
    """All jobs, newest first."""
    return {"value": [_resource(state, scope, job) for job in state.workspace.jobs.list()]}


@router.get(f"{PATH}/{{name}}")
def show(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """A job. A child has no properties: the SDK then reads the run history [A]."""
    job = state.workspace.jobs.get(name)
    if name.endswith(CHILD_SUFFIX):
        return {**_head(scope, job), "properties": None}
    state.workspace.datastores.share_output(job)
    return _resource(state, scope, job)


@router.post(f"{PATH}/{{name}}/cancel")
def cancel(state: State, scope: Scope, name: str) -> Response:
    """Cancel a job; completed mini-batches stay."""
    state.workspace.jobs.cancel(name)
    return operations.accepted(state, scope)


def tags(job: JobRecord) -> dict[str, str]:
    """Return the tags of a job. They make the SDK treat it as a pipeline, whose outputs it downloads by name."""
    tags = described("", job.tags, {})["tags"]
    return {
        "azureml.batchrun": "true",
        "azureml.jobtype": "azureml.pipelinejob",
        "azureml.deploymentname": job.deployment,
        **tags,
    }


def studio(state: AppState, scope: WorkspaceScope, job: JobRecord) -> str:
    """Return an address that opens the job's page, for some minutes."""
    return session.link(state, scope.origin, session.job_path(job.name))


def _head(scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    return {
        "id": scope.id("jobs", job.name),
        "name": job.name,
        "type": f"{PROVIDER}/workspaces/jobs",
        "systemData": system_data(job.created, job.ended or job.started or job.created),
    }


def _resource(state: AppState, scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    output = content.datastore_uri(scope.workspace_id, state.workspace.datastores.output_path(job))
    return {
        **_head(scope, job),
        "properties": {
            "jobType": "Pipeline",
            "status": job.status.value,
            "displayName": job.display_name,
            "experimentName": job.experiment,
            "description": job.error or "",
            "isArchived": False,
            "tags": tags(job),
            "properties": described("", {}, {**job.properties, **job.times})["properties"],
            "inputs": {"job_data_path": _input(state, scope, job)},
            "outputs": {"score": {"jobOutputType": "uri_folder", "mode": "Upload", "uri": output}},
            "jobs": {},
            "settings": {},
            "services": {"Studio": {"jobServiceType": "Studio", "endpoint": studio(state, scope, job)}},
        },
    }


def _input(state: AppState, scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    kind, uri = "uri_folder", f"file://{job.input}"
    if is_reference(job.input):
        reference = asset_reference("data", job.input)
        uri = scope.id("data", reference.name, "versions", reference.version or "")
        with suppress(NotFoundError):
            kind = state.workspace.assets.resolve("data", job.input).type or kind
    elif "://" in job.input:
        kind, uri = job.properties.get("input_type") or kind, job.input
    elif Path(job.input).is_file():
        kind = "uri_file"
    return {"jobInputType": kind, "mode": "ReadOnlyMount", "uri": uri}
