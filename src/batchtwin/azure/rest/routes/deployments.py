"""Batch deployments: the body of a PUT becomes the data of a deployment YAML, and back. Nothing runs on creation."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest.resources import described, iso_duration, system_data, whole_seconds
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.routes.assets import asset_id
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.schemas.endpoints import DeploymentSchema
from batchtwin.azure.rest.scope import LOCATION, WORKSPACE_PATH, LowerName, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.deployment.reference import PREFIX, PROVIDER
from batchtwin.workspace.entities import DeploymentRecord
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.names import asset_reference

PATH = f"{WORKSPACE_PATH}/batchEndpoints/{{endpoint}}/deployments"
# The property of a deployment with the warnings about its jobs.
WARNINGS = "batchtwin.warnings"
ACTIONS = {"AppendRow": "append_row", "SummaryOnly": "summary_only"}

router = APIRouter()


@router.get(PATH)
def list_all(state: State, scope: Scope, endpoint: LowerName) -> dict[str, Any]:
    """The deployments of an endpoint."""
    return {"value": [_resource(scope, deployment) for deployment in state.workspace.deployments.list(endpoint)]}


@router.get(f"{PATH}/{{name}}")
def show(state: State, scope: Scope, endpoint: LowerName, name: LowerName) -> dict[str, Any]:
    """A deployment."""
    return _with_warnings(state, scope, state.workspace.deployments.get(endpoint, name))


@router.put(f"{PATH}/{{name}}")
def create(
    state: State, scope: Scope, endpoint: LowerName, name: LowerName, body: Resource[DeploymentSchema]
) -> Response:
    """Create a deployment, or replace it."""
    existing = None
    with suppress(NotFoundError):
        existing = state.workspace.deployments.get(endpoint, name)
    data = {"name": name, "endpoint_name": endpoint, "tags": body.tags, **_yaml(body.properties)}
    record = state.workspace.deployments.put(data)
    return operations.created(state, scope, _with_warnings(state, scope, record), is_new=existing is None)


@router.delete(f"{PATH}/{{name}}")
def delete(state: State, scope: Scope, endpoint: LowerName, name: LowerName) -> Response:
    """Delete a deployment."""
    state.workspace.deployments.delete(endpoint, name)
    return operations.accepted(state, scope)


def _yaml(spec: DeploymentSchema) -> dict[str, Any]:
    """Return the data of the deployment YAML."""
    code = spec.code_configuration
    return _present(
        type="model",
        description=spec.description or None,
        properties={key: value for key, value in spec.properties.items() if key != WARNINGS} or None,
        model=_reference(spec.model.asset_id) if spec.model else None,
        compute=_reference(spec.compute) if spec.compute else None,
        environment=_reference(spec.environment_id) if spec.environment_id else None,
        code_configuration=(
            _present(code=_reference(code.code_id) if code.code_id else None, scoring_script=code.scoring_script)
            if code
            else None
        ),
        resources=_present(instance_count=spec.resources.instance_count) if spec.resources else None,
        settings=_settings(spec),
    )


def _settings(spec: DeploymentSchema) -> dict[str, Any]:
    retry = spec.retry_settings
    action = ACTIONS.get(spec.output_action or "", spec.output_action)
    return _present(
        mini_batch_size=10 if spec.mini_batch_size is None else spec.mini_batch_size,
        max_concurrency_per_instance=spec.max_concurrency_per_instance,
        output_action=action,
        output_file_name=None if action == "summary_only" else spec.output_file_name,
        error_threshold=spec.error_threshold,
        logging_level=spec.logging_level,
        environment_variables=spec.environment_variables,
        retry_settings=_present(max_retries=retry.max_retries, timeout=whole_seconds(retry.timeout)) if retry else None,
    )


def _reference(text: str) -> str:
    """Return a reference with the prefix that YAML has and ARM leaves out."""
    return text if text.startswith(PREFIX) else PREFIX + text


def _with_warnings(state: AppState, scope: WorkspaceScope, deployment: DeploymentRecord) -> dict[str, Any]:
    """Return the resource, with the warnings about its jobs as a property, a line each: clients show no other field."""
    resource = _resource(scope, deployment)
    warnings = state.workspace.deployments.warnings(deployment)
    if warnings:
        resource["properties"]["properties"] |= {WARNINGS: "\n".join(warnings)}
    return resource


def _resource(scope: WorkspaceScope, deployment: DeploymentRecord) -> dict[str, Any]:
    spec, settings = deployment.spec, deployment.spec.settings
    about = described(spec.description or "", spec.tags, spec.properties)
    writes = settings.output_action == "append_row"
    return {
        "id": scope.id("batchEndpoints", deployment.endpoint, "deployments", deployment.name),
        "name": deployment.name,
        "type": f"{PROVIDER}/workspaces/batchEndpoints/deployments",
        "location": LOCATION,
        "tags": about["tags"],
        "kind": None,
        "systemData": system_data(deployment.created, deployment.changed),
        "properties": {
            "description": about["description"],
            "properties": about["properties"],
            "model": {"referenceType": "Id", "assetId": asset_id(scope, deployment.model)},
            "codeConfiguration": _code(scope, deployment),
            "environmentId": _environment(scope, deployment),
            "environmentVariables": dict(settings.environment_variables),
            "compute": scope.id("computes", asset_reference("compute", spec.compute).name),
            "resources": {"instanceCount": spec.instance_count, "properties": {}},
            "miniBatchSize": settings.mini_batch_size,
            "maxConcurrencyPerInstance": settings.max_concurrency_per_instance,
            "errorThreshold": settings.error_threshold,
            "loggingLevel": settings.logging_level.capitalize(),
            "outputAction": next(wire for wire, action in ACTIONS.items() if action == settings.output_action),
            "outputFileName": settings.output_file_name if writes else None,
            "retrySettings": {
                "maxRetries": settings.retry_settings.max_retries,
                "timeout": iso_duration(settings.retry_settings.timeout),
            },
            "provisioningState": "Succeeded",
        },
    }


def _code(scope: WorkspaceScope, deployment: DeploymentRecord) -> dict[str, Any] | None:
    configuration = deployment.spec.code_configuration
    if configuration is None or deployment.code is None:
        return None
    return {"codeId": asset_id(scope, deployment.code), "scoringScript": configuration.scoring_script}


def _environment(scope: WorkspaceScope, deployment: DeploymentRecord) -> str | None:
    if deployment.environment:
        return asset_id(scope, deployment.environment)
    return deployment.spec.environment if isinstance(deployment.spec.environment, str) else None


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
