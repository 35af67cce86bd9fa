"""`az ml datastore`."""

from __future__ import annotations

from typing import Annotated, Any

from batchtwin.azure.cli import options, views
from batchtwin.azure.cli.options import option
from batchtwin.workspace.workspace import Workspace

DatastoreName = Annotated[str, option("--name", "-n", help="Name of the datastore.")]


def show(workspace: Workspace, name: DatastoreName) -> dict[str, Any]:
    """Show details for a datastore. Its id with `/paths/PATH` behind it is an input or output of a job."""
    return views.datastore(workspace.datastores.require(name))


def list_all(workspace: Workspace, max_results: options.MaxResults = None) -> list[dict[str, Any]]:
    """List the datastores, the default one first."""
    return [views.datastore(name) for name in workspace.datastores.names()][:max_results]
