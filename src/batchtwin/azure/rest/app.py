"""The two applications put together: the service, and what the SDK asks for without TLS."""

from __future__ import annotations

from fastapi import FastAPI

from batchtwin import __version__
from batchtwin.azure.blob import routes as blobs
from batchtwin.azure.rest import auth as identity
from batchtwin.azure.rest import errors
from batchtwin.azure.rest.auth import BearerAuth
from batchtwin.azure.rest.middleware import BodyLimit
from batchtwin.azure.rest.routes import (
    assets,
    codes,
    computes,
    deployments,
    discovery,
    endpoints,
    environments,
    history,
    invocations,
    jobs,
    logs,
    operations,
    workspaces,
)
from batchtwin.azure.rest.scope import BLOBS
from batchtwin.azure.rest.state import Services

# Asked for without a token: blobs and logs have a signature in their address, and who is to get a token has to be told
# where from.
OPEN = (f"{BLOBS}/", "/logs/", "/discovery/")
GUARDED = (
    workspaces,
    computes,
    endpoints,
    deployments,
    environments,
    codes,
    invocations,
    jobs,
    history,
    operations,
    # Last, for its routes are for any collection.
    assets,
)


def service(services: Services) -> FastAPI:
    """The service: ARM, run history, blobs."""
    app = _application("batchtwin", services)
    for module in (discovery, logs, *GUARDED):
        app.include_router(module.router)
    app.include_router(blobs.router(services.workspace.datastores.root, services.sas), prefix=BLOBS)
    app.add_middleware(BearerAuth, tokens=services.tokens, open=OPEN)
    app.add_middleware(BodyLimit)
    return app


def without_tls(services: Services, origin: str, secret: str) -> FastAPI:
    """What the SDK asks for without TLS; `origin` is the service's."""
    app = _application("batchtwin identity", services)
    app.include_router(identity.router(origin, secret))
    app.add_middleware(BodyLimit)
    return app


def _application(title: str, services: Services) -> FastAPI:
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None)
    app.state.services = services
    errors.add_to(app)
    return app
