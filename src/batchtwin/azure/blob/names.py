"""Rules for names of containers, blobs and blocks: those of Azure Storage that are safe as file names. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from batchtwin.azure.blob.errors import BlobError

_CONTAINER = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# Control characters, and characters that XML or UTF-8 cannot hold.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff\ufffe\uffff]")
_BLOB_CHARACTERS = 1024
_PART_BYTES = 255
_BLOCK_BYTES = 64


def check_container(name: str) -> str:
    """Return `name` if a container can have it.

    Raises:
        BlobError: 400, saying what is allowed.
    """
    if not _CONTAINER.fullmatch(name):
        raise BlobError(
            400,
            "InvalidResourceName",
            f"Container {name!r}: must be 3-63 lower case letters, digits and single '-', the ends no '-'.",
        )
    return name


def check_blob(name: str) -> str:
    """Return `name` if a blob can have it: it is then a relative path below its container.

    Raises:
        BlobError: 400, saying what is wrong.
    """
    if wrong := _wrong_with(name):
        raise BlobError(400, "InvalidResourceName", f"Blob {name[:80]!r}: {wrong}.")
    return name


def is_blob(name: str) -> bool:
    """Whether a blob can have this name."""
    return not _wrong_with(name)


def _wrong_with(name: str) -> str:
    if not 1 <= len(name) <= _BLOB_CHARACTERS:
        return f"must have 1 to {_BLOB_CHARACTERS} characters"
    if _UNWRITABLE.search(name):
        return "must have no control characters and no '\\'"
    parts = name.split("/")
    if {"", ".", ".."} & set(parts):
        return "no part between '/' may be empty, '.' or '..'"
    if any(len(part.encode()) > _PART_BYTES for part in parts):
        return f"no part between '/' may have more than {_PART_BYTES} bytes"
    return ""


def block_key(text: str) -> str:
    """Return the name of the file that holds the block with this id.

    Raises:
        BlobError: 400, it is not the base64 of 1 to 64 bytes.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 1 <= len(key) <= _BLOCK_BYTES:
        raise BlobError(
            400, "InvalidBlockId", f"Block id {text[:80]!r}: must be the base64 of 1 to {_BLOCK_BYTES} bytes."
        )
    return key.hex()
