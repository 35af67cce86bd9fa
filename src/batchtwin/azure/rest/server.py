"""`batchtwin serve`: two listeners in one process, until SIGINT or SIGTERM. Jobs are separate processes."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from batchtwin.azure.blob.sas import Sas
from batchtwin.azure.connection import FOLDER, LOOPBACK, Connection, NoServerError, secret_of
from batchtwin.azure.rest import app
from batchtwin.azure.rest.connections import BoundedSocket, HandshakeTimeoutLoop, HeaderTimeoutProtocol
from batchtwin.azure.rest.state import AppState
from batchtwin.azure.rest.tls import ServerCertificate
from batchtwin.azure.rest.tokens import Tokens
from batchtwin.locks import hold_folder
from batchtwin.workspace.datastores import ARTIFACTS, DEFAULT
from batchtwin.workspace.workspace import Workspace

ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
# For running requests. Idle connections of clients stay open without end.
GRACE_SECONDS = 1
BACKLOG = 2048


def serve(workspace: Workspace, host: str, https_port: int, http_port: int, show: Callable[[Connection], None]) -> None:
    """Serve a workspace until SIGINT or SIGTERM; `show` is called once it listens. Port 0 is any that is free.

    The listener without TLS is for this machine alone, whatever `host` is.

    Raises:
        NoServerError: a port is taken, or the workspace has a server already.
    """
    folder = workspace.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)

    def served(holder: str) -> NoServerError:
        return NoServerError(f"{folder.parent}: is served by process {holder} already")

    # A workspace is one state, with one set of ports.
    with hold_folder(folder, served), _listen(host, https_port) as secure, _listen(LOOPBACK, http_port) as plain:
        connection = Connection(folder, _name(host), secure.getsockname()[1], plain.getsockname()[1])
        names = _names(host)
        certificate = ServerCertificate.issue(names)
        certificate.write_bundle(connection.bundle)
        for name in (DEFAULT, ARTIFACTS):
            workspace.datastores.make(name)
        state = AppState(
            workspace,
            Tokens(secrets.token_bytes(32)),
            Sas(secrets.token_bytes(32)),
            connection.origin,
            connection.http_port,
            secret_of(folder),
        )
        connection.write()
        service = _Listener(app.arm_app(state, names), secure, certificate.context())
        beside = _Listener(app.plain_app(state, names, connection.origin, secret_of(folder)), plain)
        with asyncio.Runner(loop_factory=HandshakeTimeoutLoop) as runner:
            runner.run(_run((service, beside), lambda: show(connection)))


class _Listener(uvicorn.Server):
    """A uvicorn server on a bound socket. Signals are handled once, for all listeners."""

    def __init__(self, application: FastAPI, sock: socket.socket, context: ssl.SSLContext | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=HeaderTimeoutProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
                ssl_context_factory=(lambda config, default: context) if context else None,
            )
        )
        self._sock = sock

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_run`."""
        yield

    async def listen(self) -> None:
        """Serve until `should_exit`."""
        await self.serve([self._sock])


async def _run(listeners: tuple[_Listener, ...], report: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        for listener in listeners:
            listener.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
    while not all(listener.started for listener in listeners):
        await asyncio.sleep(0.01)
        for task in tasks:
            if task.done():
                task.result()
    report()
    await asyncio.gather(*tasks)


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a listening socket; it is closed at the end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets with an explicit protocol; without it each small answer takes 40 ms more.
    with BoundedSocket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            text = f"{host}:{port}: {reason}; name other ports: --port N --http-port N (0: any that is free)"
            raise NoServerError(text) from None
        yield sock


def _name(host: str) -> str:
    """Return the server's name for clients on this machine."""
    return "localhost" if host in (LOOPBACK, "::1", *ANY) else host


def _names(host: str) -> list[str]:
    """Return the names of the server: its certificate holds them, and `Host` must be one of them."""
    names = [socket.gethostname()] if host in ANY else []
    return list(dict.fromkeys(["localhost", LOOPBACK, "::1", _name(host), *names]))
