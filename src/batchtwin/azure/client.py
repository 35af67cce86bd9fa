"""A client of Azure's SDK for the server of a local workspace, without settings in the shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from batchtwin.azure.connection import GROUP, SUBSCRIPTION, WORKSPACE, Connection


def local_ml_client(workspace: str | Path | None = None) -> Any:
    """Return an `azure.ai.ml.MLClient` of the workspace in this folder, which `batchtwin serve` serves.

    Without `workspace` it is the one of BATCHTWIN_WORKSPACE, else `.batchtwin/` here. The SDK knows one cloud per
    process: this sets the variables of `batchtwin env` in this one, and clients of Azure itself belong in another.

    Raises:
        NoServerError: no server has run there, or it cannot be reached.
    """
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open(str(workspace) if workspace is not None else None) as opened:
        connection = Connection.read(opened.root)
    connection.check()
    os.environ.update(connection.variables())
    # Only now: the SDK reads some of them on import.
    from azure.ai.ml import MLClient
    from azure.identity import ManagedIdentityCredential

    return MLClient(ManagedIdentityCredential(), SUBSCRIPTION, GROUP, WORKSPACE, enable_telemetry=False)
