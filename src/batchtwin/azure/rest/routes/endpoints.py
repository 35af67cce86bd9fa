"""Batch endpoints."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest.resources import described, system_data
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.schemas.endpoints import EndpointSchema
from batchtwin.azure.rest.scope import LOCATION, WORKSPACE_PATH, LowerName, Scope, WorkspaceScope
from batchtwin.azure.rest.state import State
from batchtwin.deployment.reference import PROVIDER
from batchtwin.workspace.entities import Endpoint
from batchtwin.workspace.errors import NotFoundError

PATH = f"{WORKSPACE_PATH}/batchEndpoints"

router = APIRouter()


@router.get(PATH)
def list_all(state: State, scope: Scope) -> dict[str, Any]:
    """All endpoints."""
    return {"value": [_resource(scope, endpoint) for endpoint in state.workspace.endpoints.list()]}


@router.get(f"{PATH}/{{name}}")
def show(state: State, scope: Scope, name: LowerName) -> dict[str, Any]:
    """An endpoint."""
    return _resource(scope, state.workspace.endpoints.get(name))


@router.put(f"{PATH}/{{name}}")
def create(state: State, scope: Scope, name: LowerName, body: Resource[EndpointSchema]) -> Response:
    """Create an endpoint, or change it."""
    existing = None
    with suppress(NotFoundError):
        existing = state.workspace.endpoints.get(name)
    spec = body.properties
    endpoint = state.workspace.endpoints.create(
        name,
        description=spec.description,
        tags=body.tags,
        properties=spec.properties,
        default_deployment=(spec.defaults.deployment_name or None) if spec.defaults else None,
    )
    return operations.created(state, scope, _resource(scope, endpoint), is_new=existing is None)


@router.delete(f"{PATH}/{{name}}")
def delete(state: State, scope: Scope, name: LowerName) -> Response:
    """Delete an endpoint with its deployments."""
    state.workspace.endpoints.delete(name)
    return operations.accepted(state, scope)


def _resource(scope: WorkspaceScope, endpoint: Endpoint) -> dict[str, Any]:
    about = described(endpoint.description, endpoint.tags, endpoint.properties)
    return {
        "id": scope.id("batchEndpoints", endpoint.name),
        "name": endpoint.name,
        "type": f"{PROVIDER}/workspaces/batchEndpoints",
        "location": LOCATION,
        "tags": about["tags"],
        "kind": None,
        "systemData": system_data(endpoint.created, endpoint.changed),
        "properties": {
            "description": about["description"],
            "properties": about["properties"],
            "authMode": "AADToken",
            "defaults": {"deploymentName": endpoint.default_deployment},
            "scoringUri": scope.url("batchEndpoints", endpoint.name, "jobs"),
            "swaggerUri": None,
            "provisioningState": "Succeeded",
        },
    }
