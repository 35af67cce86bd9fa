"""The state that request handlers share: the workspace and the keys for tokens and signatures."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from batchtwin.azure.blob.sas import Sas
from batchtwin.azure.rest.tokens import Tokens
from batchtwin.workspace.workspace import Workspace
from batchtwin_node.codec import value_object


@value_object
class AppState:
    """One of each for the life of the server."""

    workspace: Workspace
    tokens: Tokens
    sas: Sas
    # How programs on this machine reach it: the service, the listener without TLS, and the secret of the owner.
    origin: str = ""
    plain_port: int = 0
    secret: str = ""


async def app_state(request: Request) -> AppState:
    """The state of the application that handles a request."""
    state: AppState = request.app.state.app_state
    return state


State = Annotated[AppState, Depends(app_state)]
