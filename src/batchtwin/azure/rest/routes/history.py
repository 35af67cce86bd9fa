"""The run history: what `jobs.stream`, `jobs.list(parent_job_name=)` and `jobs.download` ask for."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from batchtwin.azure.rest import sources
from batchtwin.azure.rest.errors import Refusal
from batchtwin.azure.rest.resources import USER
from batchtwin.azure.rest.routes import logs
from batchtwin.azure.rest.routes.jobs import studio, tags
from batchtwin.azure.rest.schemas import Body, Text
from batchtwin.azure.rest.scope import LOCATION, WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.names import CHILD_SUFFIX

PATH = f"/history/v1.0{WORKSPACE_PATH}"
_OUTPUT = re.compile(r"azureml://locations/[^/]+/workspaces/[^/]+/data/azureml_(?P<job>.+)_output_score/versions/1")

router = APIRouter()


class RunDataBody(Body):
    """Which run."""

    run_id: Text


class ResolveBody(Body):
    """Which outputs."""

    values: Annotated[list[Text], Field(max_length=1000)]


@router.get(f"{PATH}/runs/{{name}}")
def run(services: AppState, place: Scope, name: str) -> dict[str, Any]:
    """A run."""
    return _run(place, services.workspace.jobs.get(name))


@router.get(f"{PATH}/runs/{{name}}/details")
def details(services: AppState, place: Scope, name: str) -> dict[str, Any]:
    """How a run stands, and where its log is. A failed one says why."""
    job = services.workspace.jobs.get(name)
    return {
        "runId": job.name,
        "target": "local",
        "status": job.status.value,
        "startTimeUtc": _time(job.started),
        "endTimeUtc": _time(job.ended),
        "error": _error(job),
        "warnings": [],
        "tags": tags(job),
        "properties": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": {logs.STREAMED: logs.address(services, place, job)},
    }


@router.get(f"{PATH}/runs/{{name}}/children")
def children(services: AppState, place: Scope, name: str) -> dict[str, Any]:
    """The one child of a job."""
    if name.endswith(CHILD_SUFFIX):
        services.workspace.jobs.get(name)
        return {"value": []}
    return {"value": [_run(place, services.workspace.jobs.child(name))]}


@router.post(f"{PATH}/rundata")
def run_data(services: AppState, place: Scope, body: RunDataBody) -> dict[str, Any]:
    """A run, asked for by POST: its output and logs can be downloaded from then on.

    SDKs that do not know the type of an output, as 1.28, look for `azureml/{run}/score/` in the default datastore.
    """
    job = services.workspace.jobs.get(body.run_id)
    services.workspace.datastores.share_output(job)
    services.workspace.datastores.share_logs(job)
    return {"runMetadata": _run(place, job)}


@router.post(f"/data/v1.0{WORKSPACE_PATH}/dataversion/batchGetResolvedUris")
def resolve(services: AppState, place: Scope, body: ResolveBody) -> dict[str, Any]:
    """Where the outputs of runs are."""
    values = {}
    for asked in body.values:
        found = _OUTPUT.fullmatch(asked)
        if found is None:
            raise Refusal(404, "ResourceNotFound", f"{asked[:200]}: is no output of a job here")
        path = services.workspace.datastores.share_output(services.workspace.jobs.get(found["job"]))
        values[asked] = {"uri": sources.datastore_uri(place.workspace_id, path), "type": "uri_folder"}
    return {"values": values}


def _run(place: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    parent = job.properties.get("parent")
    user = {"userName": USER, "userObjectId": USER}
    return {
        "runId": job.name,
        "parentRunId": parent,
        "rootRunId": parent or job.name,
        "experimentId": job.experiment,
        "displayName": job.display_name,
        "name": job.display_name,
        "status": job.status.value,
        "createdUtc": _time(job.created),
        "startTimeUtc": _time(job.started),
        "endTimeUtc": _time(job.ended),
        "lastModifiedUtc": _time(job.ended or job.started or job.created),
        "createdBy": user,
        "lastModifiedBy": user,
        "runType": "azureml.StepRun" if parent else "azureml.PipelineRun",
        "description": "",
        "tags": tags(job),
        "properties": {},
        "compute": {"target": "local", "targetType": "AmlCompute"},
        "error": _error(job),
        "outputs": _outputs(place, job),
        "services": {"Studio": {"type": "Studio", "endpoint": studio(place, job)}},
    }


def _outputs(place: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    parent = job.properties.get("parent", job.name)
    asset = f"azureml://locations/{LOCATION}/workspaces/{place.workspace}/data/azureml_{parent}_output_score/versions/1"
    return {"score": {"assetId": asset, "type": "uri_folder"}} if job.status.is_final else {}


def _error(job: JobRecord) -> dict[str, Any] | None:
    if job.status is not JobStatus.FAILED:
        return None
    message = job.error or "the job failed; its logs say why"
    return {"error": {"code": "UserError", "message": message, "details": []}, "time": _time(job.ended)}


def _time(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
