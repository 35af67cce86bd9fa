"""Responses of the blob service: a blob's headers, its bytes, errors."""

from __future__ import annotations

import base64
import errno
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from fastapi import Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from batchtwin.azure.blob import headers as blob_headers
from batchtwin.azure.blob import xml as blob_xml
from batchtwin.azure.blob.errors import BlobError, header_refused
from batchtwin.azure.blob.properties import CONTENT_TYPE, Blob
from batchtwin.azure.blob.sas import VERSION

_CHUNK = 1 << 20
# The largest range whose MD5 the service computes.
_MD5_BYTES = 4 << 20
_NAMES_TOO_LONG = {errno.ENAMETOOLONG}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def stamp(response: Response, request_headers: Mapping[str, str]) -> Response:
    """Add the headers of every response."""
    response.headers["x-ms-version"] = request_headers.get("x-ms-version", VERSION)
    response.headers["x-ms-request-id"] = str(uuid.uuid4())
    response.headers["x-content-type-options"] = "nosniff"
    if client_id := request_headers.get("x-ms-client-request-id"):
        response.headers["x-ms-client-request-id"] = client_id
    return response


def refusal(error: BlobError, method: str) -> Response:
    """Return the response for an error."""
    headers = {**error.headers, "x-ms-error-code": error.code}
    if error.status == 304 or method == "HEAD":
        return Response(status_code=error.status, headers=headers)
    return Response(blob_xml.error_body(error), error.status, headers, blob_xml.MEDIA_TYPE)


def of_system(error: OSError) -> BlobError:
    """Return the error for a refusal of the file system."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NAMES_TOO_LONG:
        return BlobError(400, "InvalidResourceName", f"The name is too long for this file system: {reason}.")
    if error.errno in _FULL:
        return BlobError(409, "OutOfSpace", f"The server cannot store it: {reason}. Make room, then send it again.")
    if error.errno in _FORBIDDEN:
        return BlobError(409, "NotWritable", f"The server may not write or read its own folder: {reason}.")
    return BlobError(503, "ServerBusy", f"The server could not reach its files: {reason}.")


def created(blob: Blob, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a write."""
    return Response(
        status_code=201, headers={**_version(blob), **(headers or {}), "x-ms-request-server-encrypted": "false"}
    )


def changed(blob: Blob) -> Response:
    """Return the response to a change of metadata."""
    return Response(status_code=200, headers=_version(blob))


def properties(blob: Blob) -> Response:
    """Return the response to HEAD: the headers of the whole blob, and no body."""
    return Response(status_code=200, headers=_headers(blob) | {"content-length": str(blob.size)})


async def content(blob: Blob, file: BinaryIO, request_headers: Mapping[str, str]) -> Response:
    """Return the bytes of a GET, all or a range; the file is closed when they are sent.

    Raises:
        BlobError: 400 or 416, the range cannot be sent.
    """
    headers = _headers(blob)
    part = blob_headers.byte_range(request_headers, blob.size)
    if request_headers.get("x-ms-range-get-content-md5", "").lower() == "true":
        if part is None or part[1] - part[0] > _MD5_BYTES:
            raise header_refused("x-ms-range-get-content-md5", "true", f"a range of at most {_MD5_BYTES} bytes with it")
    if part is None:
        return StreamingResponse(_chunks(file, blob.size), 200, headers | {"content-length": str(blob.size)})
    first, end = part
    if md5 := headers.pop("content-md5", None):
        headers["x-ms-blob-content-md5"] = md5
    file.seek(first)
    if "x-ms-range-get-content-md5" in request_headers:
        body = await run_in_threadpool(file.read, end - first)
        file.seek(first)
        headers["content-md5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers |= {"content-range": f"bytes {first}-{end - 1}/{blob.size}", "content-length": str(end - first)}
    return StreamingResponse(_chunks(file, end - first), 206, headers)


async def _chunks(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    with file:
        while size and (chunk := await run_in_threadpool(file.read, min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk


def _version(blob: Blob) -> dict[str, str]:
    return {"etag": blob.etag, "last-modified": blob.last_modified}


def _headers(blob: Blob) -> dict[str, str]:
    metadata = {f"{blob_headers.METADATA}{name}": value for name, value in blob.properties.metadata.items()}
    return {
        "content-type": CONTENT_TYPE,
        **blob.properties.headers,
        **metadata,
        **_version(blob),
        "accept-ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "false",
    }
