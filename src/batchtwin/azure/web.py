"""The pages of `batchtwin serve` for commands: a link from the server that runs, or from one that is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from batchtwin.azure.connection import CHECK_SECONDS, LOOPBACK, Connection, NoServerError, secret_of

LINK_PATH = "/web/link"


def page_link(workspace: Path, job: str) -> str:
    """Return an address that opens a job's page, for some minutes.

    Raises:
        NoServerError: no server of this workspace answers.
    """
    from http.client import HTTPException
    from urllib.request import ProxyHandler, Request, build_opener

    connection = Connection.read(workspace)
    url = f"http://{LOOPBACK}:{connection.http_port}{LINK_PATH}?{urlencode({'job': job})}"
    request = Request(url, headers={"X-IDENTITY-HEADER": secret_of(connection.folder)})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=CHECK_SECONDS) as answer:
            return str(json.load(answer)["url"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise NoServerError(f"{connection.origin}: not reachable: {error}; start it: batchtwin serve") from None


def start_server() -> int:
    """Start `batchtwin serve` on free ports for the workspace of the environment; it stays. Return its process id.

    Raises:
        NoServerError: it does not start.
    """
    words = [sys.executable, "-P", "-c", "from batchtwin.cli import main; main()", "serve", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603 - this Python
        words,
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
