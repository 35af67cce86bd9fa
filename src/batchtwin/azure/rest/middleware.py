"""Checks before a request is handled: a host that this server has, and a body that is not too long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchtwin.azure.rest.errors import answer
from batchtwin.azure.rest.scope import BLOBS, HOST

# In bytes.
LARGEST_BODY = 4 * 1024 * 1024
# The part of a refused body that is read: a client that is still sending does not read the answer.
DRAINED = 64 * 1024 * 1024
DRAIN_SECONDS = 10


class HostCheck:
    """ASGI middleware that refuses requests for other hosts, so that web pages cannot reach it by DNS rebinding."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400."""
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            text = f"Host: must be one of {', '.join(sorted(self._hosts))}"
            await answer(400, "InvalidRequest", text)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        return match is not None and match["name"].strip("[]").lower() in self._hosts


class BodyLimit:
    """ASGI middleware that refuses bodies above `largest` bytes. Blobs have limits of their own."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"].startswith(f"{BLOBS}/"):
            await self._app(scope, receive, send)
        elif self._announces_too_much(headers.get(b"content-length", "0")):
            await _drain(receive)
            await answer(413, "RequestEntityTooLarge", self._text())(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _announces_too_much(self, length: str) -> bool:
        return length.isdecimal() and int(length[:20]) > self._largest

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._largest:
                if message.get("more_body", False):
                    await _drain(receive)
                raise HTTPException(413, self._text())
            return message

        return counted

    def _text(self) -> str:
        return f"the body may have {self._largest} bytes at most"


async def _drain(receive: Receive) -> None:
    """Read the rest of a body and drop it, within limits of bytes and time."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size <= DRAINED:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
