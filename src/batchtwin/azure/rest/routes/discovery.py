"""The addresses of a workspace's services. Needs no token."""

from __future__ import annotations

from fastapi import APIRouter

from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope

router = APIRouter()


@router.get(f"/discovery{WORKSPACE_PATH}")
def discovery(scope: Scope) -> dict[str, str]:
    """The addresses: all are this server's."""
    names = ("api", "history", "experimentation", "modelmanagement", "pipelines", "hyperdrive", "studio")
    return dict.fromkeys(names, scope.origin)
