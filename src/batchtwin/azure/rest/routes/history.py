"""The run history, for `jobs.stream`, `jobs.list(parent_job_name=)` and `jobs.download`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from batchtwin.azure.rest import content
from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.resources import USER
from batchtwin.azure.rest.routes import logs
from batchtwin.azure.rest.routes.jobs import studio, tags
from batchtwin.azure.rest.schemas.base import RequestBody, Text
from batchtwin.azure.rest.scope import LOCATION, WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.deployment.reference import AssetReference, is_reference, parse_reference
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.names import CHILD_SUFFIX

PATH = f"/history/v1.0{WORKSPACE_PATH}"
# The data asset that the service registers for the output of a job.
_OUTPUT = re.compile(r"azureml_(?P<job>.+)_output_score")

router = APIRouter()


class RunDataBody(RequestBody):
    """The id of a run."""

    run_id: Text


class ResolveBody(RequestBody):
    """The ids of outputs."""

    values: Annotated[list[Text], Field(max_length=1000)]


@router.get(f"{PATH}/runs/{{name}}")
def run(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """A run."""
    return _run(state, scope, state.workspace.jobs.get(name))


@router.get(f"{PATH}/runs/{{name}}/details")
def details(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """The state of a run, its error, and the address of its log."""
    job = state.workspace.jobs.get(name)
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
        "logFiles": {logs.STREAMED: logs.address(state, scope, job)},
    }


@router.get(f"{PATH}/runs/{{name}}/children")
def children(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """The one child of a job."""
    if name.endswith(CHILD_SUFFIX):
        state.workspace.jobs.get(name)
        return {"value": []}
    return {"value": [_run(state, scope, state.workspace.jobs.child(name))]}


@router.post(f"{PATH}/rundata")
def run_data(state: State, scope: Scope, body: RunDataBody) -> dict[str, Any]:
    """A run, requested by POST. Its output and logs can be downloaded from then on.

    SDKs that do not know the type of an output, such as 1.28, read `azureml/{run}/score/` in the default datastore.
    """
    job = state.workspace.jobs.get(body.run_id)
    state.workspace.datastores.share_output(job)
    state.workspace.datastores.share_logs(job)
    return {"runMetadata": _run(state, scope, job)}


@router.post(f"/data/v1.0{WORKSPACE_PATH}/dataversion/batchGetResolvedUris")
def resolve(state: State, scope: Scope, body: ResolveBody) -> dict[str, Any]:
    """The URIs of the outputs of runs."""
    values = {}
    for asset_id in body.values:
        job = state.workspace.jobs.get(_job_of(asset_id))
        path = state.workspace.datastores.share_output(job)
        values[asset_id] = {"uri": content.datastore_uri(scope.workspace_id, path), "type": "uri_folder"}
    return {"values": values}


def _job_of(asset_id: str) -> str:
    """The name of the job whose output is this data asset."""
    asset = parse_reference(asset_id) if is_reference(asset_id) else None
    match = _OUTPUT.fullmatch(asset.name) if isinstance(asset, AssetReference) else None
    if match is None:
        raise ArmError(404, "ResourceNotFound", f"{asset_id[:200]}: is not the output of a job here")
    return match["job"]


def _run(state: AppState, scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
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
        "outputs": _outputs(scope, job),
        "services": {"Studio": {"type": "Studio", "endpoint": studio(state, scope, job)}},
    }


def _outputs(scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    parent = job.properties.get("parent", job.name)
    asset = f"azureml://locations/{LOCATION}/workspaces/{scope.workspace}/data/azureml_{parent}_output_score/versions/1"
    return {"score": {"assetId": asset, "type": "uri_folder"}} if job.status.is_final else {}


def _error(job: JobRecord) -> dict[str, Any] | None:
    if job.status is not JobStatus.FAILED:
        return None
    message = job.error or "the job failed; its logs say why"
    return {"error": {"code": "UserError", "message": message, "details": []}, "time": _time(job.ended)}


def _time(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
