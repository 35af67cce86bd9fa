"""Code: a folder with a scoring script. The SDK looks it up by a hash of its content, and uploads it if unknown."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest import content
from batchtwin.azure.rest.routes import assets
from batchtwin.azure.rest.schemas.assets import CodeVersionSchema
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope
from batchtwin.azure.rest.state import State
from batchtwin.workspace.entities import Metadata
from batchtwin.workspace.names import check_name, check_version

PATH = f"{WORKSPACE_PATH}/codes/{{name}}/versions"
UPLOAD_SECONDS = 3600

router = APIRouter()


@router.get(PATH)
def list_versions(state: State, scope: Scope, name: str, hash: str | None = None) -> dict[str, Any]:
    """The versions of a name; with `hash` any code with this content, whatever its name [A]."""
    if hash is None:
        versions = state.workspace.assets.list("code", name)
    else:
        versions = state.workspace.assets.with_property("code", "hash_sha256", hash)
    return {"value": [assets.version(scope, state, asset) for asset in versions]}


@router.get(f"{PATH}/{{number}}")
def show(state: State, scope: Scope, name: str, number: str) -> dict[str, Any]:
    """A version."""
    asset = state.workspace.assets.get("code", name, number)
    state.workspace.datastores.share_asset(asset)
    return assets.version(scope, state, asset)


@router.post(f"{PATH}/{{number}}/startPendingUpload")
def start_upload(state: State, scope: Scope, name: str, number: str) -> dict[str, Any]:
    """Create a container for the upload, and return it with a token."""
    check_name("code", name)
    check_version(number)
    # Names of containers are shorter than those of assets, and lower case.
    container = "code-" + hashlib.sha256(f"{name}:{number}".encode()).hexdigest()[:40]
    state.workspace.datastores.make(container)
    address = scope.blobs(container)
    token = state.sas.token(container, UPLOAD_SECONDS, "racwl")
    return {
        "pendingUploadId": str(uuid.uuid4()),
        "pendingUploadType": "TemporaryBlobReference",
        "blobReferenceForConsumption": {
            "blobUri": address,
            "storageAccountArmId": "",
            "credential": {"credentialType": "SAS", "sasUri": f"{address}?{token}"},
        },
    }


@router.put(f"{PATH}/{{number}}")
def put(state: State, scope: Scope, name: str, number: str, body: Resource[CodeVersionSchema]) -> Response:
    """Register the upload."""
    spec = body.properties
    is_new = not assets.is_there(state, "code", name, number)
    state.workspace.assets.create(
        "code",
        name,
        version=number,
        path=content.stored(state.workspace, spec.code_uri),
        metadata=Metadata(spec.description, spec.tags, spec.properties),
    )
    return assets.answer(state, scope, "code", name, number, is_new=is_new, archived=spec.is_archived)
