"""Long-running operations, as ARM has them: an answer at once, an address to ask, and an end.

What they do is done when the answer is given; so an operation is a signed name and there is nothing to keep. Clients
see one all the same: older SDKs misread a creation that has ended when it is answered.
"""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from batchtwin.azure.rest.errors import Refusal
from batchtwin.azure.rest.scope import LOCATION, PROVIDER, SUBSCRIPTION_PATH, Name, WorkspaceScope
from batchtwin.azure.rest.state import AppState, Services
from batchtwin.azure.rest.tokens import OPERATION

SECONDS = 3600
# Without it the SDK waits for half a minute. `Retry-After` has whole seconds, and each creation would cost one.
RETRY_AFTER = {"x-ms-retry-after-ms": "50"}
PATH = f"/providers/{PROVIDER}/locations/{LOCATION}/operations"

router = APIRouter()


def created(services: Services, place: WorkspaceScope, resource: dict[str, Any], *, is_new: bool) -> Response:
    """The answer to a PUT: the resource, which is not yet what it will be."""
    state = "Creating" if is_new else "Updating"
    body = {**resource, "properties": {**resource["properties"], "provisioningState": state}}
    return JSONResponse(body, 201 if is_new else 200, _headers(services, place))


def accepted(services: Services, place: WorkspaceScope) -> Response:
    """The answer to a DELETE or to an action."""
    headers = _headers(services, place)
    return Response(status_code=202, headers={**headers, "Location": headers["Azure-AsyncOperation"]})


def _headers(services: Services, place: WorkspaceScope) -> dict[str, str]:
    name = services.tokens.issue(OPERATION, SECONDS, jti=uuid.uuid4().hex)
    url = f"{place.origin}{SUBSCRIPTION_PATH.format(subscription=place.subscription)}{PATH}/{name}"
    return {"Azure-AsyncOperation": url, **RETRY_AFTER}


@router.get(f"{SUBSCRIPTION_PATH}{PATH}/{{operation}}")
def operation(services: AppState, subscription: Name, operation: str) -> dict[str, Any]:
    """How an operation stands."""
    found = services.tokens.claims(OPERATION, operation)
    if found is None:
        raise Refusal(404, "ResourceNotFound", "there is no such operation, or it ended long ago")
    return {"id": f"{SUBSCRIPTION_PATH.format(subscription=subscription)}{PATH}/{found['jti']}", "status": "Succeeded"}
