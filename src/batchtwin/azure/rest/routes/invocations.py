"""`POST <scoring URI>` starts a job and returns its name at once. Also the jobs of an endpoint or a deployment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from batchtwin.azure.rest import content
from batchtwin.azure.rest.resources import system_data, whole_seconds
from batchtwin.azure.rest.schemas.invocations import InvocationBody, InvocationProperties, JobOutputSchema
from batchtwin.azure.rest.scope import WORKSPACE_PATH, LowerName, Scope, WorkspaceScope
from batchtwin.azure.rest.state import State
from batchtwin.deployment.reference import PROVIDER, is_reference
from batchtwin.workspace.entities import JobRecord
from batchtwin.workspace.errors import InputTypeError, InvalidError
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.workspace import Workspace
from batchtwin_node.codec import value_object

PATH = f"{WORKSPACE_PATH}/batchEndpoints/{{endpoint}}"
# The service of the SDK's `list_jobs`.
FRONT_END = "/mferp/managementfrontend"
TYPES = {"urifolder": "uri_folder", "urifile": "uri_file"}
LONGEST_ID = 255

router = APIRouter()


@router.post(f"{PATH}/jobs")
def invoke(
    state: State,
    scope: Scope,
    endpoint: LowerName,
    body: InvocationBody,
    azureml_model_deployment: Annotated[LowerName | None, Header()] = None,
    repeatability_request_id: Annotated[str | None, Header(max_length=LONGEST_ID)] = None,
) -> Response:
    """Start a job. The same name, or the same request id, is the same job."""
    request = body.properties
    address, kind = _input(state.workspace, request)
    target = _target(request)
    compute = request.compute or request.resources
    retry = request.retry_settings
    invocation = Invocation(
        endpoint,
        deployment=azureml_model_deployment or None,
        input=address,
        input_type=kind,
        job_name=request.name,
        experiment=_experiment(request),
        output_file_name=request.output_file_name,
        output_path=target.address,
        output_type=target.type,
        instance_count=compute.instance_count if compute else None,
        mini_batch_size=request.mini_batch_size,
        max_retries=retry.max_retries if retry else None,
        timeout=whole_seconds(retry.timeout) if retry else None,
        error_threshold=request.error_threshold,
        request_id=repeatability_request_id or None,
    )
    job = state.workspace.jobs.invoke(invocation)
    headers = {"Location": scope.url("jobs", job.name)}
    return JSONResponse(document(scope, job), 201, headers)


@router.get(f"{PATH}/jobs")
@router.get(f"{FRONT_END}{PATH}/jobs")
def of_endpoint(state: State, scope: Scope, endpoint: LowerName) -> dict[str, Any]:
    """The jobs of an endpoint, newest first."""
    state.workspace.endpoints.get(endpoint)
    return {"value": [document(scope, job) for job in state.workspace.jobs.list(endpoint=endpoint)]}


@router.get(f"{PATH}/deployments/{{deployment}}/jobs")
@router.get(f"{FRONT_END}{PATH}/deployments/{{deployment}}/jobs")
def of_deployment(state: State, scope: Scope, endpoint: LowerName, deployment: LowerName) -> dict[str, Any]:
    """The jobs of a deployment, newest first."""
    state.workspace.deployments.get(endpoint, deployment)
    jobs = state.workspace.jobs.list(endpoint=endpoint, deployment=deployment)
    return {"value": [document(scope, job) for job in jobs]}


def document(scope: WorkspaceScope, job: JobRecord) -> dict[str, Any]:
    """Return the resource of a job, as an invocation answers it."""
    return {
        "id": scope.id("batchEndpoints", job.endpoint, "jobs", job.name),
        "name": job.name,
        "type": f"{PROVIDER}/workspaces/batchEndpoints/jobs",
        "systemData": system_data(job.created, job.ended or job.started or job.created),
        "properties": {
            "name": job.name,
            "status": job.status.value,
            "deploymentName": job.deployment,
            "experimentName": job.experiment,
            "properties": {},
        },
    }


@value_object
class Target:
    """The target of the output: an address in a datastore, and its type; None for the default."""

    address: str | None = None
    type: str | None = None


def _input(workspace: Workspace, request: InvocationProperties) -> tuple[str | None, str | None]:
    """Return the address and type of the one data input, as the workspace names them."""
    for item in request.input_data.values():
        if item.job_input_type.lower() not in TYPES:
            raise InputTypeError(f"{item.job_input_type[:40]}JobInput")
    if len(request.input_data) > 1:
        names = ", ".join(sorted(request.input_data))[:200]
        raise InvalidError(f"a model deployment takes one data input; given are {names}")
    for item in request.input_data.values():
        return _address(workspace, item.uri or ""), TYPES[item.job_input_type.lower()]
    return None, None


def _address(workspace: Workspace, text: str) -> str:
    """Return the address of the input in the form that the workspace knows. A path of this machine is refused."""
    location = content.path_in_datastore(text)
    if location:
        content.stored(workspace, text)
        return location.uri
    if text and not is_reference(text) and not content.is_web(text):
        raise InvalidError(f"{text[:200]}: is neither a data asset nor in a datastore; register or upload it")
    return text


def _target(request: InvocationProperties) -> Target:
    if len(request.output_data) > 1:
        names = ", ".join(sorted(request.output_data))[:200]
        raise InvalidError(f"a model deployment has one output; given are {names}")
    for item in request.output_data.values():
        return _output(item)
    dataset = request.output_dataset
    if dataset and dataset.path:
        datastore = dataset.datastore_id or ""
        folder = datastore if is_reference(datastore) else f"azureml://datastores/{datastore}"
        return Target(_in_datastore(f"{folder}/paths/{dataset.path.strip('/')}"), "uri_folder")
    return Target()


def _output(output: JobOutputSchema) -> Target:
    kind = TYPES.get(output.job_output_type.lower(), "uri_folder")
    return Target(_in_datastore(output.uri), kind) if output.uri else Target()


def _in_datastore(address: str) -> str:
    """Return the URI of a path in a datastore, with the slash at its end if it has one. Other places are refused."""
    location = content.path_in_datastore(address)
    if location is None:
        raise InvalidError(f"{address[:200]}: output goes to a datastore: azureml://datastores/NAME/paths/FOLDER")
    return location.uri.rstrip("/") + "/" if address.endswith("/") else location.uri


def _experiment(request: InvocationProperties) -> str | None:
    name = request.properties.get("experimentName")
    return name if isinstance(name, str) and name else None
