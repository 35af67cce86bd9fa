"""Long-running operations in ARM's form: an immediate answer, an address to poll, a final state.

The work is done before the answer is sent. So an operation is only a signed name, and the server keeps no list. Clients
get one all the same, because older SDKs misread a creation that is complete at once.
"""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.scope import LOCATION, SUBSCRIPTION_PATH, Name, WorkspaceScope
from batchtwin.azure.rest.state import AppState, State
from batchtwin.azure.rest.tokens import OPERATION
from batchtwin.deployment.reference import PROVIDER

SECONDS = 3600
# Without it the SDK waits for half a minute. `Retry-After` has whole seconds, and each creation would cost one.
RETRY_AFTER = {"x-ms-retry-after-ms": "50"}
PATH = f"/providers/{PROVIDER}/locations/{LOCATION}/operations"

router = APIRouter()


def created(state: AppState, scope: WorkspaceScope, resource: dict[str, Any], *, is_new: bool) -> Response:
    """Return the answer to a PUT: the resource, in the state Creating or Updating."""
    provisioning = "Creating" if is_new else "Updating"
    body = {**resource, "properties": {**resource["properties"], "provisioningState": provisioning}}
    return JSONResponse(body, 201 if is_new else 200, _headers(state, scope))


def accepted(state: AppState, scope: WorkspaceScope) -> Response:
    """Return the answer to a DELETE or an action."""
    headers = _headers(state, scope)
    return Response(status_code=202, headers={**headers, "Location": headers["Azure-AsyncOperation"]})


def _headers(state: AppState, scope: WorkspaceScope) -> dict[str, str]:
    name = state.tokens.issue(OPERATION, SECONDS, jti=uuid.uuid4().hex)
    url = f"{scope.origin}{SUBSCRIPTION_PATH.format(subscription=scope.subscription)}{PATH}/{name}"
    return {"Azure-AsyncOperation": url, **RETRY_AFTER}


@router.get(f"{SUBSCRIPTION_PATH}{PATH}/{{operation}}")
def operation(state: State, subscription: Name, operation: str) -> dict[str, Any]:
    """The state of an operation."""
    claims = state.tokens.claims(OPERATION, operation)
    if claims is None:
        raise ArmError(404, "ResourceNotFound", "there is no such operation, or it ended long ago")
    return {"id": f"{SUBSCRIPTION_PATH.format(subscription=subscription)}{PATH}/{claims['jti']}", "status": "Succeeded"}
