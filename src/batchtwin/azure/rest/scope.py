"""The scope of a request: the server's address and the client's names of subscription, group and workspace.

The server has one workspace and takes any names, so that client code needs no change. Answers carry the client's names
and the host of the request.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Path, Request
from pydantic import AfterValidator

from batchtwin.deployment.reference import PROVIDER, WORKSPACE_ID
from batchtwin_node.codec import value_object

SUBSCRIPTION_PATH = "/subscriptions/{subscription}"
GROUP_PATH = f"{SUBSCRIPTION_PATH}/resourceGroups/{{group}}"
WORKSPACES_PATH = f"{GROUP_PATH}/providers/{PROVIDER}/workspaces"
WORKSPACE_PATH = WORKSPACE_ID
# The blob service's account, as a path: its host name needs no DNS. The SDK puts `.blob.` between the two.
ACCOUNT = "devstore"
STORAGE_SUFFIX = "batchtwin"
BLOBS = f"/{ACCOUNT}.blob.{STORAGE_SUFFIX}"
LOCATION = "local"

HOST = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,45}\])(?::[0-9]{1,5})?")
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._()-]{0,89}$")]
# The name of an endpoint or deployment: the service knows it in lower case. So does the SDK when it creates one, but
# not when it asks for one.
LowerName = Annotated[str, AfterValidator(str.lower)]


@value_object
class WorkspaceScope:
    """`origin` is as in `https://localhost:8443`; `workspace_id` the ARM id."""

    origin: str
    subscription: str
    group: str
    workspace: str

    @property
    def host(self) -> str:
        """The host with its port."""
        return self.origin.partition("://")[2]

    @property
    def workspace_id(self) -> str:
        """The ARM id of the workspace."""
        return WORKSPACE_PATH.format(subscription=self.subscription, group=self.group, workspace=self.workspace)

    def id(self, *parts: str) -> str:
        """The ARM id of a resource of the workspace."""
        return "/".join((self.workspace_id, *parts))

    def url(self, *parts: str) -> str:
        """The URL of a resource of the workspace."""
        return self.origin + "/".join((self.workspace_id, *(quote(part, safe="") for part in parts)))

    def blobs(self, container: str) -> str:
        """The URL of a blob container."""
        return f"{self.origin}{BLOBS}/{container}"


def origin_of(request: Request) -> str:
    """The scheme, host and port that a client used."""
    return f"https://{request.headers['host']}"


async def workspace_scope(request: Request, subscription: Name, group: Name, workspace: Name) -> WorkspaceScope:
    """Return the scope of a request."""
    return WorkspaceScope(origin_of(request), subscription, group, workspace)


Scope = Annotated[WorkspaceScope, Depends(workspace_scope)]
