"""The routes of the blob service: the part of Azure Storage that the SDKs of Azure ML use, over plain folders."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from batchtwin.azure.blob import headers as blob_headers
from batchtwin.azure.blob import responses
from batchtwin.azure.blob import xml as blob_xml
from batchtwin.azure.blob.blocks import commit_blocks, put_block
from batchtwin.azure.blob.containers import BlobFiles, Sink
from batchtwin.azure.blob.errors import BlobError, blob_not_found, header_refused, query_refused
from batchtwin.azure.blob.listing import MOST, ListRequest, page
from batchtwin.azure.blob.names import block_key, check_blob, check_container, is_blob
from batchtwin.azure.blob.properties import Blob
from batchtwin.azure.blob.sas import Sas
from batchtwin_node.codec import value_object

PUT_BYTES = 256 << 20
_BUFFER = 1 << 20
_METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]


def router(root: Path, sas: Sas, put_bytes: int = PUT_BYTES) -> APIRouter:
    """Return the routes of a blob service, to be mounted under the name of its account.

    A container is a folder in `root`, a blob a file in it. A request needs a token of `sas` for its container. One PUT
    takes at most `put_bytes`; larger blobs come in blocks.
    """
    service = _BlobService(BlobFiles(root), sas, put_bytes)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/{container}", service.answer, methods=_METHODS)
    routes.add_api_route("/{container}/{blob:path}", service.answer, methods=_METHODS)
    return routes


@value_object
class _Call:
    """An authorized request; `blob` is empty for a request about the container."""

    request: Request
    container: str
    blob: str

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    def may_read(self, blob: Blob) -> None:
        blob_headers.check_read(self.request.headers, blob)

    def may_write(self, blob: Blob | None) -> None:
        blob_headers.check_write(self.request.headers, blob)


class _BlobService:
    def __init__(self, files: BlobFiles, sas: Sas, put_bytes: int) -> None:
        self._files = files
        self._sas = sas
        self._put_bytes = put_bytes
        # (method, kind, `comp`) -> (permission, handler).
        self._operations: dict[tuple[str, str, str], tuple[str, Callable[[_Call], Awaitable[Response]]]] = {
            ("PUT", "container", ""): ("c", self._create_container),
            ("GET", "container", "list"): ("l", self._list),
            ("GET", "blob", ""): ("r", self._get),
            ("HEAD", "blob", ""): ("r", self._head),
            ("PUT", "blob", ""): ("w", self._put),
            ("PUT", "blob", "block"): ("w", self._put_block),
            ("PUT", "blob", "blocklist"): ("w", self._commit),
            ("PUT", "blob", "metadata"): ("w", self._set_metadata),
            ("DELETE", "blob", ""): ("d", self._delete),
        }

    async def answer(self, request: Request) -> Response:
        """Answer a request; errors have the service's own form."""
        try:
            response = await self._answer(request)
        except BlobError as error:
            response = responses.refusal(error, request.method)
        except OSError as error:
            response = responses.refusal(responses.of_system(error), request.method)
        except ClientDisconnect:
            response = Response(status_code=400)
        return responses.stamp(response, request.headers)

    async def _answer(self, request: Request) -> Response:
        if request.scope["path"].endswith("\n"):
            # Routes are matched without it.
            raise BlobError(400, "InvalidResourceName", "The path must not end in a line break.")
        if not _is_utf8(request.scope["raw_path"]):
            raise BlobError(400, "InvalidResourceName", "The path must be UTF-8, percent-encoded.")
        container = check_container(request.path_params["container"])
        call = _Call(request, container, request.path_params.get("blob", ""))
        about = "blob" if call.blob else call.query("restype")
        operation = self._operations.get((request.method, about, call.query("comp")))
        self._authorize(call, operation[0] if operation else "")
        if operation is None:
            text = f"{request.method} restype={call.query('restype')} comp={call.query('comp')}"
            raise BlobError(405, "UnsupportedHttpVerb", f"{text}: is not imitated here.")
        for name in ("snapshot", "versionid"):
            if call.query(name):
                raise query_refused(name, call.query(name)[:80], "none: there are no snapshots or versions here")
        blob_headers.refuse_unknown(request.headers)
        if call.blob.endswith("/") and request.method in {"GET", "HEAD"} and is_blob(call.blob.rstrip("/")):
            raise blob_not_found(container, call.blob)  # so the SDK asks whether a folder is a blob
        if call.blob:
            check_blob(call.blob)
        return await operation[1](call)

    def _authorize(self, call: _Call, permission: str) -> None:
        query = call.request.query_params
        if "sig" not in query:
            raise BlobError(401, "NoAuthenticationInformation", "The request needs the SAS token of its container.")
        if not self._sas.check(call.container, query):
            raise BlobError(403, "AuthenticationFailed", "The SAS token is none for this container, or has expired.")
        if not self._sas.check(call.container, query, permission):
            raise BlobError(
                403, "AuthorizationPermissionMismatch", f"The SAS token lacks the permission {permission!r}."
            )

    async def _create_container(self, call: _Call) -> Response:
        if not self._files.create_container(call.container):
            raise BlobError(409, "ContainerAlreadyExists", f"{call.container}: there is such a container already.")
        return Response(status_code=201)

    async def _list(self, call: _Call) -> Response:
        include = set(filter(None, call.query("include").split(",")))
        if include - {"metadata"}:
            raise query_refused("include", call.query("include")[:80], "metadata")
        request = ListRequest(call.query("prefix"), call.query("delimiter"), _marker(call), _most(call))
        listed = await run_in_threadpool(page, self._files, call.container, request)
        marker = base64.urlsafe_b64encode(listed.next.encode()).decode()
        body = blob_xml.list_body(call.container, request, listed, marker, "metadata" in include)
        return Response(body, media_type=blob_xml.MEDIA_TYPE)

    async def _get(self, call: _Call) -> Response:
        blob, file = await run_in_threadpool(self._files.open, call.container, call.blob)
        try:
            call.may_read(blob)
            return await responses.content(blob, file, call.request.headers)
        except BaseException:
            file.close()
            raise

    async def _head(self, call: _Call) -> Response:
        blob = await run_in_threadpool(self._files.get, call.container, call.blob)
        call.may_read(blob)
        return responses.properties(blob)

    async def _put(self, call: _Call) -> Response:
        kind = call.request.headers.get("x-ms-blob-type", "")
        if kind != "BlockBlob":
            raise header_refused("x-ms-blob-type", kind[:80], "BlockBlob")
        headers = call.request.headers
        # Before the body is read: an early refusal saves an upload.
        call.may_write(await run_in_threadpool(self._files.look, call.container, call.blob))
        with self._files.sink() as sink:
            await self._receive(call, sink)
            md5 = sink.md5.digest()
            properties = blob_headers.properties(headers, headers.get("content-type", ""), md5)
            blob = await run_in_threadpool(
                self._files.commit, call.container, call.blob, sink, properties, call.may_write
            )
        return responses.created(blob, {"content-md5": base64.b64encode(md5).decode()})

    async def _put_block(self, call: _Call) -> Response:
        key = block_key(call.query("blockid"))
        self._files.folder(call.container)
        with self._files.sink() as sink:
            await self._receive(call, sink)
            await run_in_threadpool(put_block, self._files, call.container, call.blob, key, sink)
            md5 = base64.b64encode(sink.md5.digest()).decode()
        return Response(status_code=201, headers={"content-md5": md5, "x-ms-request-server-encrypted": "false"})

    async def _commit(self, call: _Call) -> Response:
        properties = blob_headers.properties(call.request.headers)
        length = _length(call, blob_xml.BLOCK_LIST_BYTES)
        body = await call.request.body() if length else b""
        keys = await run_in_threadpool(blob_xml.block_keys, body)
        blob = await run_in_threadpool(
            commit_blocks, self._files, call.container, call.blob, keys, properties, call.may_write
        )
        return responses.created(blob)

    async def _set_metadata(self, call: _Call) -> Response:
        metadata = blob_headers.metadata(call.request.headers)
        blob = await run_in_threadpool(self._files.change, call.container, call.blob, metadata, call.may_write)
        return responses.changed(blob)

    async def _delete(self, call: _Call) -> Response:
        await run_in_threadpool(self._files.delete, call.container, call.blob, call.may_write)
        return Response(status_code=202)

    async def _receive(self, call: _Call, sink: Sink) -> None:
        """Read the body of a request into the sink, a megabyte at a time."""
        _length(call, self._put_bytes)
        buffer = bytearray()
        async for chunk in call.request.stream():
            buffer += chunk
            if len(buffer) >= _BUFFER:
                await run_in_threadpool(sink.write, buffer)
                buffer = bytearray()
        await run_in_threadpool(sink.write, buffer)
        blob_headers.check_content_md5(call.request.headers, sink.md5.digest())


