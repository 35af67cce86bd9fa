"""Environments: what a deployment's script asks for."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from batchtwin.azure.rest import content
from batchtwin.azure.rest.routes import assets
from batchtwin.azure.rest.schemas.assets import EnvironmentVersionSchema
from batchtwin.azure.rest.schemas.base import Resource
from batchtwin.azure.rest.scope import WORKSPACE_PATH, Scope
from batchtwin.azure.rest.state import State
from batchtwin.workspace.entities import Metadata

router = APIRouter()


@router.put(f"{WORKSPACE_PATH}/environments/{{name}}/versions/{{number}}")
def put(state: State, scope: Scope, name: str, number: str, body: Resource[EnvironmentVersionSchema]) -> JSONResponse:
    """Register a version of an environment: an image, perhaps with a conda file, or a build context."""
    asked = body.properties
    is_new = not assets.is_there(state, "environment", name, number)
    state.workspace.environments.create(
        name,
        version=number,
        image=asked.image,
        conda=asked.conda_file,
        context=content.stored(state.workspace, asked.build.context_uri) if asked.build else None,
        dockerfile=asked.build.dockerfile_path if asked.build else None,
        metadata=Metadata(asked.description, asked.tags),
    )
    return assets.answer(state, scope, "environment", name, number, is_new=is_new, archived=asked.is_archived)
