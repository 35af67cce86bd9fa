"""Computes: names of clusters. Nothing runs on them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest.resources import duration
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.schemas import ClusterProperties, Resource, ScaleSettings
from batchtwin.azure.rest.schemas import Compute as Document
from batchtwin.azure.rest.scope import LOCATION, PROVIDER, WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState
from batchtwin.workspace.entities import Compute

PATH = f"{WORKSPACE_PATH}/computes"

router = APIRouter()


@router.get(PATH)
def list_all(services: AppState, place: Scope) -> dict[str, Any]:
    """All computes."""
    return {"value": [_document(place, compute) for compute in services.workspace.computes.list()]}


@router.get(f"{PATH}/{{name}}")
def show(services: AppState, place: Scope, name: str) -> dict[str, Any]:
    """A compute."""
    return _document(place, services.workspace.computes.get(name))


@router.put(f"{PATH}/{{name}}")
def create(services: AppState, place: Scope, name: str, body: Resource[Document]) -> Response:
    """Create a compute, or change it."""
    there = {compute.name for compute in services.workspace.computes.list()}
    cluster = body.properties.properties or ClusterProperties()
    scale = cluster.scale_settings or ScaleSettings()
    made = services.workspace.computes.create(
        name,
        type=body.properties.compute_type,
        size=cluster.vm_size,
        min_instances=scale.min_node_count,
        max_instances=scale.max_node_count,
        idle_time=int(scale.node_idle_time_before_scale_down.total_seconds()),
    )
    return operations.created(services, place, _document(place, made), is_new=name not in there)


@router.delete(f"{PATH}/{{name}}")
def delete(services: AppState, place: Scope, name: str) -> Response:
    """Forget a compute."""
    services.workspace.computes.delete(name)
    return operations.accepted(services, place)


def _document(place: WorkspaceScope, compute: Compute) -> dict[str, Any]:
    return {
        "id": place.id("computes", compute.name),
        "name": compute.name,
        "type": f"{PROVIDER}/workspaces/computes",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "computeType": "AmlCompute",
            "computeLocation": LOCATION,
            "createdOn": compute.created.isoformat(),
            "modifiedOn": compute.changed.isoformat(),
            "description": "",
            "provisioningState": "Succeeded",
            "provisioningErrors": None,
            "isAttachedCompute": False,
            "disableLocalAuth": False,
            "properties": {
                "osType": "Linux",
                "vmSize": compute.size,
                "vmPriority": "Dedicated",
                "scaleSettings": {
                    "minNodeCount": compute.min_instances,
                    "maxNodeCount": compute.max_instances,
                    "nodeIdleTimeBeforeScaleDown": duration(compute.idle_time_before_scale_down),
                },
                "allocationState": "Steady",
                "currentNodeCount": 0,
                "targetNodeCount": 0,
                "enableNodePublicIp": True,
                "isolatedNetwork": False,
                "remoteLoginPortPublicAccess": "NotSpecified",
            },
        },
    }
