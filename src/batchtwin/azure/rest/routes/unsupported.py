"""Collections of a workspace that do not run here: a sentence instead of a bare status."""

from __future__ import annotations

from fastapi import APIRouter, Request

from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.scope import WORKSPACE_PATH
from batchtwin.azure.unsupported import COLLECTIONS, JOBS, WORKSPACES

CHANGES = ("PUT", "POST", "PATCH", "DELETE")

router = APIRouter()


def refusal(request: Request, text: str) -> ArmError:
    """Return the error: 404 for reads, 501 for creations."""
    is_read = request.method not in CHANGES
    return ArmError(404, "ResourceNotFound", text) if is_read else ArmError(501, "NotImplemented", text)


def _add(path: str, text: str, methods: tuple[str, ...]) -> None:
    async def refuse(request: Request) -> None:
        raise refusal(request, text)

    router.add_api_route(path, refuse, methods=list(methods), include_in_schema=False)


for _collection, _text in COLLECTIONS.items():
    for _end in ("", "/{rest:path}"):
        _add(f"{WORKSPACE_PATH}/{_collection}{_end}", f"{_collection}: {_text}", ("GET", *CHANGES))
_add(f"{WORKSPACE_PATH}/jobs/{{name}}", JOBS, ("PUT", "PATCH", "DELETE"))
_add(WORKSPACE_PATH, WORKSPACES, CHANGES)
