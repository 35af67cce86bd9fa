"""The two ASGI applications: the service, and the metadata and tokens that the SDK fetches without TLS."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from batchtwin import __version__
from batchtwin.azure.blob import routes as blobs
from batchtwin.azure.rest import auth, errors
from batchtwin.azure.rest.auth import BearerAuth
from batchtwin.azure.rest.middleware import BodyLimit, HostCheck
from batchtwin.azure.rest.pages import routes as pages
from batchtwin.azure.rest.pages.render import Reports
from batchtwin.azure.rest.pages.session import ROOT, NoSessionError, refuse
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
    unsupported,
    workspaces,
)
from batchtwin.azure.rest.scope import BLOBS
from batchtwin.azure.rest.state import AppState

# Paths without a token: pages have a cookie, URLs of blobs and logs carry a signature, and discovery comes before any
# token.
OPEN = (f"{BLOBS}/", "/logs/", "/discovery/", ROOT)
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
    unsupported,
    # Last: its routes match any collection.
    assets,
)


def arm_app(state: AppState, hosts: Sequence[str]) -> FastAPI:
    """Return the service: ARM, run history, blobs. `hosts` are the names that clients may call it by."""
    app = _application("batchtwin", state)
    _add_pages(app)
    for module in (discovery, logs, *GUARDED):
        app.include_router(module.router)
    app.include_router(blobs.router(state.workspace.datastores.root, state.sas), prefix=BLOBS)
    app.add_middleware(BearerAuth, tokens=state.tokens, open=OPEN)
    app.add_middleware(BodyLimit)
    app.add_middleware(HostCheck, hosts=hosts)
    return app


def plain_app(state: AppState, hosts: Sequence[str], origin: str, secret: str) -> FastAPI:
    """Return what the SDK asks for without TLS; `origin` is that of the service."""
    app = _application("batchtwin identity", state)
    app.include_router(auth.router(origin, secret))
    _add_pages(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(HostCheck, hosts=hosts)
    return app


def _add_pages(app: FastAPI) -> None:
    """Add the pages: a browser does not know the certificate, so it uses the listener without TLS."""
    app.state.reports = Reports()
    app.add_exception_handler(NoSessionError, refuse)
    app.include_router(pages.router)


def _application(title: str, state: AppState) -> FastAPI:
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None)
    app.state.app_state = state
    errors.add_handlers(app)
    return app
