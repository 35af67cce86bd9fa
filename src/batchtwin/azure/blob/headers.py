"""Headers of blob requests: conditions, ranges, content headers, metadata. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from batchtwin.azure.blob.errors import BlobError, condition_not_met, header_refused
from batchtwin.azure.blob.properties import CONTENT_TYPE, Blob, BlobProperties

METADATA = "x-ms-meta-"
METADATA_BYTES = 8192
# Content headers that an upload sets by `x-ms-blob-{name}` and that a download returns.
_CONTENT = ("content-type", "content-encoding", "content-language", "content-disposition", "cache-control")
# Headers of features that are not imitated. To ignore them would change the meaning of the request.
_UNKNOWN = re.compile(
    r"x-ms-(copy-source.*|source-.*|lease-id|if-tags|encryption-.*|structured-body|content-crc64|tags|access-tier|"
    r"immutability-policy-.*|legal-hold)"
)
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


def refuse_unknown(headers: Mapping[str, str]) -> None:
    """Refuse headers of features that are not imitated.

    Raises:
        BlobError: 400, naming the header.
    """
    for name in headers:
        if _UNKNOWN.fullmatch(name.lower()):
            raise BlobError(400, "UnsupportedHeader", f"{name}: leases, copies, tags, tiers and keys are not imitated.")


def properties(headers: Mapping[str, str], content_type: str = "", md5: bytes | None = None) -> BlobProperties:
    """Return the properties of an upload. A header overrides `content_type` and `md5`, the checksum of the content.

    Raises:
        BlobError: 400, a header cannot be used.
    """
    content = {name: headers[f"x-ms-blob-{name}"] for name in _CONTENT if headers.get(f"x-ms-blob-{name}")}
    content.setdefault("content-type", content_type or CONTENT_TYPE)
    md5_header = headers.get("x-ms-blob-content-md5")
    if md5_header:
        _check_md5("x-ms-blob-content-md5", md5_header)
    if md5 or md5_header:
        content["content-md5"] = md5_header or base64.b64encode(md5 or b"").decode()
    return BlobProperties(content, metadata(headers))


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's metadata, with names in lower case.

    Raises:
        BlobError: 400, a name is no identifier, or there is too much.
    """
    values = {
        name[len(METADATA) :].lower(): value for name, value in headers.items() if name.lower().startswith(METADATA)
    }
    for name in values:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            raise BlobError(
                400,
                "InvalidMetadata",
                f"{METADATA}{name}: the name must be a letter or '_', then letters, digits, '_'.",
            )
    if sum(len(name) + len(value) for name, value in values.items()) > METADATA_BYTES:
        raise BlobError(400, "MetadataTooLarge", f"Names and values of metadata: at most {METADATA_BYTES} bytes.")
    return values


def check_content_md5(headers: Mapping[str, str], md5: bytes) -> None:
    """Compare a body's checksum with the client's; that for the blob overrides that for the body.

    Raises:
        BlobError: 400, they differ.
    """
    for name in ("x-ms-blob-content-md5", "content-md5"):
        if md5_header := headers.get(name):
            if _check_md5(name, md5_header) != md5:
                raise BlobError(
                    400, "Md5Mismatch", f"{name}: the bytes that arrived have another MD5; send them again."
                )
            return


def _check_md5(name: str, md5_header: str) -> bytes:
    try:
        value = base64.b64decode(md5_header, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise BlobError(400, "InvalidMd5", f"{name}: {md5_header[:80]!r} is not the base64 of 16 bytes.")
    return value


def byte_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """Return the first byte and the end (exclusive) of the requested range; None for all.

    Raises:
        BlobError: 400, it is invalid; 416, it begins after the end.
    """
    text = headers.get("x-ms-range") or headers.get("range")
    if not text:
        return None
    match = _RANGE.fullmatch(text)
    if not match or (match[2] and int(match[2]) < int(match[1])):
        raise header_refused("range", text[:80], "bytes=FIRST-LAST or bytes=FIRST-")
    first = int(match[1])
    if first >= size:
        raise BlobError(
            416, "InvalidRange", f"The range {text} begins after {size} bytes.", {"content-range": f"bytes */{size}"}
        )
    return first, min(int(match[2]) + 1, size) if match[2] else size


def check_read(headers: Mapping[str, str], blob: Blob) -> None:
    """Check the conditions of a request that reads.

    Raises:
        BlobError: 412; 304 if it has not changed, with its ETag; 400 for an invalid date.
    """
    _check_unchanged(headers, blob)
    others = headers.get("if-none-match")
    since = _date(headers, "if-modified-since")
    if _matches(others, blob) if others else since is not None and blob.modified <= since:
        current = {"etag": blob.etag, "last-modified": blob.last_modified}
        raise BlobError(304, "ConditionNotMet", "Not changed.", current)


def check_write(headers: Mapping[str, str], blob: Blob | None) -> None:
    """Check the conditions of a request that writes; `blob` is the existing one.

    Raises:
        BlobError: 409 if no blob should exist; 412; 400 for an invalid date.
    """
    if blob is None:
        if headers.get("if-match"):
            raise condition_not_met()
        return
    _check_unchanged(headers, blob)
    others = headers.get("if-none-match")
    since = _date(headers, "if-modified-since")
    if others and others.strip() == "*":
        raise BlobError(409, "BlobAlreadyExists", f"{blob.container}/{blob.name}: there is such a blob already.")
    if _matches(others, blob) if others else since is not None and blob.modified <= since:
        raise condition_not_met()


def _check_unchanged(headers: Mapping[str, str], blob: Blob) -> None:
    etags = headers.get("if-match")
    since = _date(headers, "if-unmodified-since")
    if (etags and not _matches(etags, blob)) or (since is not None and blob.modified > since):
        raise condition_not_met()


def _matches(tags: str | None, blob: Blob) -> bool:
    listed = [tag.strip() for tag in (tags or "").split(",")]
    return "*" in listed or blob.etag in listed or blob.etag.strip('"') in listed


def _date(headers: Mapping[str, str], name: str) -> datetime | None:
    text = headers.get(name)
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        raise header_refused(name, text[:80], "a date as in 'Wed, 25 Nov 2026 22:32:55 GMT'") from None
    return date.replace(tzinfo=date.tzinfo or UTC)
