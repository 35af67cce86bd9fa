"""Shared access signatures (SAS): query parameters that open one container until they expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

# Read, add, create, write, delete, list, in the order of Azure Storage.
PERMISSIONS = "racwdl"
VERSION = "2021-12-02"
_CONTAINER = "c"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_SIGNED = ("sv", "sr", "sp", "se")


class Sas:
    """Issues and checks tokens with a secret `key` (16 bytes at least)."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError(f"a key of {len(key)} bytes; it must have 16 at least")
        self._key = key

    def token(self, container: str, seconds: float, permissions: str = PERMISSIONS) -> str:
        """Return a query string that opens `container` for so many seconds, rounded up.

        Raises:
            ValueError: an unknown permission.
        """
        if not permissions or set(permissions) - set(PERMISSIONS):
            raise ValueError(f"permissions {permissions!r}: must be letters of {PERMISSIONS}")
        allowed = "".join(letter for letter in PERMISSIONS if letter in permissions)
        end = datetime.fromtimestamp(math.ceil(time.time() + seconds), UTC)
        query = {"sv": VERSION, "sr": _CONTAINER, "sp": allowed, "se": end.strftime(_TIME)}
        return urlencode(query | {"sig": self._signature(container, query)})

    def check(self, container: str, query: Mapping[str, str], permission: str = "") -> bool:
        """Whether `query` holds a valid token of this server for this container that allows `permission`."""
        signed = {name: query.get(name, "") for name in _SIGNED}
        signature = query.get("sig", "").encode(errors="replace")
        # First, so that no forged token is parsed.
        if not hmac.compare_digest(signature, self._signature(container, signed).encode()):
            return False
        end = datetime.strptime(signed["se"], _TIME).replace(tzinfo=UTC)
        return time.time() < end.timestamp() and set(permission) <= set(signed["sp"])

    def _signature(self, container: str, query: Mapping[str, str]) -> str:
        text = "\n".join((container, *(query[name] for name in _SIGNED)))
        return base64.b64encode(hmac.digest(self._key, text.encode(errors="replace"), hashlib.sha256)).decode()
