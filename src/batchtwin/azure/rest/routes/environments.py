"""Environments: what a deployment's script requires."""

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
    spec = body.properties
    is_new = not assets.is_there(state, "environment", name, number)
    state.workspace.environments.create(
        name,
        version=number,
        image=spec.image,
        conda=spec.conda_file,
        context=content.stored(state.workspace, spec.build.context_uri) if spec.build else None,
        dockerfile=spec.build.dockerfile_path if spec.build else None,
        metadata=Metadata(spec.description, spec.tags),
    )
    return assets.answer(state, scope, "environment", name, number, is_new=is_new, archived=spec.is_archived)
