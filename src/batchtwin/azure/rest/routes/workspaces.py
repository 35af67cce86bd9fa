"""The workspace, its datastores, and the tenant, subscription and group that azure-cli reads first."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter

from batchtwin.azure.connection import SUBSCRIPTION
from batchtwin.azure.rest.auth import TENANT
from batchtwin.azure.rest.scope import (
    ACCOUNT,
    GROUP_PATH,
    LOCATION,
    STORAGE_SUFFIX,
    WORKSPACE_PATH,
    WORKSPACES_PATH,
    Name,
    Scope,
    WorkspaceScope,
)
from batchtwin.azure.rest.state import State
from batchtwin.deployment.reference import PROVIDER
from batchtwin.workspace.datastores import ARTIFACTS, DEFAULT

# Permissions of a client in a datastore. Logs are read-only.
PERMISSIONS = "racwl"
READ_ONLY = {ARTIFACTS: "rl"}
SAS_SECONDS = 3600

router = APIRouter()


@router.get("/tenants")
def tenants() -> dict[str, Any]:
    """The one tenant."""
    return {"value": [{"id": f"/tenants/{TENANT}", "tenantId": TENANT, "displayName": "batchtwin"}]}


@router.get("/subscriptions")
def subscriptions() -> dict[str, Any]:
    """The one subscription."""
    return {"value": [_subscription(SUBSCRIPTION)]}


@router.get("/subscriptions/{subscription}")
def subscription(subscription: Name) -> dict[str, Any]:
    """The one subscription, under any name."""
    return _subscription(subscription)


@router.get(GROUP_PATH)
def group(subscription: Name, group: Name) -> dict[str, Any]:
    """The one resource group, under any name."""
    return {
        "id": GROUP_PATH.format(subscription=subscription, group=group),
        "name": group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    }


@router.get(WORKSPACES_PATH)
def workspaces(subscription: Name, group: Name) -> dict[str, Any]:
    """An empty list: the server takes any name."""
    return {"value": []}


@router.get(WORKSPACE_PATH)
def workspace(scope: Scope, state: State) -> dict[str, Any]:
    """The workspace. `mlFlowTrackingUri` is the MLflow store of its jobs."""
    return {
        "id": scope.workspace_id,
        "name": scope.workspace,
        "type": f"{PROVIDER}/workspaces",
        "location": LOCATION,
        "tags": {},
        "identity": {"type": "SystemAssigned", "tenantId": TENANT, "principalId": TENANT},
        "properties": {
            "friendlyName": scope.workspace,
            "description": "The local workspace of batchtwin",
            "workspaceId": str(uuid.uuid5(uuid.NAMESPACE_URL, scope.workspace_id)),
            "discoveryUrl": f"{scope.origin}/discovery{scope.workspace_id}",
            "mlFlowTrackingUri": state.workspace.jobs.mlflow_uri(),
            "provisioningState": "Succeeded",
            "hbiWorkspace": False,
            "publicNetworkAccess": "Enabled",
            "storageAccount": f"{scope.group}/{ACCOUNT}",
            "keyVault": "",
            "applicationInsights": "",
        },
    }


@router.get(f"{WORKSPACE_PATH}/datastores")
def datastores(state: State, scope: Scope, isDefault: bool = False) -> dict[str, Any]:
    """All datastores, or the default one."""
    names = [DEFAULT] if isDefault else state.workspace.datastores.names()
    return {"value": [_datastore(scope, name) for name in names]}


@router.get(f"{WORKSPACE_PATH}/datastores/{{name}}")
def datastore(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """A datastore."""
    return _datastore(scope, state.workspace.datastores.require(name))


@router.post(f"{WORKSPACE_PATH}/datastores/{{name}}/listSecrets")
def secrets(state: State, scope: Scope, name: str) -> dict[str, Any]:
    """A SAS token for the datastore's container."""
    permissions = READ_ONLY.get(state.workspace.datastores.require(name), PERMISSIONS)
    return {"secretsType": "Sas", "sasToken": state.sas.token(name, SAS_SECONDS, permissions)}


def _datastore(scope: WorkspaceScope, name: str) -> dict[str, Any]:
    return {
        "id": scope.id("datastores", name),
        "name": name,
        "type": f"{PROVIDER}/workspaces/datastores",
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": f"{scope.host}/{ACCOUNT}",
            "containerName": name,
            "endpoint": STORAGE_SUFFIX,
            "protocol": "https",
            "isDefault": name == DEFAULT,
            "credentials": {"credentialsType": "Sas"},
            "description": "",
            "tags": {},
            "properties": {},
        },
    }


def _subscription(name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{name}",
        "subscriptionId": name,
        "tenantId": TENANT,
        "displayName": "batchtwin",
        "state": "Enabled",
        "subscriptionPolicies": {"spendingLimit": "Off"},
    }
