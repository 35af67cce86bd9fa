"""Addresses of content, as clients write them, and where it is. Only what was uploaded here is content: no path of
this machine is, whoever names it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchtwin.azure.rest.scope import BLOBS
from batchtwin.workspace.datastores import DEFAULT
from batchtwin.workspace.errors import InvalidError
from batchtwin.workspace.workspace import Workspace

# Before `datastores` names and values come in pairs; data can be called `datastores`, and so can a folder of a path.
_DATASTORE = re.compile(
    r"azureml:/?/?(?:[^/]+/[^/]+/)*?datastores/(?P<store>[A-Za-z0-9_-]+)/(?:paths(?:/|\Z))?(?P<path>.*)", re.DOTALL
)
_WEB = re.compile(r"https?://", re.IGNORECASE)


def stored(workspace: Workspace, address: str) -> Path:
    """Return where the content at an address is: in a datastore, or in a container of this server.

    Raises:
        InvalidError: it is elsewhere, or not there.
    """
    found = datastore_path(address)
    if found is None:
        raise InvalidError(f"{address}: is not in a datastore of this workspace; upload it, and give that address")
    path = workspace.datastores.path(*found)
    if not os.path.exists(path):
        raise InvalidError(f"{address}: nothing was uploaded there")
    return path


def is_web(address: str) -> bool:
    """Whether an address is one of the web that is not of this server."""
    return bool(_WEB.match(address)) and datastore_path(address) is None


def datastore_path(address: str) -> tuple[str, str] | None:
    """Return the datastore that an address is in, and the path in it, empty for all of it; None for what is elsewhere.

    The blob service of another host is not told apart: clients reach this one by several names.
    """
    found = _DATASTORE.fullmatch(address)
    if found:
        return found["store"], unquote(found["path"]).strip("/")
    if not _WEB.match(address):
        return None
    path = urlsplit(address).path
    if not path.startswith(f"{BLOBS}/"):
        return None
    container, _, blob = path.removeprefix(f"{BLOBS}/").partition("/")
    return (container, unquote(blob).strip("/")) if re.fullmatch(r"[a-z0-9-]+", container) and blob else None


def datastore_uri(workspace_id: str, path: str, store: str = DEFAULT) -> str:
    """The long address of what is in a datastore."""
    short = workspace_id.replace("/providers/Microsoft.MachineLearningServices", "")
    return f"azureml:/{short}/datastores/{store}/paths/{path}"
