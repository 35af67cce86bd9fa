"""What handlers need: the workspace, and what makes and checks signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from batchtwin.azure.blob.sas import Sas
from batchtwin.azure.rest.tokens import Tokens
from batchtwin.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for the life of the server."""

    workspace: Workspace
    tokens: Tokens
    sas: Sas


async def services_of(request: Request) -> Services:
    """The services of the application that handles a request."""
    found: Services = request.app.state.services
    return found


AppState = Annotated[Services, Depends(services_of)]
