"""Requests of commands to the running server: a link to a page, a token; and how to start a server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from batchtwin.azure.connection import CHECK_SECONDS, IDENTITY_PATH, LOOPBACK, Connection, NoServerError, secret_of
from batchtwin.subprocesses import batchtwin_command

LINK_PATH = "/web/link"


def page_link(workspace: Path, job: str) -> str:
    """Return an address that opens a job's page, for some minutes.

    Raises:
        NoServerError: no server of this workspace answers.
    """
    return str(_answer(workspace, LINK_PATH, "url", job=job)["url"])


def access_token(workspace: Path, resource: str) -> tuple[str, int]:
    """Return a token for requests to the server, and when it expires, in seconds since 1970.

    Raises:
        NoServerError: no server of this workspace answers.
    """
    answer = _answer(workspace, IDENTITY_PATH, "access_token", resource=resource)
    return str(answer["access_token"]), int(answer["expires_on"])


def _answer(workspace: Path, path: str, key: str, **query: str) -> dict[str, Any]:
    """Request an object that has `key` from the server, with the secret of the workspace."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, Request, build_opener

    connection = Connection.read(workspace)
    url = f"http://{LOOPBACK}:{connection.http_port}{path}?{urlencode(query)}"
    request = Request(url, headers={"X-IDENTITY-HEADER": secret_of(connection.folder)})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=CHECK_SECONDS) as answer:
            data: dict[str, Any] = json.load(answer)
            return {key: data[key], **data}
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise NoServerError(f"{connection.origin}: not reachable: {error}; start it: batchtwin serve") from None


def start_server() -> int:
    """Start `batchtwin serve` on free ports for the workspace of the environment; it stays. Return its process id.

    Raises:
        NoServerError: it does not start.
    """
    process = subprocess.Popen(  # noqa: S603 - this Python
        batchtwin_command("serve", "--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - a pipe
    with process.stdout:
        if not process.stdout.readline().startswith(b"https://"):
            raise NoServerError("batchtwin serve does not start; run it to see why")
    return process.pid
