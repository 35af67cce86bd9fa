"""Who may see the pages: a link with a key that is valid for minutes, exchanged for a cookie.

The key is in the address only until the exchange, which redirects: it is in no history and no Referer. The cookie is
sent to the pages alone, and by no other site.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from batchtwin.azure.connection import LOOPBACK
from batchtwin.azure.rest.pages.render import MESSAGE_HEADERS, message
from batchtwin.azure.rest.scope import HOST
from batchtwin.azure.rest.state import AppState, State

ROOT = "/web/"
# Uses of a token: of a link, and of a cookie.
LINK, SESSION = "page link", "page session"
LINK_SECONDS, SESSION_SECONDS = 600, 8 * 3600


class NoSessionError(Exception):
    """A page was requested without a valid cookie."""


def job_path(name: str) -> str:
    """The path of a job's page."""
    return f"{ROOT}jobs/{quote(name, safe='')}"


def model_path(name: str, version: str) -> str:
    """The path of the page of a registered model."""
    return f"{ROOT}models/{quote(name, safe='')}/{quote(version, safe='')}"


def link(state: AppState, origin: str, path: str = ROOT) -> str:
    """Return an address that opens a page, for some minutes.

    `origin` is how the client reached the service. For a client on this machine it is the listener without TLS, which
    only this machine reaches: a browser does not know the certificate of the other.
    """
    host = HOST.fullmatch(origin.partition("://")[2])
    if host is not None and host["name"].lower() in {"localhost", LOOPBACK} and state.plain_port:
        origin = f"http://{LOOPBACK}:{state.plain_port}"
    return f"{origin}{ROOT}open?{urlencode({'key': state.tokens.issue(LINK, LINK_SECONDS, path=path)})}"


def exchange(state: AppState, request: Request, key: str) -> RedirectResponse:
    """Return the answer to a link: the cookie, and the way to the page.

    Raises:
        NoSessionError: the key is not of this server, or has expired.
    """
    claims = state.tokens.claims(LINK, key)
    path = str(claims.get("path", "")) if claims else ""
    if not path.startswith(ROOT):
        raise NoSessionError
    answer = RedirectResponse(path, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    answer.set_cookie(
        _cookie(request),
        state.tokens.issue(SESSION, SESSION_SECONDS),
        max_age=SESSION_SECONDS,
        path=ROOT.rstrip("/"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _cookie(request: Request) -> str:
    """The name of the cookie: cookies know no ports, and two servers may run."""
    return f"batchtwin-{request.url.port or 443}"


async def session(request: Request, state: State) -> None:
    """Refuse a request without a valid cookie.

    Raises:
        NoSessionError: it has none.
    """
    if state.tokens.claims(SESSION, request.cookies.get(_cookie(request), "")) is None:
        raise NoSessionError


Session = Depends(session)


async def refuse(request: Request, error: Exception) -> HTMLResponse:
    """Answer a request without a cookie: how to get one.

    A browser holds the cookie back if another site led to the page, even after the redirect. The page's own reload
    sends it.
    """
    if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate":
        headers = {**MESSAGE_HEADERS, "Refresh": "0"}
        return HTMLResponse(message("One moment", "The page is loaded again."), 200, headers)
    text = "This page needs a link with a key, valid for ten minutes. A new one: batchtwin ml job show --web -n JOB"
    return HTMLResponse(message("No access", text), 401, MESSAGE_HEADERS)
