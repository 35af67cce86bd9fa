"""Bearer tokens: the check of each request, and the identity endpoint that issues tokens.

The SDK uses two addresses over plain HTTP: the metadata of the cloud, and the identity endpoint of an App Service, as
`DefaultAzureCredential` does (https://learn.microsoft.com/azure/app-service/overview-managed-identity, REST protocol).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from batchtwin.azure.connection import CLOUD, IDENTITY_PATH, METADATA_PATH, secret_matches
from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.scope import STORAGE_SUFFIX
from batchtwin.azure.rest.state import State
from batchtwin.azure.rest.tokens import ACCESS, Tokens

TOKEN_SECONDS = 24 * 3600
TENANT = str(uuid.uuid5(uuid.NAMESPACE_DNS, "batchtwin"))


class BearerAuth:
    """ASGI middleware that refuses requests without a token of this server. Open: `/` and below `open`."""

    def __init__(self, app: ASGIApp, tokens: Tokens, open: Sequence[str]) -> None:
        self._app = app
        self._tokens = tokens
        self._open = tuple(open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] != "http" or self._is_open(scope["path"]) or self._is_allowed(scope):
            await self._app(scope, receive, send)
        else:
            await _unauthorized().response()(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path == "/" or path.startswith(self._open)

    def _is_allowed(self, scope: Scope) -> bool:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.claims(ACCESS, token.strip()) is not None


def _unauthorized() -> ArmError:
    text = 'the bearer token is missing, not of this server, or has expired; eval "$(batchtwin env)", and start anew'
    return ArmError(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": "Bearer"})


def router(origin: str, secret: str) -> APIRouter:
    """Return the routes of the listener without TLS. `origin` is the service with TLS, `secret` the identity header."""
    routes = APIRouter()

    @routes.get(METADATA_PATH)
    async def metadata(list: Annotated[str | None, Query()] = None) -> Any:
        """The metadata of this cloud. azure-cli requests a list, the SDK takes both forms."""
        cloud = _cloud(origin)
        return [cloud] if list else cloud

    @routes.get(IDENTITY_PATH)
    async def token(
        state: State,
        resource: Annotated[str, Query(max_length=500)],
        x_identity_header: Annotated[str, Header()] = "",
    ) -> JSONResponse:
        """A token for `resource`. The request needs the header that `batchtwin env` prints."""
        if not secret_matches(secret, x_identity_header):
            raise ArmError(401, "Unauthorized", 'X-IDENTITY-HEADER is not this server\'s; eval "$(batchtwin env)"')
        ends = int(time.time()) + TOKEN_SECONDS
        issued = state.tokens.issue(ACCESS, TOKEN_SECONDS, aud=resource, iss=CLOUD, tid=TENANT, oid=TENANT, sub="local")
        body = {"access_token": issued, "expires_on": str(ends), "resource": resource, "token_type": "Bearer"}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return routes


def _cloud(origin: str) -> dict[str, Any]:
    """The metadata of a cloud in Azure's form, with the addresses of this server."""
    return {
        "name": CLOUD,
        "portal": origin,
        "resourceManager": origin,
        "management": origin,
        "authentication": {
            "loginEndpoint": origin,
            "audiences": [origin],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "suffixes": {"storage": STORAGE_SUFFIX, "keyVaultDns": STORAGE_SUFFIX, "sqlServerHostname": STORAGE_SUFFIX},
        "graph": origin,
        "graphAudience": origin,
        "gallery": origin,
        "batch": origin,
        "media": origin,
        "sqlManagement": origin,
        "vmImageAliasDoc": origin,
        "activeDirectoryDataLake": origin,
        "microsoftGraphResourceId": origin,
    }
