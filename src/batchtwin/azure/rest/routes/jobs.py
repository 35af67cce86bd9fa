"""Jobs as ARM shows them: a pipeline with one child, `batchscoring`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest import sources
from batchtwin.azure.rest.resources import described, system_data
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.scope import PROVIDER, WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState, Services
from batchtwin.workspace.entities import JobRecord
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.names import CHILD_SUFFIX, Reference

PATH = f"{WORKSPACE_PATH}/jobs"

router = APIRouter()


@router.get(PATH)
def list_all(services: AppState, place: Scope) -> dict[str, Any]:
    """All jobs, newest first."""
    return {"value": [_document(services, place, job) for job in services.workspace.jobs.list()]}


@router.get(f"{PATH}/{{name}}")
def show(services: AppState, place: Scope, name: str) -> dict[str, Any]:
    """A job. A child has no properties here: so the SDK knows that it is one, and asks the run history [A]."""
    job = services.workspace.jobs.get(name)
    if name.endswith(CHILD_SUFFIX):
        return {**_head(place, job), "properties": None}
    services.workspace.datastores.share_output(job)
    return _document(services, place, job)


@router.post(f"{PATH}/{{name}}/cancel")
def cancel(services: AppState, place: Scope, name: str) -> Response:
    """Ask a job to end in order."""
    services.workspace.jobs.cancel(name)
    return operations.accepted(services, place)


def tags(job: JobRecord) -> dict[str, str]:
    """The tags of a job. With them the SDK sees a pipeline, whose outputs it downloads by name."""
    own = described("", job.tags, {})["tags"]
    return {
        "azureml.batchrun": "true",
        "azureml.jobtype": "azureml.pipelinejob",
        "azureml.deploymentname": job.deployment,
        **own,
    }


def studio(place: WorkspaceScope, job: JobRecord) -> str:
    """The address at which a job can be looked at: here its document."""
    return place.url("jobs", job.name)


def _head(place: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    return {
        "id": place.id("jobs", job.name),
        "name": job.name,
        "type": f"{PROVIDER}/workspaces/jobs",
        "systemData": system_data(job.created, job.ended or job.started or job.created),
    }


def _document(services: Services, place: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    output = sources.datastore_uri(place.workspace_id, services.workspace.datastores.output_path(job))
    return {
        **_head(place, job),
        "properties": {
            "jobType": "Pipeline",
            "status": job.status.value,
            "displayName": job.display_name,
            "experimentName": job.experiment,
            "description": job.error or "",
            "isArchived": False,
            "tags": tags(job),
            "properties": described("", {}, job.properties)["properties"],
            "inputs": {"job_data_path": _input(services, place, job)},
            "outputs": {"score": {"jobOutputType": "uri_folder", "mode": "Upload", "uri": output}},
            "jobs": {},
            "settings": {},
            "services": {"Studio": {"jobServiceType": "Studio", "endpoint": studio(place, job)}},
        },
    }


def _input(services: Services, place: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    kind, uri = "uri_folder", f"file://{job.input}"
    if job.input.startswith("azureml:"):
        named = Reference.parse("data", job.input)
        uri = place.id("data", named.name, "versions", named.version or "")
        with suppress(NotFoundError):
            kind = services.workspace.assets.resolve("data", job.input).type or kind
    elif Path(job.input).is_file():
        kind = "uri_file"
    return {"jobInputType": kind, "mode": "ReadOnlyMount", "uri": uri}
