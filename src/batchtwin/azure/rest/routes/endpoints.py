"""Batch endpoints."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest.resources import described, system_data
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.schemas import Endpoint as Document
from batchtwin.azure.rest.schemas import Resource
from batchtwin.azure.rest.scope import LOCATION, PROVIDER, WORKSPACE_PATH, LowerName, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState
from batchtwin.workspace.entities import Endpoint
from batchtwin.workspace.errors import NotFoundError

PATH = f"{WORKSPACE_PATH}/batchEndpoints"

router = APIRouter()


@router.get(PATH)
def list_all(services: AppState, place: Scope) -> dict[str, Any]:
    """All endpoints."""
    return {"value": [_document(place, endpoint) for endpoint in services.workspace.endpoints.list()]}


@router.get(f"{PATH}/{{name}}")
def show(services: AppState, place: Scope, name: LowerName) -> dict[str, Any]:
    """An endpoint."""
    return _document(place, services.workspace.endpoints.get(name))


@router.put(f"{PATH}/{{name}}")
def create(services: AppState, place: Scope, name: LowerName, body: Resource[Document]) -> Response:
    """Create an endpoint, or change it."""
    there = None
    with suppress(NotFoundError):
        there = services.workspace.endpoints.get(name)
    asked = body.properties
    made = services.workspace.endpoints.create(
        name,
        description=asked.description,
        tags=body.tags,
        properties=asked.properties,
        default_deployment=(asked.defaults.deployment_name or None) if asked.defaults else None,
    )
    return operations.created(services, place, _document(place, made), is_new=there is None)


@router.delete(f"{PATH}/{{name}}")
def delete(services: AppState, place: Scope, name: LowerName) -> Response:
    """Delete an endpoint with its deployments."""
    services.workspace.endpoints.delete(name)
    return operations.accepted(services, place)


def _document(place: WorkspaceScope, endpoint: Endpoint) -> dict[str, Any]:
    about = described(endpoint.description, endpoint.tags, endpoint.properties)
    return {
        "id": place.id("batchEndpoints", endpoint.name),
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
            "scoringUri": place.url("batchEndpoints", endpoint.name, "jobs"),
            "swaggerUri": None,
            "provisioningState": "Succeeded",
        },
    }
