"""Where uploaded content is, by the addresses that clients use.

Only content that was uploaded to this server counts. No address gives access to another path of this machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchtwin.azure.rest.scope import BLOBS
from batchtwin.deployment import reference
from batchtwin.deployment.reference import DatastorePath
from batchtwin.inputs.public_blobs import is_remote_input
from batchtwin.workspace.datastores import DEFAULT
from batchtwin.workspace.errors import InvalidError
from batchtwin.workspace.workspace import Workspace

_WEB = re.compile(r"https?://", re.IGNORECASE)


def stored(workspace: Workspace, address: str) -> Path:
    """Return the file or folder at an address: in a datastore, or in a container of this server.

    Raises:
        InvalidError: it is elsewhere, or there is nothing.
        InvalidReferenceError: a reference in no known form, or one that leads out of its datastore.
    """
    location = path_in_datastore(address)
    if location is not None:
        path = workspace.datastores.path(location.datastore, location.path)
    elif reference.is_reference(address):
        path = workspace.datastores.locate(address)  # the output of a job
    else:
        raise InvalidError(f"{address}: is not in a datastore of this workspace; upload it, and give that address")
    if not os.path.exists(path):
        raise InvalidError(f"{address}: nothing was uploaded there")
    return path


def is_web(address: str) -> bool:
    """Whether an address is on the web, or in Azure Storage, and not of this server."""
    return is_remote_input(address) and path_in_datastore(address) is None


def path_in_datastore(address: str) -> DatastorePath | None:
    """Return the path in a datastore that a reference or the URL of a blob names; None for anything else.

    The host of a blob's URL is not compared: clients reach this server by several names.

    Raises:
        InvalidReferenceError: a reference in no known form, or one that leads out of its datastore.
    """
    if not _WEB.match(address):
        return reference.datastore_path(address)
    path = urlsplit(address).path
    if not path.startswith(f"{BLOBS}/"):
        return None
    container, _, blob = path.removeprefix(f"{BLOBS}/").partition("/")
    is_blob = blob and re.fullmatch(r"[a-z0-9-]+", container)
    return DatastorePath(container, unquote(blob).strip("/")) if is_blob else None


def datastore_uri(workspace_id: str, path: str, datastore: str = DEFAULT) -> str:
    """Return the long URI of a path in a datastore."""
    return DatastorePath(datastore, path).long_uri(workspace_id)
