"""URLs of stores versus paths; and what of a URL may be written down."""

from __future__ import annotations

import re
from pathlib import Path

from batchtwin.deployment.reference import is_reference
from batchtwin.errors import UsageError
from batchtwin.redaction import has_key, hide

# The extra that brings a protocol's driver.
EXTRAS = {"abfs": "abfs", "abfss": "abfs", "az": "abfs", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
PROTOCOLS = (*EXTRAS, "http", "https", "memory")
# The part after the `?` of a web address may be its key; in stores it belongs to names.
QUERY = re.compile(r"(https?://[^\s?]*)\?\S*", re.IGNORECASE)


def is_url(path: object) -> bool:
    """Whether this is a URL, not a path."""
    return isinstance(path, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


def is_store(path: str) -> bool:
    """Whether this is a URL of a kind of store that can be read."""
    return is_url(path) and path.partition("://")[0].lower() in PROTOCOLS


def parse_location(text: str) -> Path | str:
    """Return a path or a URL from the user's text.

    Raises:
        UsageError: the URL holds a key, which would be written to the ledger; or it is a reference of Azure ML.
    """
    if is_reference(text):
        raise UsageError(
            f"{text[:300]}: names a resource of Azure ML; give a path or a URL, or use it with: batchtwin ml "
            "batch-endpoint invoke"
        )
    if not is_url(text):
        return Path(text)
    if has_key(text):
        raise UsageError(
            f"{redact(text.partition('?')[0])}: holds a key, and URLs are written down; give the key by the variables "
            "of its store (docs/scale.md), and leave it out"
        )
    return text


def redact(text: str) -> str:
    """Return a text with URLs in it in printable form: without possible keys, and without the part after a `?`."""
    return QUERY.sub(r"\1?...", hide(text))


def without_query(url: str) -> str:
    """Return a web address without the part after its `?`; another URL, or a path, unchanged."""
    return QUERY.sub(r"\1", url)
