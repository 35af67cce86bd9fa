"""Computes: names of clusters. Nothing runs on them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest.resources import iso_duration
from batchtwin.azure.rest.routes import operations
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.schemas.computes import ClusterProperties, ComputeSchema, ScaleSettings
from batchtwin.azure.rest.scope import LOCATION, WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import State
from batchtwin.deployment.reference import PROVIDER
from batchtwin.workspace.entities import Compute

PATH = f"{WORKSPACE_PATH}/computes"

router = APIRouter()


@router.get(PATH)
def list_all(state: State, scope: Scope) -> dict[str, Any]:
    """All computes."""
    return {"value": [_resource(scope, compute) for compute in state.workspace.computes.list()]}


@router.get(f"{PATH}/{{name}}")
def show(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """A compute."""
    return _resource(scope, state.workspace.computes.get(name))


@router.put(f"{PATH}/{{name}}")
def create(state: State, scope: Scope, name: str, body: Resource[ComputeSchema]) -> Response:
    """Create a compute, or change it."""
    existing = {compute.name for compute in state.workspace.computes.list()}
    cluster = body.properties.properties or ClusterProperties()
    scale = cluster.scale_settings or ScaleSettings()
    made = state.workspace.computes.create(
        name,
        type=body.properties.compute_type,
        size=cluster.vm_size,
        min_instances=scale.min_node_count,
        max_instances=scale.max_node_count,
        idle_time=int(scale.node_idle_time_before_scale_down.total_seconds()),
    )
    return operations.created(state, scope, _resource(scope, made), is_new=name not in existing)


@router.delete(f"{PATH}/{{name}}")
def delete(state: State, scope: Scope, name: str) -> Response:
    """Delete a compute."""
    state.workspace.computes.delete(name)
    return operations.accepted(state, scope)


def _resource(scope: WorkspaceScope, compute: Compute) -> dict[str, Any]:
    return {
        "id": scope.id("computes", compute.name),
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
                    "nodeIdleTimeBeforeScaleDown": iso_duration(compute.idle_time_before_scale_down),
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
