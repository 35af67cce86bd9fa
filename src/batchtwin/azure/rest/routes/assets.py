"""Models and data by name and version. Clients upload the content to a datastore, then register it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from batchtwin.azure.rest import content
from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.resources import described, system_data
from batchtwin.azure.rest.schemas.assets import AssetVersionSchema, DataVersionSchema, ModelVersionSchema
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope, WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.deployment.reference import COLLECTIONS, PROVIDER
from batchtwin.workspace.assets import made_by
from batchtwin.workspace.entities import Asset, Kind, Metadata
from batchtwin.workspace.errors import NotFoundError
from batchtwin.workspace.run_artifacts import run_artifacts

# The kinds whose collections share these routes; code has routes of its own.
SHARED: tuple[Kind, ...] = ("model", "data", "environment")
KINDS = {COLLECTIONS[kind]: kind for kind in SHARED}
PATH = f"{WORKSPACE_PATH}/{{collection}}"

router = APIRouter()


async def asset_kind(collection: str) -> Kind:
    """The kind of asset that a collection holds."""
    if collection not in KINDS:
        raise ArmError(
            404, "ResourceNotFound", f"{collection}: batch deployments do not need it, and it is not imitated"
        )
    return KINDS[collection]


Collection = Annotated[Kind, Depends(asset_kind)]


@router.get(PATH)
def list_all(state: State, scope: Scope, kind: Collection) -> dict[str, Any]:
    """Every name."""
    newest = state.workspace.assets.list(kind)
    return {"value": [container(scope, asset, asset.version) for asset in newest]}


@router.get(f"{PATH}/{{name}}")
def show_container(state: State, scope: Scope, kind: Collection, name: str) -> dict[str, Any]:
    """A name: its latest version and the next one. A name whose versions are all archived is no 404, because clients
    take 404 to mean that the next version is 1.
    """
    versions = state.workspace.assets.list(kind, name, include_archived=True)
    if not versions:
        raise NotFoundError(kind, name)
    newest = next((asset for asset in versions if not asset.archived), versions[0])
    return container(scope, newest, state.workspace.assets.next_version(kind, name))


@router.get(f"{PATH}/{{name}}/versions")
def list_versions(
    state: State,
    scope: Scope,
    kind: Collection,
    name: str,
    listViewType: str = "ActiveOnly",
    top: Annotated[int | None, Query(alias="$top", ge=1)] = None,
) -> dict[str, Any]:
    """The versions of a name, newest first. With `$top=1`, as the SDK requests `latest`, the version can be downloaded
    from then on. Sharing all versions would link every file of each.
    """
    versions = state.workspace.assets.list(kind, name, include_archived=listViewType != "ActiveOnly")[:top]
    if top == 1:
        _share(state, versions)
    return {"value": [version(scope, state, asset) for asset in versions]}


@router.get(f"{PATH}/{{name}}/versions/{{number}}")
def show_version(state: State, scope: Scope, kind: Collection, name: str, number: str) -> dict[str, Any]:
    """A version; its content can be downloaded from then on."""
    asset = state.workspace.assets.get(kind, name, number)
    _share(state, [asset])
    return version(scope, state, asset)


@router.put(f"{WORKSPACE_PATH}/models/{{name}}/versions/{{number}}")
def put_model(state: State, scope: Scope, name: str, number: str, body: Resource[ModelVersionSchema]) -> JSONResponse:
    """Register a version of a model, or change its description."""
    spec = body.properties
    return _put(state, scope, "model", name, number, spec, spec.model_uri, spec.model_type)


@router.put(f"{WORKSPACE_PATH}/data/{{name}}/versions/{{number}}")
def put_data(state: State, scope: Scope, name: str, number: str, body: Resource[DataVersionSchema]) -> JSONResponse:
    """Register a version of data, or change its description. A web address is noted, not fetched."""
    spec = body.properties
    return _put(state, scope, "data", name, number, spec, spec.data_uri, spec.data_type)


def _put(
    state: AppState,
    scope: WorkspaceScope,
    kind: Kind,
    name: str,
    number: str,
    spec: AssetVersionSchema,
    address: str,
    type: str | None,
) -> JSONResponse:
    workspace = state.workspace
    is_new = not is_there(state, kind, name, number)
    remote = kind == "data" and content.is_web(address)
    with run_artifacts(address, workspace.jobs.mlflow_uri()) as logged:
        workspace.assets.create(
            kind,
            name,
            version=number,
            path=None if remote else logged or content.stored(workspace, address),
            uri=address if remote else None,
            type=type,
            metadata=Metadata(spec.description, spec.tags, spec.properties),
        )
    return answer(state, scope, kind, name, number, is_new=is_new, archived=spec.is_archived)


def is_there(state: AppState, kind: Kind, name: str, number: str) -> bool:
    """Whether this version exists."""
    with suppress(NotFoundError):
        state.workspace.assets.get(kind, name, number)
        return True
    return False


def answer(
    state: AppState, scope: WorkspaceScope, kind: Kind, name: str, number: str, *, is_new: bool, archived: bool
) -> JSONResponse:
    """Archive or restore a version, and return the answer to its PUT. Its content can be downloaded from then on."""
    if archived or not is_new:
        state.workspace.assets.archive(kind, name, number, archived=archived)
    asset = state.workspace.assets.get(kind, name, number)
    _share(state, [asset])
    return JSONResponse(version(scope, state, asset), 201 if is_new else 200)


def _share(state: AppState, versions: Iterable[Asset]) -> None:
    """Link content to its path in the datastore, which the resources name."""
    for asset in versions:
        if asset.kind != "environment":
            state.workspace.datastores.share_asset(asset)


def asset_id(scope: WorkspaceScope, asset: Asset) -> str:
    """The ARM id of a version."""
    return scope.id(COLLECTIONS[asset.kind], asset.name, "versions", asset.version)


def container(scope: WorkspaceScope, asset: Asset, following: str) -> dict[str, Any]:
    """Return the resource of a name, of which `asset` is the newest version."""
    properties = {
        **described("", {}, {}),
        "isArchived": asset.archived,
        "latestVersion": asset.version,
        "nextVersion": following,
        "provisioningState": "Succeeded",
    }
    if asset.kind == "data":
        properties["dataType"] = asset.type
    return {
        "id": scope.id(COLLECTIONS[asset.kind], asset.name),
        "name": asset.name,
        "type": f"{PROVIDER}/workspaces/{COLLECTIONS[asset.kind]}",
        "systemData": system_data(asset.created, asset.changed),
        "properties": properties,
    }


def version(scope: WorkspaceScope, state: AppState, asset: Asset) -> dict[str, Any]:
    """Return the resource of a version."""
    return {
        "id": asset_id(scope, asset),
        "name": asset.version,
        "type": f"{PROVIDER}/workspaces/{COLLECTIONS[asset.kind]}/versions",
        "systemData": system_data(asset.created, asset.changed),
        "properties": {
            **described(asset.description, asset.tags, asset.properties),
            "isArchived": asset.archived,
            "isAnonymous": False,
            "provisioningState": "Succeeded",
            **_content(scope, state, asset),
        },
    }


def _content(scope: WorkspaceScope, state: AppState, asset: Asset) -> dict[str, Any]:
    if asset.kind == "environment":
        return _environment(asset)
    address = asset.properties.get("uri") if asset.path is None else None
    uri = address or content.datastore_uri(scope.workspace_id, state.workspace.datastores.asset_path(asset))
    match asset.kind:
        case "model":
            properties: dict[str, Any] = {"modelUri": uri, "modelType": asset.type, "flavors": {}, "stage": None}
            return {**properties, "jobName": made_by(asset)}
        case "data":
            return {"dataUri": uri, "dataType": asset.type}
        case _:
            return {"codeUri": uri}


def _environment(asset: Asset) -> dict[str, Any]:
    properties = asset.properties
    has_image = "image" in properties
    return {
        "image": properties.get("image"),
        "condaFile": asset.path.read_text(encoding="utf-8") if asset.path and has_image else None,
        "build": None
        if has_image
        else {"contextUri": properties.get("build", ""), "dockerfilePath": properties.get("dockerfile_path")},
        "osType": "Linux",
        "environmentType": "UserCreated",
    }