def _is_utf8(path: bytes) -> bool:
    """Whether a percent-encoded path is text; the HTTP server replaces invalid characters."""
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _length(call: _Call, most: int) -> int:
    """Return the length of the body in bytes; the HTTP server enforces it.

    Raises:
        BlobError: 411, no length; 400, a chunked body, which may have any length; 413, too long.
    """
    text = call.request.headers.get("content-length", "")
    if not text.isdecimal():
        raise BlobError(411, "MissingContentLengthHeader", "content-length: is missing; say how long the body is.")
    if chunked := call.request.headers.get("transfer-encoding"):
        raise header_refused("transfer-encoding", chunked[:80], "content-length alone to say how long the body is")
    if int(text) > most:
        raise BlobError(413, "RequestBodyTooLarge", f"{text} bytes; at most {most} in one request: send blocks.")
    return int(text)


def _marker(call: _Call) -> str:
    text = call.query("marker")
    try:
        return base64.urlsafe_b64decode(text).decode()
    except (binascii.Error, ValueError):
        raise query_refused("marker", text[:80], "the NextMarker of the page before") from None


def _most(call: _Call) -> int:
    text = call.query("maxresults") or str(MOST)
    if not (text.isdecimal() and 1 <= len(text) <= 9 and int(text) > 0):
        raise BlobError(400, "OutOfRangeQueryParameterValue", f"maxresults={text[:80]!r}; must be 1 to {MOST}.")
    return min(int(text), MOST)
