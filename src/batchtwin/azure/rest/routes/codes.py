"""Code: a folder with a scoring script. It is known by a hash of its content, and uploaded if that is not known."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from fastapi import APIRouter, Response

from batchtwin.azure.rest import sources
from batchtwin.azure.rest.routes import assets
from batchtwin.azure.rest.schemas import CodeVersion, Resource
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope
from batchtwin.azure.rest.state import AppState
from batchtwin.workspace.entities import Metadata
from batchtwin.workspace.names import check_name, check_version

PATH = f"{WORKSPACE_PATH}/codes/{{name}}/versions"
UPLOAD_SECONDS = 3600

router = APIRouter()


@router.get(PATH)
def list_versions(services: AppState, place: Scope, name: str, hash: str | None = None) -> dict[str, Any]:
    """The versions of a name; with `hash` any code with this content, whatever its name [A]."""
    if hash is None:
        found = services.workspace.assets.list("code", name)
    else:
        found = services.workspace.assets.with_property("code", "hash_sha256", hash)
    return {"value": [assets.version(place, services, asset) for asset in found]}


@router.get(f"{PATH}/{{number}}")
def show(services: AppState, place: Scope, name: str, number: str) -> dict[str, Any]:
    """A version."""
    asset = services.workspace.assets.get("code", name, number)
    services.workspace.datastores.share_asset(asset)
    return assets.version(place, services, asset)


@router.post(f"{PATH}/{{number}}/startPendingUpload")
def start_upload(services: AppState, place: Scope, name: str, number: str) -> dict[str, Any]:
    """Give a container of its own to upload to, with a token for it."""
    check_name("code", name)
    check_version(number)
    # Names of containers are shorter than those of assets, and know no capitals.
    container = "code-" + hashlib.sha256(f"{name}:{number}".encode()).hexdigest()[:40]
    services.workspace.datastores.make(container)
    address = place.blobs(container)
    token = services.sas.token(container, UPLOAD_SECONDS, "racwl")
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
def put(services: AppState, place: Scope, name: str, number: str, body: Resource[CodeVersion]) -> Response:
    """Register what was uploaded."""
    asked = body.properties
    is_new = not assets.is_there(services, "code", name, number)
    services.workspace.assets.create(
        "code",
        name,
        version=number,
        path=sources.stored(services.workspace, asked.code_uri),
        metadata=Metadata(asked.description, asked.tags, asked.properties),
    )
    return assets.answer(services, place, "code", name, number, is_new=is_new, archived=asked.is_archived)
