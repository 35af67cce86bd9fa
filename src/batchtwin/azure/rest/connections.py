"""Limits of connections, so that clients that send nothing cannot use up the descriptors of the server."""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# For a TLS handshake, and for the headers of a request from its first byte on.
HEADER_SECONDS = 10.0
MOST_CONNECTIONS = 1024
# The rest of the descriptors is for files, the database and jobs.
SHARE_OF_DESCRIPTORS = 4


def connection_limit() -> int:
    """Return how many connections a listener may have at a time: a share of the descriptors of this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // SHARE_OF_DESCRIPTORS)


class BoundedSocket(socket.socket):
    """A listening socket that closes connections above its limit as soon as it accepts them."""

    def __init__(self, family: int, type: int, proto: int) -> None:
        super().__init__(family, type, proto)
        self._limit = connection_limit()
        self._connections: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: none is waiting, or there are too many.
        """
        connection, address = super().accept()
        self._connections = [open_one for open_one in self._connections if open_one.fileno() >= 0]
        if len(self._connections) >= self._limit:
            connection.close()
            raise BlockingIOError
        self._connections.append(connection)
        return connection, address


class HeaderTimeoutProtocol(H11Protocol):
    """HTTP that closes a connection whose next request is not complete to the end of its headers in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first ones after a response start a new wait."""
        before = self.cycle
        if self._timer is None and (before is None or before.response_complete):
            self._start_timer()
        super().data_received(data)
        if self.cycle is not before:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HandshakeTimeoutLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers end a TLS handshake after `HEADER_SECONDS`, not after a minute."""

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        """Create a server."""
        if kwargs.get("ssl"):
            kwargs.setdefault("ssl_handshake_timeout", HEADER_SECONDS)
        return await super().create_server(*args, **kwargs)
