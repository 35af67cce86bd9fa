"""What every request passes before it is looked at: a host that can be one, and a body that is not too long."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchtwin.azure.rest.errors import answer
from batchtwin.azure.rest.scope import BLOBS, HOST

# For documents; blobs have limits of their own.
LARGEST_BODY = 4 * 1024 * 1024
# Of a body that is refused: who still sends does not hear why.
DRAINED = 64 * 1024 * 1024


class BodyLimit:
    """ASGI middleware. The largest body in bytes."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not HOST.fullmatch(headers.get(b"host", "")):
            await answer(400, "InvalidRequest", "Host: is missing or is no host")(scope, receive, send)
        elif scope["path"].startswith(f"{BLOBS}/"):
            await self._app(scope, receive, send)
        elif self._announces_too_much(headers.get(b"content-length", "0")):
            await _drain(receive)
            await answer(413, "RequestEntityTooLarge", self._text())(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _announces_too_much(self, length: str) -> bool:
        return length.isdecimal() and int(length[:20]) > self._largest

    def _counted(self, receive: Receive) -> Receive:
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self._largest:
                if message.get("more_body", False):
                    await _drain(receive)
                raise HTTPException(413, self._text())
            return message

        return counted

    def _text(self) -> str:
        return f"the body may have {self._largest} bytes at most"


async def _drain(receive: Receive) -> None:
    """Take the rest of a body, and drop it, as far as that is bearable."""
    got = 0
    while got <= DRAINED:
        message = await receive()
        got += len(message.get("body", b""))
        if not message.get("more_body", False):
            return
