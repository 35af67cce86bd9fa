"""Environments: what a deployment's script asks for."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from batchtwin.azure.rest import sources
from batchtwin.azure.rest.routes import assets
from batchtwin.azure.rest.schemas import EnvironmentVersion, Resource
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope
from batchtwin.azure.rest.state import AppState
from batchtwin.workspace.entities import Metadata

router = APIRouter()


@router.put(f"{WORKSPACE_PATH}/environments/{{name}}/versions/{{number}}")
def put(services: AppState, place: Scope, name: str, number: str, body: Resource[EnvironmentVersion]) -> JSONResponse:
    """Register a version of an environment: an image, perhaps with a conda file, or a build context."""
    asked = body.properties
    is_new = not assets.is_there(services, "environment", name, number)
    services.workspace.environments.create(
        name,
        version=number,
        image=asked.image,
        conda=asked.conda_file,
        context=sources.stored(services.workspace, asked.build.context_uri) if asked.build else None,
        dockerfile=asked.build.dockerfile_path if asked.build else None,
        metadata=Metadata(asked.description, asked.tags),
    )
    return assets.answer(services, place, "environment", name, number, is_new=is_new, archived=asked.is_archived)
